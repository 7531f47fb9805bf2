//! The content of machines' disks as plain data, which leaves a run with its outcome.

use serde::{Deserialize, Serialize};

use crate::engine::MachineId;

/// Bytes of files in the images of a run, at most: an outcome is sent to the process that reports it.
pub(crate) const MAX_BYTES: u64 = 512 << 20;

/// What there is on the disk of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DiskImage {
    pub(crate) machine: MachineId,
    /// Folders come before what is in them.
    pub(crate) entries: Vec<ImageEntry>,
}

/// A name on a disk, and what it leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageEntry {
    /// From the root of the disk, without a slash at its begin.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: ImageKind,
    /// Permission bits.
    pub(crate) mode: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ImageKind {
    Folder,
    /// What is not in `data` is zero.
    File {
        size: u64,
        data: Vec<Extent>,
    },
    /// A symbolic link, with its target.
    Link(Vec<u8>),
    /// Another name of the file at this path.
    SameAs(Vec<u8>),
    /// A file that could not be kept, for this reason.
    LeftOut(String),
}

/// Bytes of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Extent {
    pub(crate) start: u64,
    pub(crate) bytes: Vec<u8>,
}

/// How many bytes the images of a run may still have.
#[derive(Debug)]
pub(crate) struct Allowance(u64);

impl Allowance {
    pub(crate) fn new() -> Self {
        Self(MAX_BYTES)
    }

    /// Takes as many bytes as a file has. If there are not as many left, the file is left out.
    pub(crate) fn take(&mut self, bytes: u64) -> Result<(), ImageKind> {
        match self.0.checked_sub(bytes) {
            Some(rest) => {
                self.0 = rest;
                Ok(())
            }
            None => {
                let most = MAX_BYTES >> 20;
                Err(ImageKind::LeftOut(format!("more than {most} MiB of files on all machines")))
            }
        }
    }
}
