//! The log in memory. Indexes begin at 1; index 0 is before the first entry, and its term is 0.

use super::message::Request;

/// An entry of the log. The entry that begins a leader's term has the client 0 and no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) term: u64,
    pub(super) request: Request,
}

impl Entry {
    pub(super) const WORDS: usize = 4;

    pub(super) fn without_effect(term: u64) -> Self {
        Self { term, request: Request { client: 0, sequence: 0, value: 0 } }
    }

    pub(super) fn words(self) -> [u64; Self::WORDS] {
        let Request { client, sequence, value } = self.request;
        [self.term, client, sequence, value]
    }

    pub(super) fn of_words([term, client, sequence, value]: [u64; Self::WORDS]) -> Self {
        Self { term, request: Request { client, sequence, value } }
    }
}

#[derive(Debug, Default)]
pub(super) struct Log {
    entries: Vec<Entry>,
}

impl Log {
    pub(super) fn new(entries: Vec<Entry>) -> Self {
        Self { entries }
    }

    pub(super) fn last_index(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(super) fn last_term(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.term)
    }

    pub(super) fn entry(&self, index: u64) -> Option<Entry> {
        let place = usize::try_from(index.checked_sub(1)?).ok()?;
        self.entries.get(place).copied()
    }

    /// The term of the entry there; `None` after the end.
    pub(super) fn term(&self, index: u64) -> Option<u64> {
        if index == 0 { Some(0) } else { self.entry(index).map(|entry| entry.term) }
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// Drops the entry at `index` and all that follow.
    pub(super) fn truncate(&mut self, index: u64) {
        self.entries.truncate(index.saturating_sub(1) as usize);
    }

    /// The entries from `index` on, with their indexes.
    pub(super) fn from(&self, index: u64) -> Vec<(u64, Entry)> {
        (index..=self.last_index())
            .zip(self.entries.iter().skip(index as usize - 1).copied())
            .collect()
    }
}
