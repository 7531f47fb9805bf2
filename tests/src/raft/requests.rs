//! Requests of clients. Appends go through the log; reads wait until a majority confirms that the
//! leader is still the leader.

use std::net::SocketAddr;

use super::bug::Bug;
use super::log::Entry;
use super::message::{Message, Request};
use super::node::{Node, Role};
use super::oracle;

/// An append that is answered when its entry is applied.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingWrite {
    client: SocketAddr,
    index: u64,
}

/// A read that is answered when a majority has confirmed the round and the entries up to `index`
/// have been applied.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingRead {
    client: SocketAddr,
    request: Request,
    round: u64,
    index: u64,
}

impl Node {
    pub(super) fn requested(&mut self, client: SocketAddr, request: Request) {
        let Request { client: number, sequence, value } = request;
        let (commit, last) = (self.commit, self.log.last_index());
        let skips_own_entry = self.has(Bug::ReadBeforeOwnEntry);
        let is_known = self.has(Bug::RetryCheckedAtArrival) && self.list.has_seen(request);
        let leadership = match &mut self.role {
            Role::Leader(leadership) => leadership,
            Role::Follower { leader } => {
                let leader = *leader;
                return self
                    .answer(client, Message::Elsewhere { client: number, sequence, leader });
            }
            Role::Candidate { .. } => return,
        };
        if value != 0 {
            if is_known {
                return self.answer_write(client, request);
            }
            leadership.writes.push(PendingWrite { client, index: last + 1 });
            self.push(Entry { term: self.term, request });
        } else {
            leadership.round += 1;
            let index = if skips_own_entry { commit } else { commit.max(leadership.first) };
            let round = leadership.round;
            leadership.reads.push(PendingRead { client, request, round, index });
        }
        self.send_appends();
    }

    /// Applies what is committed.
    pub(super) fn apply(&mut self) {
        while self.applied < self.commit {
            let index = self.applied + 1;
            let Some(entry) = self.log.entry(index) else { return };
            self.applied = index;
            oracle::applied(index, entry);
            let request = entry.request;
            let is_retry = self.list.has_seen(request) && !self.has(Bug::RetryCheckedAtArrival);
            if request.client != 0 && !is_retry {
                self.list.append(request);
                oracle::appended(self.list.length(), request.value);
            }
            let Role::Leader(leadership) = &mut self.role else { continue };
            let waiting = leadership.writes.iter().position(|write| write.index == index);
            if let Some(nth) = waiting {
                let client = leadership.writes.swap_remove(nth).client;
                self.answer_write(client, request);
            }
        }
    }

    fn answer_write(&mut self, client: SocketAddr, request: Request) {
        let session = self.list.session(request.client);
        // A client that has sent a later request no longer waits for this one.
        if let Some(session) = session.filter(|session| session.sequence == request.sequence) {
            self.answer_with(client, request, session.length);
        }
    }

    /// Answers the reads that may be answered.
    pub(super) fn answer_reads(&mut self) {
        let (majority, applied) = (self.majority(), self.applied);
        let is_confirmed =
            self.has(Bug::UnconfirmedRead) || self.has(Bug::LongLease) && self.has_lease();
        let Role::Leader(leadership) = &mut self.role else { return };
        let peers = &self.peers;
        let is_ready = |read: &mut PendingRead| {
            let confirmed = peers.values().filter(|peer| peer.round >= read.round).count() + 1;
            applied >= read.index && (confirmed >= majority || is_confirmed)
        };
        let ready: Vec<PendingRead> = leadership.reads.extract_if(.., is_ready).collect();
        for read in ready {
            self.answer_with(read.client, read.request, self.list.length());
        }
    }

    fn answer_with(&mut self, client: SocketAddr, request: Request, length: u64) {
        let Request { client: number, sequence, .. } = request;
        let last = self.list.last_of(length);
        self.answer(client, Message::Answer { client: number, sequence, length, last });
    }
}
