//! Replicates the log from the leader to its followers, and decides which entries are committed.

use simmach::time::Instant;

use super::bug::Bug;
use super::log::Entry;
use super::message::{Append, Content};
use super::node::{HEARTBEAT, Node, Role};

impl Node {
    /// Adds an entry to the leader's log.
    pub(super) fn push(&mut self, entry: Entry) {
        self.log.push(entry);
        self.mark_log_changed(self.log.last_index());
    }

    /// Sends each follower its next entry, or a message without an entry.
    pub(super) fn send_appends(&mut self) {
        for peer in self.peers.keys().copied().collect::<Vec<_>>() {
            self.send_append(peer);
        }
        self.repeat = Instant::now() + HEARTBEAT;
    }

    fn send_append(&mut self, to: u64) {
        let Role::Leader(leadership) = &self.role else { return };
        let next = self.peers[&to].next;
        let append = Append {
            previous_index: next - 1,
            previous_term: self.log.term(next - 1).unwrap_or(0),
            commit: self.commit,
            round: leadership.round,
            entry: self.log.entry(next),
        };
        self.send(to, Content::Append(append));
    }

    /// Handles an entry from a leader.
    pub(super) fn append(&mut self, from: u64, term: u64, append: Append) {
        let Append { previous_index, previous_term, commit, round, entry } = append;
        if term < self.term && !self.has(Bug::OldLeaders) {
            return self.send(from, Content::Appended { success: false, index: 0, round });
        }
        self.role = Role::Follower { leader: from };
        self.put_off_election();
        let own_term = self.log.term(previous_index);
        let is_same = own_term == Some(previous_term)
            || own_term.is_some() && self.has(Bug::PreviousTermIgnored);
        if !is_same {
            // What is committed is the same on both.
            let index = self.commit;
            return self.send(from, Content::Appended { success: false, index, round });
        }
        let mut index = previous_index;
        if let Some(entry) = entry {
            index += 1;
            self.store(index, entry);
        }
        let known = if self.has(Bug::CommitsUncompared) { self.log.last_index() } else { index };
        self.commit = self.commit.max(commit.min(known));
        if self.has(Bug::MatchOfWholeLog) {
            index = self.log.last_index();
        }
        self.send(from, Content::Appended { success: true, index, round });
    }

    /// Stores a leader's entry. What differs from it is dropped with all that follows.
    fn store(&mut self, index: u64, entry: Entry) {
        if self.log.term(index) == Some(entry.term) && !self.has(Bug::TruncatesAlways) {
            return;
        }
        self.log.truncate(index);
        self.log.push(entry);
        self.mark_log_changed(index);
    }

    /// A follower answers.
    pub(super) fn appended(&mut self, from: u64, term: u64, success: bool, index: u64, round: u64) {
        if term != self.term || !matches!(self.role, Role::Leader(_)) {
            return;
        }
        let last = self.log.last_index();
        let Some(peer) = self.peers.get_mut(&from) else { return };
        let before = peer.next;
        peer.round = peer.round.max(round);
        peer.heard = Some(Instant::now());
        if success {
            peer.matched = peer.matched.max(index);
            peer.next = peer.matched + 1;
        } else {
            peer.next = peer.next.min(index + 1).max(peer.matched + 1);
        }
        // What has changed nothing is sent again at the next heartbeat.
        let is_behind = peer.next <= last && peer.next != before;
        self.advance_commit();
        if is_behind {
            self.send_append(from);
        }
    }

    /// Commits what a majority has, up to an entry of the leader's own term.
    fn advance_commit(&mut self) {
        let mut matches: Vec<u64> = self.peers.values().map(|peer| peer.matched).collect();
        matches.push(self.log.last_index());
        matches.sort_unstable();
        let quorum = self.majority() - usize::from(self.has(Bug::SmallQuorum));
        let index = matches[matches.len() - quorum];
        let is_own = self.log.term(index) == Some(self.term) || self.has(Bug::CommitsOldTerms);
        if index > self.commit && is_own {
            self.commit = index;
        }
    }
}
