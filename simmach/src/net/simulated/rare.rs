//! What most sockets never have. Thousands of them take turns in a cache: what each is not likely to need is a word of it.

/// Nothing, until it is first wanted.
#[derive(Default)]
pub(crate) struct Rare<T>(Option<Box<T>>);

impl<T: Default> Rare<T> {
    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        self.0.as_deref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// Makes it, if there is none.
    pub(crate) fn wanted(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}
