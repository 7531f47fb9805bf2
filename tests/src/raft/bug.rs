//! The bugs that can be planted.

/// A mistake in the program. Where it is known from another implementation, its name there is given: `raft-45` to `raft-66` are
/// those of akka-raft that DEMi (NSDI 2016) found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// Two votes of one server count as two (raft-45).
    DuplicateVotes,
    /// A vote counts in a later term than the one in which it was given (raft-46).
    OldVotes,
    /// A vote is not stored, and is gone after a restart (raft-56).
    VoteNotStored,
    /// The term is not stored, and falls back to that of the last entry after a restart (raft-62).
    TermNotStored,
    /// A new leader starts with what followers had in an earlier term of its own (raft-58a).
    StaleMatches,
    /// A follower compares the index of the previous entry, and not its term (raft-58b).
    PreviousTermIgnored,
    /// One server too few is enough to commit an entry (raft-42).
    SmallQuorum,
    /// A follower drops all entries after the one that it receives, although they do not differ (raft-66).
    TruncatesAlways,
    /// A server votes for a candidate whose log is behind its own.
    VoteWithoutLogCheck,
    /// A server gives two votes in one term.
    TwoVotes,
    /// An entry of an earlier term is committed because a majority has it (figure 8 of the paper).
    CommitsOldTerms,
    /// A follower commits entries that the leader has not compared yet.
    CommitsUncompared,
    /// A follower says that it has as many entries as are in its log, also those that were not compared.
    MatchOfWholeLog,
    /// A follower accepts entries from a leader of an earlier term.
    OldLeaders,
    /// A server answers before the disk has what it answers.
    AnswersBeforeStored,
    /// A leader answers a read without asking a majority whether it still leads.
    UnconfirmedRead,
    /// A new leader answers a read before it knows how much is committed.
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
        Self::ReadBeforeOwnEntry,
        Self::RetryCheckedAtArrival,
    ];

    /// Number of servers: three, or five where three cannot show the bug.
    pub fn servers(self) -> u64 {
        match self {
            Self::DuplicateVotes | Self::StaleMatches | Self::SmallQuorum => 5,
            _ => 3,
        }
    }
}
