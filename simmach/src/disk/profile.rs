//! What a file system promises about a power failure.

/// What survives a power failure, apart from what was synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum CrashProfile {
    /// As ext4 with its default options (`data=ordered`), and much as XFS: names and sizes reach the disk in order, by a
    /// journal; a sync of a changed file takes along all names before it; a file never shows a size whose data is not there; a
    /// file that is renamed over another has its data.
    #[default]
    Journal,
    /// No more than POSIX promises: a name is durable when its folder was synced, there is no order between the changes of
    /// different folders, and what was appended may be zeros.
    Posix,
}
