//! One server as a state machine. Its input is messages and times; its output is messages, and the
//! data to store before they are sent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use simmach::time::Instant;

use super::bug::Bug;
use super::disk::Stored;
use super::list::List;
use super::log::Log;
use super::message::{Content, Message};
use super::oracle;
use super::requests::{PendingRead, PendingWrite};

/// Time between two messages of a leader to one follower, and between two requests of a candidate
/// for one vote.
pub(super) const HEARTBEAT: Duration = Duration::from_millis(50);
/// Minimum time without a leader before an election.
const ELECTION: Duration = Duration::from_millis(150);
/// How long a leader with [`Bug::LongLease`] answers reads on its own.
const LEASE: Duration = Duration::from_millis(500);

pub(super) struct Node {
    pub(super) id: u64,
    pub(super) servers: u64,
    bug: Option<Bug>,
    // This state is stored before any message that depends on it is sent.
    pub(super) term: u64,
    /// The server voted for; 0 if this server has not voted in this term.
    pub(super) vote: u64,
    pub(super) log: Log,
    changes: Option<Changes>,
    // This state is lost at a restart.
    pub(super) role: Role,
    pub(super) commit: u64,
    pub(super) applied: u64,
    pub(super) list: List,
    /// What a leader knows about the other servers.
    pub(super) peers: BTreeMap<u64, Peer>,
    /// When the next election begins, unless a message from a leader arrives before.
    pub(super) election: Instant,
    /// When a leader or candidate repeats its messages.
    pub(super) repeat: Instant,
    outbox: Vec<(To, Message)>,
}

#[derive(Debug)]
pub(super) enum Role {
    /// The leader that it knows, or 0.
    Follower {
        leader: u64,
    },
    /// The servers whose votes it has.
    Candidate {
        votes: Vec<u64>,
    },
    Leader(Leadership),
}

#[derive(Debug, Default)]
pub(super) struct Leadership {
    /// The index of the entry that began the term.
    pub(super) first: u64,
    pub(super) round: u64,
    pub(super) writes: Vec<PendingWrite>,
    pub(super) reads: Vec<PendingRead>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Peer {
    /// The index of the entry that it is sent next.
    pub(super) next: u64,
    /// Up to where its log is known to be the same.
    pub(super) matched: u64,
    /// The latest round that it has confirmed.
    pub(super) round: u64,
    /// When it has last answered in this term.
    pub(super) heard: Option<Instant>,
}

/// What must be stored.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Changes {
    /// The log from this index on.
    pub(super) log_from: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Server(u64),
    Client(SocketAddr),
}

impl Node {
    pub(super) fn new(id: u64, servers: u64, bug: Option<Bug>, stored: Stored) -> Self {
        let now = Instant::now();
        let peers = (1..=servers).filter(|peer| *peer != id).map(|peer| (peer, Peer::default()));
        let mut node = Self {
            id,
            servers,
            bug,
            term: stored.term,
            vote: stored.vote,
            log: stored.log,
            changes: None,
            role: Role::Follower { leader: 0 },
            commit: 0,
            applied: 0,
            list: List::default(),
            peers: peers.collect(),
            election: now,
            repeat: now,
            outbox: Vec::new(),
        };
        node.put_off_election();
        node
    }

    pub(super) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// The number of servers that make a majority.
    pub(super) fn majority(&self) -> usize {
        self.servers as usize / 2 + 1
    }

    /// Whether a majority has answered a moment ago.
    pub(super) fn has_lease(&self) -> bool {
        let is_recent = |peer: &&Peer| peer.heard.is_some_and(|heard| heard.elapsed() < LEASE);
        self.peers.values().filter(is_recent).count() + 1 >= self.majority()
    }

    /// When `tick` has something to do.
    pub(super) fn deadline(&self) -> Instant {
        match self.role {
            Role::Follower { .. } => self.election,
            Role::Candidate { .. } => self.election.min(self.repeat),
            Role::Leader(_) => self.repeat,
        }
    }

    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        if !matches!(self.role, Role::Leader(_)) && now >= self.election {
            self.start_election();
        } else if now >= self.repeat {
            match self.role {
                Role::Leader(_) => self.send_appends(),
                Role::Candidate { .. } => self.request_votes(),
                Role::Follower { .. } => {}
            }
        }
    }

    pub(super) fn receive(&mut self, sender: SocketAddr, message: Message) {
        match message {
            Message::Peer { from, term, content } => {
                if term > self.term {
                    self.enter_term(term);
                }
                match content {
                    Content::RequestVote { last_index, last_term } => {
                        self.vote_requested(from, term, (last_term, last_index));
                    }
                    Content::Vote { granted } => self.voted(from, term, granted),
                    Content::Append(append) => self.append(from, term, append),
                    Content::Appended { success, index, round } => {
                        self.appended(from, term, success, index, round);
                    }
                }
            }
            Message::Request(request) => self.requested(sender, request),
            Message::Answer { .. } | Message::Elsewhere { .. } => {}
        }
        self.apply();
        self.answer_reads();
    }

    /// Becomes a follower in a later term.
    pub(super) fn enter_term(&mut self, term: u64) {
        if matches!(self.role, Role::Leader(_)) {
            self.put_off_election();
        }
        self.term = term;
        self.vote = 0;
        self.role = Role::Follower { leader: 0 };
        self.mark_changed();
    }

    pub(super) fn put_off_election(&mut self) {
        let spread = simmach::rand::random() % ELECTION.as_micros() as u64;
        self.election = Instant::now() + ELECTION + Duration::from_micros(spread);
    }

    pub(super) fn send(&mut self, server: u64, content: Content) {
        let message = Message::Peer { from: self.id, term: self.term, content };
        self.outbox.push((To::Server(server), message));
    }

    pub(super) fn answer(&mut self, client: SocketAddr, message: Message) {
        self.outbox.push((To::Client(client), message));
    }

    /// The messages to send, after the changes are stored.
    pub(super) fn take_messages(&mut self) -> Vec<(To, Message)> {
        std::mem::take(&mut self.outbox)
    }

    pub(super) fn mark_changed(&mut self) {
        self.changes.get_or_insert_default();
    }

    pub(super) fn mark_log_changed(&mut self, from: u64) {
        let changes = self.changes.get_or_insert_default();
        changes.log_from = Some(changes.log_from.map_or(from, |earlier| earlier.min(from)));
    }

    pub(super) fn take_changes(&mut self) -> Option<Changes> {
        self.changes.take()
    }

    /// Shows the oracle the entries from `index` on, which are stored.
    pub(super) fn show_log(&self, index: u64) {
        for (index, entry) in self.log.from(index) {
            oracle::stored(index, entry, self.log.term(index - 1).unwrap_or(0));
        }
    }
}
