//! Elections of a leader.

use simmach::time::Instant;

use super::bug::Bug;
use super::log::Entry;
use super::message::Content;
use super::node::{HEARTBEAT, Leadership, Node, Role};
use super::oracle;

impl Node {
    pub(super) fn start_election(&mut self) {
        self.term += 1;
        self.vote = self.id;
        self.role = Role::Candidate { votes: vec![self.id] };
        self.mark_changed();
        self.put_off_election();
        self.request_votes();
    }

    /// Requests a vote from all servers, including those that have answered, since an answer may be
    /// lost.
    pub(super) fn request_votes(&mut self) {
        let (last_index, last_term) = (self.log.last_index(), self.log.last_term());
        for peer in self.peers.keys().copied().collect::<Vec<_>>() {
            self.send(peer, Content::RequestVote { last_index, last_term });
        }
        self.repeat = Instant::now() + HEARTBEAT;
    }

    /// Handles a candidate's request for a vote. `last` contains the term and the index of the
    /// candidate's last entry.
    pub(super) fn vote_requested(&mut self, from: u64, term: u64, last: (u64, u64)) {
        let own_last = (self.log.last_term(), self.log.last_index());
        let is_complete = last >= own_last || self.has(Bug::VoteWithoutLogCheck);
        let is_free = self.vote == 0 || self.vote == from || self.has(Bug::TwoVotes);
        let granted = term == self.term && is_complete && is_free;
        if granted {
            self.vote = from;
            self.mark_changed();
            self.put_off_election();
        }
        self.send(from, Content::Vote { granted });
    }

    pub(super) fn voted(&mut self, from: u64, term: u64, granted: bool) {
        let is_current = term == self.term || self.has(Bug::OldVotes);
        let is_repeated = !self.has(Bug::DuplicateVotes);
        let majority = self.majority();
        let Role::Candidate { votes } = &mut self.role else { return };
        if !granted || !is_current || is_repeated && votes.contains(&from) {
            return;
        }
        votes.push(from);
        if votes.len() >= majority {
            self.lead();
        }
    }

    fn lead(&mut self) {
        oracle::elected(self.term, self.id);
        let next = self.log.last_index() + 1;
        let keeps_matches = self.has(Bug::StaleMatches);
        for peer in self.peers.values_mut() {
            peer.next = next;
            peer.round = 0;
            peer.heard = None;
            if !keeps_matches {
                peer.matched = 0;
            }
        }
        self.role = Role::Leader(Leadership { first: next, ..Leadership::default() });
        self.push(Entry::without_effect(self.term));
        self.send_appends();
    }
}
