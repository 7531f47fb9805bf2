//! The bugs that can be planted in the raft.

use simmach::program::Size;

/// A bug in the program. If another implementation had the bug, its name there is given in
/// parentheses. `raft-45` to `raft-66` are bugs of akka-raft that DEMi (NSDI 2016) found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// Two votes from one server count as two votes (raft-45).
    DuplicateVotes,
    /// A vote also counts in terms after the one in which it was given (raft-46).
    OldVotes,
    /// A vote is not stored, so a restart loses it (raft-56).
    VoteNotStored,
    /// The term is not stored. After a restart, it is that of the last entry (raft-62).
    TermNotStored,
    /// A new leader assumes that followers have the entries that they had in an earlier term of
    /// this leader (raft-58a).
    StaleMatches,
    /// A follower compares the index of the previous entry, but not its term (raft-58b).
    PreviousTermIgnored,
    /// An entry is committed with one server less than a majority (raft-42).
    SmallQuorum,
    /// A follower drops all entries after the received one, even if they match the leader's
    /// (raft-66).
    TruncatesAlways,
    /// A server votes for a candidate whose log is behind the server's own log.
    VoteWithoutLogCheck,
    /// A server gives two votes in one term.
    TwoVotes,
    /// An entry of an earlier term is committed as soon as a majority has it (figure 8 of the
    /// paper).
    CommitsOldTerms,
    /// A follower commits entries that it has not compared with the leader's.
    CommitsUncompared,
    /// A follower reports its whole log as matching, including entries that were not compared.
    MatchOfWholeLog,
    /// A follower accepts entries from a leader of an earlier term.
    OldLeaders,
    /// A server answers before the data in its answer is on the disk.
    AnswersBeforeStored,
    /// A leader answers a read without asking a majority whether it is still the leader.
    UnconfirmedRead,
    /// A leader answers reads on its own for a while after a majority has answered it, which is longer than its followers wait
    /// for it.
    LongLease,
    /// A new leader answers a read before it knows which entries are committed.
    ReadBeforeOwnEntry,
    /// Retries are recognized when they arrive, and not when they are applied.
    RetryCheckedAtArrival,
}

impl Bug {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::DuplicateVotes,
        Self::OldVotes,
        Self::VoteNotStored,
        Self::TermNotStored,
        Self::StaleMatches,
        Self::PreviousTermIgnored,
        Self::SmallQuorum,
        Self::TruncatesAlways,
        Self::VoteWithoutLogCheck,
        Self::TwoVotes,
        Self::CommitsOldTerms,
        Self::CommitsUncompared,
        Self::MatchOfWholeLog,
        Self::OldLeaders,
        Self::AnswersBeforeStored,
        Self::UnconfirmedRead,
        Self::LongLease,
        Self::ReadBeforeOwnEntry,
        Self::RetryCheckedAtArrival,
    ];

    /// The size of the smallest failing run that a person would write: faults, and steps of the clients. The cluster has five
    /// servers.
    pub fn by_hand(self) -> (u64, u64) {
        match self {
            // Two servers that are cut off make a leader of the next term, which overwrites a write of the other three.
            Self::DuplicateVotes => (1, 1),
            // Votes are held back until the next term, and the voters are cut off.
            Self::OldVotes => (2, 1),
            // A voter restarts between two candidates of a term, of which one does not hear the other.
            Self::VoteNotStored | Self::TermNotStored => (2, 0),
            // A leader in two terms, of which a follower missed the first and has entries of its own from before.
            Self::StaleMatches | Self::PreviousTermIgnored => (2, 2),
            // A leader and one follower are cut off with a write.
            Self::SmallQuorum => (1, 1),
            // An entry arrives late. The follower then drops a write, and votes for another that has not got it.
            Self::TruncatesAlways => (2, 2),
            // A server that missed a write is elected.
            Self::VoteWithoutLogCheck => (1, 1),
            // Two candidates at the same time.
            Self::TwoVotes => (0, 0),
            // The figure: two leaders fail before they have replicated their entries, and the first fails again.
            Self::CommitsOldTerms => (3, 1),
            // A leader is cut off with an entry that nobody else has.
            Self::CommitsUncompared | Self::MatchOfWholeLog => (1, 2),
            // An entry of a leader that is cut off arrives late.
            Self::OldLeaders => (1, 1),
            // Two followers lose the same write, and the leader is cut off.
            Self::AnswersBeforeStored => (3, 1),
            // A leader is cut off; one client writes to the next leader, another reads from the old one.
            Self::UnconfirmedRead | Self::LongLease => (1, 2),
            // A follower that has not heard of the commit becomes the leader.
            Self::ReadBeforeOwnEntry => (1, 2),
            // The answer to a write is late.
            Self::RetryCheckedAtArrival => (1, 1),
        }
    }

    /// Whether a shrunk run is at most twice as large as the one by hand, plus one.
    pub fn is_small(self, size: Size) -> bool {
        let (faults, steps) = self.by_hand();
        size.faults <= 2 * faults + 1 && size.steps <= 2 * steps + 1
    }
}
