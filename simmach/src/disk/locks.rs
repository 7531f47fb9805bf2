//! Locks on files: on whole files (`flock`), and on ranges for open files or for processes
//! (`fcntl`).

use crate::engine::ProcessId;

/// The owner of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockOwner {
    /// An open file, identified by its number.
    OpenFile(u64),
    /// A process. It loses its locks on a file when it closes any descriptor of the file.
    Process(ProcessId),
}

/// A lock on a range of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RangeLock {
    pub(crate) owner: LockOwner,
    pub(crate) start: u64,
    /// The first byte after the range. The largest number means that the range has no end.
    pub(crate) end: u64,
    pub(crate) is_exclusive: bool,
}

/// The locks of a file.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    /// The open files that have locked the whole file, and whether their locks are exclusive.
    whole: Vec<(u64, bool)>,
    ranges: Vec<RangeLock>,
}

impl Locks {
    pub(crate) fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.ranges.is_empty()
    }

    /// Locks the whole file for an open file, in place of that open file's previous lock. Returns
    /// false if another lock conflicts. The previous lock is then lost too, as in Linux.
    pub(crate) fn lock_whole(&mut self, owner: u64, is_exclusive: bool) -> bool {
        self.unlock_whole(owner);
        let is_free = self.whole.iter().all(|(_, other)| !is_exclusive && !other);
        if is_free {
            self.whole.push((owner, is_exclusive));
        }
        is_free
    }

    pub(crate) fn unlock_whole(&mut self, owner: u64) {
        self.whole.retain(|(other, _)| *other != owner);
    }

    /// Returns a lock of another owner that conflicts with `wanted`.
    pub(crate) fn conflict(&self, wanted: RangeLock) -> Option<RangeLock> {
        let overlaps = |other: &&RangeLock| {
            other.owner != wanted.owner
                && other.start < wanted.end
                && wanted.start < other.end
                && (other.is_exclusive || wanted.is_exclusive)
        };
        self.ranges.iter().find(overlaps).copied()
    }

    /// Locks a range. The lock replaces the owner's locks inside the range. There must be no
    /// conflict.
    pub(crate) fn lock_range(&mut self, lock: RangeLock) {
        self.unlock_range(lock.owner, lock.start, lock.end);
        self.ranges.push(lock);
    }

    /// Removes an owner's locks inside a range. A lock that extends beyond both ends is split in
    /// two.
    pub(crate) fn unlock_range(&mut self, owner: LockOwner, start: u64, end: u64) {
        let mut left = Vec::new();
        for lock in self.ranges.drain(..) {
            if lock.owner != owner || lock.end <= start || end <= lock.start {
                left.push(lock);
                continue;
            }
            if lock.start < start {
                left.push(RangeLock { end: start, ..lock });
            }
            if end < lock.end {
                left.push(RangeLock { start: end, ..lock });
            }
        }
        self.ranges = left;
    }

    /// Removes all locks of an owner.
    pub(crate) fn remove(&mut self, owner: LockOwner) {
        if let LockOwner::OpenFile(number) = owner {
            self.unlock_whole(number);
        }
        self.unlock_range(owner, 0, u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(process: u32, start: u64, end: u64, is_exclusive: bool) -> RangeLock {
        RangeLock { owner: LockOwner::Process(ProcessId(process)), start, end, is_exclusive }
    }

    #[test]
    fn whole_file_is_shared_or_exclusive() {
        let mut locks = Locks::default();
        assert!(locks.lock_whole(1, false) && locks.lock_whole(2, false));
        assert!(!locks.lock_whole(3, true));
        locks.unlock_whole(1);
        assert!(locks.lock_whole(2, true), "its own lock is replaced");
        assert!(!locks.lock_whole(1, false));
        locks.remove(LockOwner::OpenFile(2));
        assert!(locks.is_empty());
    }

    #[test]
    fn ranges_conflict_where_they_overlap() {
        let mut locks = Locks::default();
        locks.lock_range(lock(1, 10, 20, true));
        assert_eq!(locks.conflict(lock(2, 0, 10, true)), None);
        assert_eq!(locks.conflict(lock(2, 19, u64::MAX, false)), Some(lock(1, 10, 20, true)));
        assert_eq!(locks.conflict(lock(1, 0, 30, true)), None, "its own");
        // The middle becomes shared, and its ends stay exclusive.
        locks.lock_range(lock(1, 13, 15, false));
        assert_eq!(locks.conflict(lock(2, 13, 15, false)), None);
        assert!(locks.conflict(lock(2, 12, 14, false)).is_some());
        assert!(locks.conflict(lock(2, 15, 16, false)).is_some());
        let owner = LockOwner::Process(ProcessId(1));
        locks.unlock_range(owner, 0, 12);
        assert_eq!(locks.conflict(lock(2, 0, 12, true)), None);
        locks.remove(owner);
        assert!(locks.is_empty());
    }
}
