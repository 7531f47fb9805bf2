//! LMDB in a real folder: its own fsync, its transactions on threads that may block.
//!
//! LMDB can have a file open once in a process, so all who open a store share it; it is closed with its last handle, and what
//! was not yet flushed is flushed then. Transactions of one store run one after the other: heed has a lock round those that
//! open tables.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::{fmt, io};

use heed::{CommitOrAbort, Env, EnvFlags, EnvOpenOptions, WithoutTls};

use crate::storage::options::{MAX_TABLES, whole_units};
use crate::storage::txn::Returned;
use crate::storage::{Durability, Error, Options, ReadTxn, Result, WriteTxn, name};

/// Names the folder where [`set_folder`] did not.
const VARIABLE: &str = "SIMMACH_DATA_DIR";

/// More than tokio has threads for them.
const MAX_READERS: u32 = 1024;

static FOLDER: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Those that are open, by their files. One whose last handle is gone is still here until it is closed.
static STORES: Mutex<Stores> = Mutex::new(BTreeMap::new());

/// Told when a store is closed.
static CLOSED: Condvar = Condvar::new();

type Stores = BTreeMap<PathBuf, Weak<Opened>>;

thread_local! {
    /// The stores in whose closures this thread is.
    static WITHIN: RefCell<Vec<*const Opened>> = const { RefCell::new(Vec::new()) };
}

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
        Within::check(&opened)?;
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
        Within::check(&opened)?;
        blocking(move || opened.read(f)).await
    }
}

/// A store's environment.
struct Opened {
    /// There until it is dropped.
    env: Option<Env<WithoutTls>>,
    file: PathBuf,
    name: String,
    options: Options,
    /// The writer's.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// A flush is on its way.
    flush_due: AtomicBool,
    /// There are commits that no flush was begun after.
    is_dirty: AtomicBool,
    #[cfg(test)]
    flushes: Arc<std::sync::atomic::AtomicUsize>,
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
            env: Some(env),
            file: file.to_owned(),
            name: name.to_owned(),
            options,
            turn: Arc::default(),
            flush_due: AtomicBool::new(false),
            is_dirty: AtomicBool::new(false),
            #[cfg(test)]
            flushes: Arc::default(),
        })
    }

    fn env(&self) -> &Env<WithoutTls> {
        self.env.as_ref().expect("it is there until this is dropped")
    }

    fn write<R>(self: &Arc<Self>, f: impl FnOnce(&mut WriteTxn<'_, '_>) -> Result<R>) -> Result<R> {
        let within = Within::new(self);
        let txn = self.env().write_txn()?;
        let done = self.env().create_databases_and_commit(txn, |opener, txn| {
            let result = f(&mut WriteTxn::new(opener, txn)).map(Returned);
            Ok::<_, Error>(CommitOrAbort::from(result))
        })?;
        drop(within);
        let value = Result::from(done)?;
        self.flush_later();
        Ok(value)
    }

    fn read<R>(self: &Arc<Self>, f: impl FnOnce(&ReadTxn<'_, '_>) -> Result<R>) -> Result<R> {
        let _within = Within::new(self);
        let txn = self.env().read_txn()?;
        let done = self.env().open_databases_and_commit(txn, |opener, txn| {
            let result = f(&ReadTxn::new(opener, txn)).map(Returned);
            Ok::<_, Error>(CommitOrAbort::from(result))
        })?;
        done.into()
    }

    /// A period after the first commit that is not flushed, all are.
    fn flush_later(self: &Arc<Self>) {
        let Durability::Periodic(period) = self.options.commit() else { return };
        self.is_dirty.store(true, Ordering::Release);
        if self.flush_due.swap(true, Ordering::AcqRel) {
            return;
        }
        let due = Due(Arc::clone(self));
        tokio::task::spawn(async move {
            tokio::time::sleep(period).await;
            tokio::task::spawn_blocking(move || due.flush());
        });
    }

    /// Flushes what was committed, if anything was.
    fn flush(&self) {
        if !self.is_dirty.swap(false, Ordering::AcqRel) {
            return;
        }
        #[cfg(test)]
        self.flushes.fetch_add(1, Ordering::AcqRel);
        if let Err(error) = self.env().force_sync() {
            tracing::error!("The store {:?} can't be flushed: {error}", self.name);
        }
    }
}

/// Closes it: once the file is no more open, it may be opened anew.
impl Drop for Opened {
    fn drop(&mut self) {
        self.flush();
        let mut stores = stores();
        drop(self.env.take());
        stores.remove(&self.file);
        CLOSED.notify_all();
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("path", &self.file)
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
        store.flush();
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        self.0.flush_due.store(false, Ordering::Release);
    }
}

/// This thread is inside a closure of a store, which must not wait for that store: it would wait for itself.
struct Within;

impl Within {
    fn new(store: &Arc<Opened>) -> Self {
        WITHIN.with_borrow_mut(|within| within.push(Arc::as_ptr(store)));
        Self
    }

    fn check(store: &Arc<Opened>) -> Result<()> {
        let is_within = WITHIN.with_borrow(|within| within.contains(&Arc::as_ptr(store)));
        if is_within { Err(Error::Nested) } else { Ok(()) }
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        WITHIN.with_borrow_mut(Vec::pop);
    }
}

fn stores() -> MutexGuard<'static, Stores> {
    STORES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The store of this name in a folder: the one that is open, or opened now.
fn open(folder: &Path, name: &str, options: Options) -> Result<Arc<Opened>> {
    fs::create_dir_all(folder)?;
    let folder = folder.canonicalize()?;
    let file = folder.join(format!("{name}.mdb"));
    let mut stores = stores();
    while let Some(known) = stores.get(&file) {
        let Some(opened) = known.upgrade() else {
            // Its last handle is gone, and it is about to be closed.
            stores = CLOSED.wait(stores).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        // This may have become the last handle.
        drop(stores);
        if opened.options == options {
            return Ok(opened);
        }
        return Err(Error::Options(format!(
            "the store {name:?} is open in this process with other options: {:?}",
            opened.options
        )));
    }
    let opened = Arc::new(Opened::new(&file, name, options)?);
    stores.insert(file, Arc::downgrade(&opened));
    drop(stores);
    // The file has a name only once the folder is on the disk.
    if cfg!(unix) {
        File::open(&folder)?.sync_all()?;
    }
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
