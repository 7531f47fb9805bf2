//! An LMDB environment that models power loss.
//!
//! A volume models exactly which committed transactions survive. A commit is
//! [`Cached`](Commit::Cached) until the next durable point. Power loss reverts the store to the
//! last durable point, including all tables, pages and free lists. Torn pages, and disks that
//! report data as durable too early, are not modelled.
//!
//! LMDB does not overwrite pages that a reader may still see. Before the first commit after a
//! durable point, the volume opens a read transaction, the *pin*, and saves the two meta pages,
//! which are the roots of all durable data. As long as the pin exists, LMDB does not reuse the
//! pages that the pin sees, and the file grows. Before the file fills the map, the volume makes a
//! durable point early, like a kernel under memory pressure. Power loss closes the environment and
//! writes back the two saved pages. If every commit is durable, there is no pin and no cost.
//!
//! This module does not depend on the engine, on time or on machines.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use heed::{CommitOrAbort, Env, EnvFlags, EnvOpenOptions, RoTxn, WithoutTls};

use crate::engine::context;
use crate::storage::error::{Error, Result};
use crate::storage::options::{MAX_TABLES, whole_units};
use crate::storage::txn::{ReadTxn, Returned, WriteTxn};

/// Maximum number of readers: the pin, the running transaction, and one in reserve.
const MAX_READERS: u32 = 3;

/// Whether a commit is durable when it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Commit {
    /// This commit and all earlier commits survive power loss.
    Durable,
    /// The commit survives the end of the process. It survives power loss only after the next durable point.
    Cached,
}

/// An LMDB environment with its two files and its last durable point.
#[derive(Debug)]
pub(super) struct Volume {
    data: PathBuf,
    lock: PathBuf,
    map_size: usize,
    /// `None` until first used, and after power loss.
    open: Option<OpenEnv>,
}

#[derive(Debug)]
struct OpenEnv {
    env: Env<WithoutTls>,
    /// A second descriptor of LMDB's data file, for the meta pages.
    file: File,
    /// `None` if all commits are durable.
    pin: Option<Pin>,
}

/// An environment that stays open although its last handle was dropped.
#[derive(Debug, thiserror::Error)]
#[error(
    "the store in {} could not be closed: its LMDB environment is still in use; this is a bug in simmach",
    file.display()
)]
pub(super) struct StillInUse {
    pub(super) file: PathBuf,
}

/// A durable point with commits after it.
struct Pin {
    txn: RoTxn<'static, WithoutTls>,
    last_page: usize,
    meta_pages: Vec<u8>,
}

impl Volume {
    /// A volume in the files `<name>.mdb` and `<name>.mdb-lock` of an existing folder. The files need not exist.
    pub(super) fn new(folder: &Path, name: &str, map_size: usize) -> Self {
        let map_size = whole_units(map_size);
        let data = folder.join(format!("{name}.mdb"));
        // LMDB uses this name if the environment is a file and not a folder.
        let lock = folder.join(format!("{name}.mdb-lock"));
        Self { data, lock, map_size, open: None }
    }

    /// The folder of the files.
    pub(super) fn folder(&self) -> &Path {
        self.data.parent().unwrap_or(&self.data)
    }

    /// Changes the map size. Does nothing while there is a pin, which would not survive closing the environment.
    pub(super) fn resize(&mut self, map_size: usize) -> Result<()> {
        let map_size = whole_units(map_size);
        let pinned = self.open.as_ref().is_some_and(|open| open.pin.is_some());
        if map_size != self.map_size && !pinned {
            self.close()?;
            self.map_size = map_size;
        }
        Ok(())
    }

    /// Address space in bytes that the environment takes while it is open.
    pub(super) fn map_size(&self) -> usize {
        self.map_size
    }

    /// Returns whether the environment is open.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Opens the environment if it is not open.
    pub(super) fn open(&mut self) -> Result<()> {
        self.ensure_open().map(drop)
    }

    /// Runs `f` in a write transaction, and commits it if `f` returns `Ok`.
    pub(super) fn write<R>(
        &mut self,
        commit: Commit,
        f: impl FnOnce(&mut WriteTxn<'_, '_>) -> Result<R>,
    ) -> Result<R> {
        let map_size = self.map_size;
        let open = self.ensure_open()?;
        match commit {
            Commit::Durable => {}
            Commit::Cached => {
                if open.is_crowded(map_size) {
                    open.pin = None;
                }
                open.pin()?;
            }
        }
        let txn = open.env.write_txn()?;
        let done = open.env.create_databases_and_commit(txn, |opener, txn| {
            let result = f(&mut WriteTxn::new(opener, txn)).map(Returned);
            Ok::<_, Error>(CommitOrAbort::from(result))
        })?;
        let value = Result::from(done)?;
        match commit {
            Commit::Durable => open.pin = None,
            Commit::Cached => {}
        }
        Ok(value)
    }

    /// Runs `f` in a read transaction.
    pub(super) fn read<R>(&mut self, f: impl FnOnce(&ReadTxn<'_, '_>) -> Result<R>) -> Result<R> {
        let open = self.ensure_open()?;
        let txn = open.env.read_txn()?;
        let done = open.env.open_databases_and_commit(txn, |opener, txn| {
            let result = f(&ReadTxn::new(opener, txn)).map(Returned);
            Ok::<_, Error>(CommitOrAbort::from(result))
        })?;
        done.into()
    }

    /// Makes a durable point: all commits so far survive power loss.
    pub(super) fn make_durable(&mut self) {
        if let Some(open) = &mut self.open {
            open.pin = None;
        }
    }

    /// Returns the number of commits that a power loss would undo.
    pub(super) fn undurable(&self) -> u64 {
        self.open.as_ref().map_or(0, OpenEnv::undurable)
    }

    /// Goes back to the last durable point. Returns the number of lost commits.
    pub(super) fn power_off(&mut self) -> Result<u64> {
        let lost = self.undurable();
        let Some(mut open) = self.open.take_if(|_| lost > 0) else {
            return Ok(0);
        };
        let meta_pages = open.pin.take().map(|pin| pin.meta_pages);
        let mut file = open.close(&self.data)?;
        if let Some(meta_pages) = meta_pages {
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&meta_pages)?;
        }
        Ok(lost)
    }

    /// Closes the environment. All commits are kept.
    pub(super) fn close(&mut self) -> Result<()> {
        match self.open.take() {
            Some(open) => open.close(&self.data).map(drop),
            None => Ok(()),
        }
    }

    /// Returns whether the volume was not used since it was created or wiped.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_none() && !context::outside(|| self.data.exists())
    }

    /// Closes the environment and deletes its files. The next use creates them again, empty.
    pub(super) fn wipe(&mut self) -> Result<()> {
        self.close()?;
        for file in [&self.data, &self.lock] {
            match context::outside(|| fs::remove_file(file)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn ensure_open(&mut self) -> Result<&mut OpenEnv> {
        if self.open.is_none() {
            // The files are the host's, on its memory disk.
            let open = || OpenEnv::new(&self.data, &self.lock, self.map_size);
            self.open = Some(context::outside(open)?);
        }
        Ok(self.open.as_mut().expect("opened above"))
    }
}

impl OpenEnv {
    fn new(data: &Path, lock: &Path, map_size: usize) -> Result<Self> {
        let mut whole = File::options();
        whole.read(true).write(true).create(true).truncate(false);
        let file = whole.open(data)?;
        // LMDB maps its lock file and writes to it. On a full file system in memory this would be a SIGBUS. Writing a byte here
        // allocates the page, or returns an error.
        whole.open(lock)?.write_all(&[0])?;

        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(map_size).max_dbs(MAX_TABLES).max_readers(MAX_READERS);
        // SAFETY: the files are in a folder that belongs to this run, and only this module writes to them: `power_off`, with the
        // environment closed, and this function, before it is opened. NO_SYNC affects only power loss of the real machine, which
        // ends the run anyway. LMDB's lock file is used, on a local disk.
        let env = unsafe {
            options.flags(EnvFlags::NO_SYNC | EnvFlags::NO_SUB_DIR);
            options.open(data)
        }?;
        Ok(Self { env, file, pin: None })
    }

    fn pin(&mut self) -> Result<()> {
        if self.pin.is_some() {
            return Ok(());
        }
        let txn = self.env.clone().static_read_txn()?;
        let mut meta_pages = vec![0; 2 * self.page_size()];
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_exact(&mut meta_pages)?;
        let last_page = self.env.info().last_page_number;
        self.pin = Some(Pin { txn, last_page, meta_pages });
        Ok(())
    }

    /// Returns whether half of the free pages at the pin are used, or less than an eighth of the map is free. Then a durable
    /// point is needed, so that LMDB can reuse pages before the map is full.
    fn is_crowded(&self, map_size: usize) -> bool {
        let Some(pin) = &self.pin else { return false };
        let (last, pages) = (self.env.info().last_page_number, map_size / self.page_size());
        let free_at_pin = pages.saturating_sub(pin.last_page);
        let free_now = pages.saturating_sub(last);
        free_now < free_at_pin / 2 || free_now < pages / 8
    }

    fn page_size(&self) -> usize {
        self.env.unnamed_database_stat().page_size as usize
    }

    fn undurable(&self) -> u64 {
        // LMDB numbers commits consecutively. A transaction without changes gets no number.
        self.pin.as_ref().map_or(0, |pin| (self.env.info().last_txn_id - pin.txn.id()) as u64)
    }

    /// Closes the environment in this file.
    fn close(self, path: &Path) -> Result<File> {
        let Self { env, file, pin } = self;
        drop(pin);
        // This is the last handle, so the environment closes at once. With another handle, the wait would never end.
        if !env.prepare_for_closing().wait_timeout(Duration::ZERO) {
            return Err(io::Error::other(StillInUse { file: path.to_owned() }).into());
        }
        Ok(file)
    }
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pin").field("txn", &self.txn.id()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
