//! The replicated list, and the session of each client.

use std::collections::BTreeMap;

use super::message::Request;

#[derive(Debug, Default)]
pub(super) struct List {
    values: Vec<u64>,
    sessions: BTreeMap<u64, Session>,
}

/// The latest request of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) sequence: u64,
    /// The length of the list after this request.
    pub(super) length: u64,
}

impl List {
    pub(super) fn length(&self) -> u64 {
        self.values.len() as u64
    }

    /// The last of the first `length` numbers; 0 if `length` is 0.
    pub(super) fn last_of(&self, length: u64) -> u64 {
        length.checked_sub(1).map_or(0, |place| self.values[place as usize])
    }

    /// Whether this request, or a later request of its client, has been applied.
    pub(super) fn has_seen(&self, request: Request) -> bool {
        let session = self.sessions.get(&request.client);
        session.is_some_and(|session| session.sequence >= request.sequence)
    }

    pub(super) fn session(&self, client: u64) -> Option<Session> {
        self.sessions.get(&client).copied()
    }

    pub(super) fn append(&mut self, request: Request) {
        self.values.push(request.value);
        let session = Session { sequence: request.sequence, length: self.length() };
        self.sessions.insert(request.client, session);
    }
}
