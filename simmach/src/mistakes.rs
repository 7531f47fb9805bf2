//! [`Mistakes`]: the mistakes in the arguments of builders. Builders do not fail; the code that
//! uses a builder reports all of its mistakes at once.

use std::fmt::Display;

/// Messages for all mistakes that were found, in the order in which they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mistakes(Vec<String>);

impl Mistakes {
    pub(crate) fn add(&mut self, mistake: impl Display) {
        self.0.push(mistake.to_string());
    }

    /// Adds the mistake if the condition does not hold.
    pub(crate) fn require(&mut self, condition: bool, mistake: impl FnOnce() -> String) {
        if !condition {
            self.0.push(mistake());
        }
    }

    /// Adds the mistakes of a part. `of` names the part.
    pub(crate) fn add_all(&mut self, of: impl Display, mistakes: impl IntoIterator<Item = String>) {
        self.0.extend(mistakes.into_iter().map(|mistake| format!("{of}: {mistake}")));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns all messages in one line.
    pub(crate) fn joined(&self) -> String {
        self.0.join("; ")
    }
}

impl IntoIterator for Mistakes {
    type Item = String;
    type IntoIter = std::vec::IntoIter<String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Extend<String> for Mistakes {
    fn extend<I: IntoIterator<Item = String>>(&mut self, mistakes: I) {
        self.0.extend(mistakes);
    }
}
