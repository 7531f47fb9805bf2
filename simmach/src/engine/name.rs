//! The names of a run's machines, as all layers have them: parts of one text, none of them copied.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::draws::mix_text;

/// A machine's name.
#[derive(Clone, Default)]
pub(crate) struct Name {
    /// That and others' names.
    text: Arc<str>,
    start: u32,
    end: u32,
    word: u64,
}

impl Name {
    /// All of these.
    pub(crate) fn all(names: &[String]) -> impl Iterator<Item = Self> {
        let text: Arc<str> = names.concat().into();
        names.iter().scan(0, move |end, name| {
            let start = *end;
            *end += u32::try_from(name.len()).expect("no cluster's names have 4 GiB");
            Some(Self { text: Arc::clone(&text), start, end: *end, word: mix_text(name) })
        })
    }

    /// It as a word, for draws and paths: it stays when machines are added.
    pub(crate) fn word(&self) -> u64 {
        self.word
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text[self.start as usize..self.end as usize]
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_what_it_was_given_as() {
        let given = ["a".to_owned(), "bc.d".to_owned(), String::new(), "é".to_owned()];
        let names: Vec<Name> = Name::all(&given).collect();
        assert!(names.iter().map(|name| &**name).eq(given.iter()));
        assert_eq!(format!("{:>5}|{:?}", names[1], names[3]), " bc.d|\"é\"");
    }
}
