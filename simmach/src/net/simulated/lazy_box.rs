//! A box that is allocated on first use.
//!
//! It contains the parts of a socket that most sockets do not need. An empty box takes 8 bytes, so
//! a socket occupies fewer cache lines.

/// A value that is created with `Default` on first use.
#[derive(Default)]
pub(crate) struct LazyBox<T>(Option<Box<T>>);

impl<T: Default> LazyBox<T> {
    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        self.0.as_deref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// Returns the value, creating it if necessary.
    pub(crate) fn get_or_init(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}
