//! Stores outside a run: LMDB in a real folder, with fsync, and transactions on blocking threads.
//!
//! A process can open an LMDB file only once, so all handles of a store share one environment. When
//! the last handle is dropped, pending commits are flushed and the environment is closed.
//! Transactions of one store do not run in parallel, since heed locks around transactions that open
//! tables.

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

/// Environment variable for the folder of stores, if [`set_folder`] was not called.
const VARIABLE: &str = "SIMMACH_DATA_DIR";

/// Maximum number of readers. It exceeds the number of blocking threads that tokio has by default.
const MAX_READERS: u32 = 1024;

static FOLDER: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Open stores, by file. A store stays here after its last handle has been dropped, until the store
/// is closed.
static STORES: Mutex<Stores> = Mutex::new(BTreeMap::new());

/// Notified when a store is closed.
static CLOSED: Condvar = Condvar::new();

type Stores = BTreeMap<PathBuf, Weak<OpenStore>>;

thread_local! {
    /// Stores whose closures are running on this thread.
    static ACTIVE: RefCell<Vec<*const OpenStore>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn set_folder(folder: &Path) {
    *FOLDER.lock().unwrap_or_else(PoisonError::into_inner) = Some(folder.to_owned());
}

#[derive(Clone, Debug)]
pub(crate) struct Store(Arc<OpenStore>);

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
        ActiveClosure::ensure_none(&opened)?;
        // Waiting here instead of for LMDB's lock does not occupy a blocking thread.
        let turn = Arc::clone(&opened.turn).lock_owned().await;
        blocking(move || {
            let value = opened.write(f);
            drop(turn);
            value.map_err(|error| error.in_store(&opened.name, whole_units(opened.options.size())))
        })
        .await
    }

    pub(crate) async fn read<R, F>(&self, f: F) -> Result<R>
    where
        F: FnOnce(&ReadTxn<'_, '_>) -> Result<R> + Send + 'static,
        R: Send + 'static,
    {
        let opened = Arc::clone(&self.0);
        ActiveClosure::ensure_none(&opened)?;
        blocking(move || opened.read(f)).await
    }
}

/// An open store, shared by its handles.
struct OpenStore {
    /// `None` only while this is dropped.
    env: Option<Env<WithoutTls>>,
    file: PathBuf,
    name: String,
    options: Options,
    /// Held by the writer.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Whether a flush is scheduled.
    flush_due: AtomicBool,
    /// Whether there are commits since the last flush began.
    is_dirty: AtomicBool,
    #[cfg(test)]
    flushes: Arc<std::sync::atomic::AtomicUsize>,
}

impl OpenStore {
    fn new(file: &Path, name: &str, options: Options) -> Result<Self> {
        let mut env = EnvOpenOptions::new().read_txn_without_tls();
        env.map_size(whole_units(options.size())).max_dbs(MAX_TABLES).max_readers(MAX_READERS);
        let flags = match options.commit() {
            Durability::EveryCommit => EnvFlags::NO_SUB_DIR,
            Durability::Periodic(_) => EnvFlags::NO_SUB_DIR | EnvFlags::NO_SYNC,
        };
        // SAFETY: LMDB maps the file and requires that only LMDB writes to it. The file belongs to the store, as documented, and
        // LMDB's lock file is used. Within the process it is opened once, under the lock of `STORES`. `NO_SYNC` may lose commits
        // on power loss, as `Periodic` documents, and more than that on file systems that reorder writes, as documented there.
        let env = unsafe {
            env.flags(flags);
            env.open(file)
        }?;
        // Killed processes may have left entries behind.
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
        self.env.as_ref().expect("open until dropped")
    }

    fn write<R>(self: &Arc<Self>, f: impl FnOnce(&mut WriteTxn<'_, '_>) -> Result<R>) -> Result<R> {
        let closure = ActiveClosure::new(self);
        let txn = self.env().write_txn()?;
        let done = self.env().create_databases_and_commit(txn, |opener, txn| {
            let result = f(&mut WriteTxn::new(opener, txn)).map(Returned);
            Ok::<_, Error>(CommitOrAbort::from(result))
        })?;
        drop(closure);
        let value = Result::from(done)?;
        self.schedule_flush();
        Ok(value)
    }

    fn read<R>(self: &Arc<Self>, f: impl FnOnce(&ReadTxn<'_, '_>) -> Result<R>) -> Result<R> {
        let _closure = ActiveClosure::new(self);
        let txn = self.env().read_txn()?;
        let done = self.env().open_databases_and_commit(txn, |opener, txn| {
            let result = f(&ReadTxn::new(opener, txn)).map(Returned);
            Ok::<_, Error>(CommitOrAbort::from(result))
        })?;
        done.into()
    }

    /// Schedules a flush after a commit, unless one is scheduled already.
    fn schedule_flush(self: &Arc<Self>) {
        let Durability::Periodic(period) = self.options.commit() else { return };
        self.is_dirty.store(true, Ordering::Release);
        if self.flush_due.swap(true, Ordering::AcqRel) {
            return;
        }
        let flush = ScheduledFlush(Arc::clone(self));
        tokio::task::spawn(async move {
            tokio::time::sleep(period).await;
            tokio::task::spawn_blocking(move || flush.run());
        });
    }

    /// Flushes if there are commits since the last flush.
    fn flush(&self) {
        if !self.is_dirty.swap(false, Ordering::AcqRel) {
            return;
        }
        #[cfg(test)]
        self.flushes.fetch_add(1, Ordering::AcqRel);
        if let Err(error) = self.env().force_sync() {
            tracing::error!("flushing the store {:?} failed: {error}", self.name);
        }
    }
}

/// Closes the store. Only then can the file be opened again.
impl Drop for OpenStore {
    fn drop(&mut self) {
        self.flush();
        let mut stores = stores();
        drop(self.env.take());
        stores.remove(&self.file);
        CLOSED.notify_all();
    }
}

impl fmt::Debug for OpenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenStore")
            .field("path", &self.file)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// A scheduled flush. If its runtime ends first, dropping the flush lets the next commit schedule a new one.
struct ScheduledFlush(Arc<OpenStore>);

impl ScheduledFlush {
    fn run(self) {
        let store = Arc::clone(&self.0);
        // A commit from here on may miss this flush, so it must schedule another.
        drop(self);
        store.flush();
    }
}

impl Drop for ScheduledFlush {
    fn drop(&mut self) {
        self.0.flush_due.store(false, Ordering::Release);
    }
}

/// Marks that this thread runs a closure of a store. A transaction of the same store inside the closure would deadlock.
struct ActiveClosure;

impl ActiveClosure {
    fn new(store: &Arc<OpenStore>) -> Self {
        ACTIVE.with_borrow_mut(|active| active.push(Arc::as_ptr(store)));
        Self
    }

    fn ensure_none(store: &Arc<OpenStore>) -> Result<()> {
        let is_active = ACTIVE.with_borrow(|active| active.contains(&Arc::as_ptr(store)));
        if is_active { Err(Error::Nested) } else { Ok(()) }
    }
}

impl Drop for ActiveClosure {
    fn drop(&mut self) {
        ACTIVE.with_borrow_mut(Vec::pop);
    }
}

fn stores() -> MutexGuard<'static, Stores> {
    STORES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the store of this name in a folder, and opens it if it is not open.
fn open(folder: &Path, name: &str, options: Options) -> Result<Arc<OpenStore>> {
    fs::create_dir_all(folder)?;
    let folder = folder.canonicalize()?;
    let file = folder.join(format!("{name}.mdb"));
    let mut stores = stores();
    while let Some(known) = stores.get(&file) {
        let Some(opened) = known.upgrade() else {
            // The last handle was dropped, and the store is about to be closed.
            stores = CLOSED.wait(stores).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        // Dropping `opened` locks `STORES` if it is the last handle by now.
        drop(stores);
        if opened.options == options {
            return Ok(opened);
        }
        return Err(Error::Options(format!(
            "the store {name:?} is already open with {:?}, and cannot be opened with {options:?}: use the same `Options` in \
             every `open`",
            opened.options
        )));
    }
    let opened = Arc::new(OpenStore::new(&file, name, options)?);
    stores.insert(file, Arc::downgrade(&opened));
    drop(stores);
    // The new file is durable only after its folder was synced.
    if cfg!(unix) {
        File::open(&folder)?.sync_all()?;
    }
    Ok(opened)
}

fn folder() -> Result<PathBuf> {
    let named = FOLDER.lock().unwrap_or_else(PoisonError::into_inner).clone();
    named.or_else(|| std::env::var_os(VARIABLE).map(PathBuf::from)).ok_or_else(|| {
        let text =
            format!("no folder for stores: call simmach::storage::set_folder or set {VARIABLE}");
        Error::Io(io::Error::new(io::ErrorKind::NotFound, text))
    })
}

/// Runs `f` on a blocking thread, and resumes its panic in the caller.
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
