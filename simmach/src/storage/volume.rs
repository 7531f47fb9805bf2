//! One LMDB environment that can lose its power.
//!
//! Modelled, exactly: which committed transactions survive. A commit is [`Cached`](Commit::Cached) until a durable point
//! follows; losing the power takes the store back to the last durable point, with every table, page and free list as it
//! was there. Not modelled: torn pages, and a disk that lies about what is durable.
//!
//! How: LMDB never writes over a page that a reader may still see. Before the first commit after a durable point a read
//! transaction is opened, the *pin*, and the two meta pages are kept: they are the roots of all that is durable. While the pin
//! stands none of its pages is written to, and the file grows; before it fills the map there is a durable point ahead of
//! time, as with a kernel that is short of memory. To lose the power is to close the environment and to write these two pages
//! back. Where every commit is durable there is never a pin and the power takes nothing: that case costs nothing.
//!
//! Knows nothing of the engine, of time or of machines.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use heed::{CommitOrAbort, Env, EnvFlags, EnvOpenOptions, RoTxn, WithoutTls};

use crate::storage::error::{Error, Result};
use crate::storage::options::{MAX_TABLES, whole_units};
use crate::storage::txn::{ReadTxn, Returned, WriteTxn};

/// The pin, the transaction that is running, and one to spare.
const MAX_READERS: u32 = 3;

/// Whether a commit is on the disk when it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Commit {
    /// It survives a loss of power, and all commits before it do.
    Durable,
    /// It survives the process but not the power, until a durable point follows.
    Cached,
}

/// One environment, its two files, and its last durable point.
#[derive(Debug)]
pub(super) struct Volume {
    data: PathBuf,
    lock: PathBuf,
    map_size: usize,
    /// `None` until first used, and after a loss of power.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    env: Env<WithoutTls>,
    /// LMDB's data file once more, for its meta pages.
    file: File,
    /// `None`: all that is committed is durable.
    pin: Option<Pin>,
}

/// A durable point that commits followed.
struct Pin {
    txn: RoTxn<'static, WithoutTls>,
    last_page: usize,
    meta_pages: Vec<u8>,
}

impl Volume {
    /// The volume in the files `<name>.mdb` and `<name>.lock` of `folder`, which exists; the files need not.
    pub(super) fn new(folder: &Path, name: &str, map_size: usize) -> Self {
        let map_size = whole_units(map_size);
        let data = folder.join(format!("{name}.mdb"));
        // Where LMDB puts it when the environment is a file and not a folder.
        let lock = folder.join(format!("{name}.mdb-lock"));
        Self { data, lock, map_size, open: None }
    }

    /// The folder that its files are in.
    pub(super) fn folder(&self) -> &Path {
        self.data.parent().unwrap_or(&self.data)
    }

    /// Gives the map another size. While commits are not durable it keeps the one it has: the pin can't be moved.
    pub(super) fn resize(&mut self, map_size: usize) -> Result<()> {
        let map_size = whole_units(map_size);
        let pinned = self.open.as_ref().is_some_and(|open| open.pin.is_some());
        if map_size != self.map_size && !pinned {
            self.close()?;
            self.map_size = map_size;
        }
        Ok(())
    }

    /// How much address space it takes while it is open.
    pub(super) fn map_size(&self) -> usize {
        self.map_size
    }

    /// Whether its map and its files are open.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Opens the environment if it is not open.
    pub(super) fn open(&mut self) -> Result<()> {
        self.opened().map(drop)
    }

    /// Runs `f` in a write transaction and commits it, unless `f` answers an error, which is returned.
    pub(super) fn write<R>(
        &mut self,
        commit: Commit,
        f: impl FnOnce(&mut WriteTxn<'_, '_>) -> Result<R>,
    ) -> Result<R> {
        let map_size = self.map_size;
        let open = self.opened()?;
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
        let open = self.opened()?;
        let txn = open.env.read_txn()?;
        let done = open.env.open_databases_and_commit(txn, |opener, txn| {
            let result = f(&ReadTxn::new(opener, txn)).map(Returned);
            Ok::<_, Error>(CommitOrAbort::from(result))
        })?;
        done.into()
    }

    /// Makes a durable point: all that is committed now survives a loss of power.
    pub(super) fn make_durable(&mut self) {
        if let Some(open) = &mut self.open {
            open.pin = None;
        }
    }

    /// How many commits a loss of power would take.
    pub(super) fn undurable(&self) -> u64 {
        self.open.as_ref().map_or(0, Open::undurable)
    }

    /// Loses the power: back to the last durable point. Answers how many commits were lost.
    pub(super) fn power_off(&mut self) -> Result<u64> {
        let lost = self.undurable();
        let Some(mut open) = self.open.take_if(|_| lost > 0) else {
            return Ok(0);
        };
        let meta_pages = open.pin.take().map(|pin| pin.meta_pages);
        let mut file = open.close()?;
        if let Some(meta_pages) = meta_pages {
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&meta_pages)?;
        }
        Ok(lost)
    }

    /// Closes the environment, keeping everything that was committed.
    pub(super) fn close(&mut self) -> Result<()> {
        match self.open.take() {
            Some(open) => open.close().map(drop),
            None => Ok(()),
        }
    }

    /// True if it was not used yet, or not since it was wiped.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_none() && !self.data.exists()
    }

    /// Closes the environment and deletes its files; used again it is a new, empty one.
    pub(super) fn wipe(&mut self) -> Result<()> {
        self.close()?;
        for file in [&self.data, &self.lock] {
            match fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn opened(&mut self) -> Result<&mut Open> {
        if self.open.is_none() {
            self.open = Some(Open::new(&self.data, &self.lock, self.map_size)?);
        }
        Ok(self.open.as_mut().expect("opened above"))
    }
}

impl Open {
    fn new(data: &Path, lock: &Path, map_size: usize) -> Result<Self> {
        let mut whole = File::options();
        whole.read(true).write(true).create(true).truncate(false);
        let file = whole.open(data)?;
        // LMDB maps its lock file and writes there. With no room for it on a memory disk that would be a SIGBUS; one
        // byte written gives it its page, or is an error.
        whole.open(lock)?.write_all(&[0])?;

        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(map_size).max_dbs(MAX_TABLES).max_readers(MAX_READERS);
        // SAFETY: the files are in a folder that is this run's alone, and nothing but this module writes to them:
        // `power_off`, with the environment closed, and here, before it is opened. NO_SYNC gives up durability towards
        // the real machine, whose loss of power ends the run anyway; LMDB keeps its lock, on a local disk.
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

    /// True if half of the room that there was at the pin is used, or there is little left at all: then only what a
    /// durable point sets free keeps the next transaction from finding the map full.
    fn is_crowded(&self, map_size: usize) -> bool {
        let Some(pin) = &self.pin else { return false };
        let (last, pages) = (self.env.info().last_page_number, map_size / self.page_size());
        let room_then = pages.saturating_sub(pin.last_page);
        let room_now = pages.saturating_sub(last);
        room_now < room_then / 2 || room_now < pages / 8
    }

    fn page_size(&self) -> usize {
        self.env.unnamed_database_stat().page_size as usize
    }

    fn undurable(&self) -> u64 {
        // LMDB numbers its commits one by one; a transaction that changed nothing gets no number.
        self.pin.as_ref().map_or(0, |pin| (self.env.info().last_txn_id - pin.txn.id()) as u64)
    }

    fn close(self) -> Result<File> {
        let Self { env, file, pin } = self;
        drop(pin);
        // This is the last handle, so the environment closes here. Were it not, waiting would be for ever.
        if !env.prepare_for_closing().wait_timeout(Duration::ZERO) {
            return Err(io::Error::other("an LMDB environment is still in use").into());
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
