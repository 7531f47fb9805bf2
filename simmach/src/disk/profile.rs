//! What a file system guarantees after a power failure.

/// What survives a power failure, in addition to everything that was synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum CrashProfile {
    /// As in ext4 with its default options (`data=ordered`), and much as in XFS. A journal makes
    /// names and sizes reach the disk in order. A sync of a changed file makes all earlier changes
    /// of names durable too. A file never has a size that includes data that was lost. A file that
    /// is renamed over another file has its data.
    #[default]
    Journal,
    /// No more than POSIX guarantees. A name is durable once its folder is synced. Changes of
    /// different folders reach the disk in any order. Appended data may be zeros.
    Posix,
}
