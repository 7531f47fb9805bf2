//! LMDB in a real folder: its own fsync, its transactions on threads that may block.
//!
//! A store that was opened stays open as long as the process lives: LMDB can have a file open once in a process, and all who
//! open it share it. Transactions of one store run one after the other: heed has a lock round those that open tables.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use heed::{CommitOrAbort, Env, EnvFlags, EnvOpenOptions, WithoutTls};

use crate::storage::options::{MAX_TABLES, whole_units};
use crate::storage::txn::Returned;
use crate::storage::{Durability, Error, Options, ReadTxn, Result, WriteTxn, name};

/// Names the folder where [`set_folder`] did not.
const VARIABLE: &str = "SIMMACH_DATA_DIR";

/// More than tokio has threads for them.
const MAX_READERS: u32 = 1024;

static FOLDER: Mutex<Option<PathBuf>> = Mutex::new(None);

/// By their files.
static STORES: Mutex<BTreeMap<PathBuf, Arc<Opened>>> = Mutex::new(BTreeMap::new());

pub(crate) fn set_folder(folder: &Path) {
    *FOLDER.lock().unwrap_or_else(PoisonError::into_inner) = Some(folder.to_owned());
}

#[derive(Clone, Debug)]
pub(crate) struct Store(Arc<Opened>);

impl Store {
    pub(crate) async fn open(name: &str, options: Options) -> Result<Self> {
        name::check(name)?;
        let (folder, name) = (folder()?, name.to_owned());
        let opened = blocking(move || open(&folder, &name, options)).await?;
        Ok(Self(opened))
    }

    pub(crate) async fn write<R, F>(&self, f: F) -> Result<R>
    where
        F: FnOnce(&mut WriteTxn<'_, '_>) -> Result<R> + Send + 'static,
        R: Send + 'static,
    {
        let opened = Arc::clone(&self.0);
        // Whoever waits for LMDB's own lock would have a thread to wait on.
        let turn = Arc::clone(&opened.turn).lock_owned().await;
        blocking(move || {
            let value = opened.write(f);
            drop(turn);
            value
        })
        .await
    }

    pub(crate) async fn read<R, F>(&self, f: F) -> Result<R>
    where
        F: FnOnce(&ReadTxn<'_, '_>) -> Result<R> + Send + 'static,
        R: Send + 'static,
    {
        let opened = Arc::clone(&self.0);
        blocking(move || opened.read(f)).await
    }
}

/// A store's environment.
struct Opened {
    env: Env<WithoutTls>,
    name: String,
    options: Options,
    /// The writer's.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// A flush is on its way.
    flush_due: AtomicBool,
}

impl Opened {
    fn new(file: &Path, name: &str, options: Options) -> Result<Self> {
        let mut env = EnvOpenOptions::new().read_txn_without_tls();
        env.map_size(whole_units(options.size())).max_dbs(MAX_TABLES).max_readers(MAX_READERS);
        let flags = match options.commit() {
            Durability::EveryCommit => EnvFlags::NO_SUB_DIR,
            Durability::Periodic(_) => EnvFlags::NO_SUB_DIR | EnvFlags::NO_SYNC,
        };
        // SAFETY: LMDB maps the file, and takes it that nobody writes there but LMDB: it is the store's own, which the
        // documentation says, and its lock is kept. Within the process it is opened once, under the lock of `STORES`. Without
        // LMDB's own sync a loss of power may take what `Periodic` lets it take; on a file system that does not keep the
        // order of writes it may take more, which is documented there.
        let env = unsafe {
            env.flags(flags);
            env.open(file)
        }?;
        // What processes that were killed have left.
        env.clear_stale_readers()?;
        Ok(Self {
            env,
            name: name.to_owned(),
            options,
            turn: Arc::default(),
            flush_due: AtomicBool::new(false),
        })
    }

    fn write<R>(self: &Arc<Self>, f: impl FnOnce(&mut WriteTxn<'_, '_>) -> Result<R>) -> Result<R> {
        let txn = self.env.write_txn()?;
        let done = self.env.create_databases_and_commit(txn, |opener, txn| {
            let result = f(&mut WriteTxn::new(opener, txn)).map(Returned);
            Ok::<_, Error>(CommitOrAbort::from(result))
        })?;
        let value = Result::from(done)?;
        self.flush_later();
        Ok(value)
    }

    fn read<R>(&self, f: impl FnOnce(&ReadTxn<'_, '_>) -> Result<R>) -> Result<R> {
        let txn = self.env.read_txn()?;
        let done = self.env.open_databases_and_commit(txn, |opener, txn| {
            let result = f(&ReadTxn::new(opener, txn)).map(Returned);
            Ok::<_, Error>(CommitOrAbort::from(result))
        })?;
        done.into()
    }

    /// A period after the first commit that is not flushed, all are.
    fn flush_later(self: &Arc<Self>) {
        let Durability::Periodic(period) = self.options.commit() else { return };
        if self.flush_due.swap(true, Ordering::AcqRel) {
            return;
        }
        let due = Due(Arc::clone(self));
        tokio::task::spawn(async move {
            tokio::time::sleep(period).await;
            tokio::task::spawn_blocking(move || due.flush());
        });
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("path", &self.env.path())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// A flush on its way. Should its runtime end before it, the next commit sends another.
struct Due(Arc<Opened>);

impl Due {
    fn flush(self) {
        let store = Arc::clone(&self.0);
        // From here on a commit may come too late for this one.
        drop(self);
        if let Err(error) = store.env.force_sync() {
            tracing::error!("The store {:?} can't be flushed: {error}", store.name);
        }
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        self.0.flush_due.store(false, Ordering::Release);
    }
}

/// The store of this name in a folder: the one that is open, or opened now.
fn open(folder: &Path, name: &str, options: Options) -> Result<Arc<Opened>> {
    fs::create_dir_all(folder)?;
    let folder = folder.canonicalize()?;
    let file = folder.join(format!("{name}.mdb"));
    let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(opened) = stores.get(&file) {
        if opened.options == options {
            return Ok(Arc::clone(opened));
        }
        return Err(Error::Options(format!(
            "the store {name:?} is open in this process with other options: {:?}",
            opened.options
        )));
    }
    let opened = Arc::new(Opened::new(&file, name, options)?);
    // The file has a name only once the folder is on the disk.
    if cfg!(unix) {
        File::open(&folder)?.sync_all()?;
    }
    stores.insert(file, Arc::clone(&opened));
    Ok(opened)
}

fn folder() -> Result<PathBuf> {
    let named = FOLDER.lock().unwrap_or_else(PoisonError::into_inner).clone();
    named.or_else(|| std::env::var_os(VARIABLE).map(PathBuf::from)).ok_or_else(|| {
        let text = format!(
            "there is no folder for stores: name one by simmach::storage::set_folder, or by {VARIABLE}"
        );
        Error::Io(io::Error::new(io::ErrorKind::NotFound, text))
    })
}

/// Runs `f` where it may block. Its panic is the caller's.
async fn blocking<R: Send + 'static>(f: impl FnOnce() -> Result<R> + Send + 'static) -> Result<R> {
    match tokio::task::spawn_blocking(f).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime is shutting down.
            Err(_) => Err(Error::Closed),
        },
    }
}
