//! The descriptors of a run, and the files that they name.

use std::collections::VecDeque;
use std::ffi::c_int;
use std::sync::Arc;
use std::task::{Wake, Waker};

use slab::Slab;
use smallvec::SmallVec;

use crate::engine::{self, RunId, Slot};
use crate::interpose::system::{Answer, Errno, FIRST_DESCRIPTOR};
use crate::net::simulated::kernel::streams::ConnectionInfo;
use crate::net::simulated::key::SocketKey;
use crate::system::channel::{ReadEnd, WriteEnd};
use crate::system::epoll::Epoll;
use crate::system::files::OpenFile;
use crate::system::socket_options::Options;
use crate::system::unix::{SocketId, UnixSockets};
use crate::system::uuid_file::UuidFile;

thread_local! {
    pub(crate) static DESCRIPTORS: Slot<Descriptors> = const { Slot::new() };
}

/// Number of low bits of a descriptor, which select an entry of the table. The bits above, up to
/// the bit of [`FIRST_DESCRIPTOR`], count how often the entry was used before. So a closed
/// descriptor is not mistaken for a new one.
const ENTRY_BITS: u32 = 16;
const MAX_ENTRIES: usize = 1 << ENTRY_BITS;
const MAX_USES: u16 = 1 << (30 - ENTRY_BITS);

/// The id of a file. An id is never reused within its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    slot: u32,
    serial: u32,
}

/// The descriptors of a run and their files.
pub(crate) struct Descriptors {
    run: RunId,
    entries: Vec<Entry>,
    /// Closed entries. They are used again in the order in which they were closed.
    free: VecDeque<u16>,
    files: Slab<File>,
    serial: u32,
    pub(super) unix: UnixSockets,
}

#[derive(Debug)]
struct Entry {
    uses: u16,
    file: Option<FileId>,
}

/// An open file, to which one or more descriptors refer, since `dup` copies descriptors.
pub(crate) struct File {
    serial: u32,
    descriptors: u32,
    pub(crate) is_nonblocking: bool,
    /// Options that are stored, and options that are applied to a UDP socket when it is bound.
    pub(crate) options: Options,
    pub(crate) kind: FileKind,
    /// The epoll instances that watch the file, each with the descriptor under which it watches.
    pub(crate) watchers: SmallVec<[(FileId, c_int); 1]>,
    /// Threads that wait for the file in a call.
    waiters: Vec<Waker>,
    /// The waker that the network calls, which calls [`notify`] for the file.
    waker: Waker,
}

/// The kinds of files.
pub(crate) enum FileKind {
    /// An eventfd.
    Counter { count: u64, is_semaphore: bool },
    /// An epoll instance.
    Epoll(Epoll),
    /// A TCP socket that is neither listening nor connected.
    Unconnected { key: SocketKey, v6: bool },
    /// A TCP listener.
    Listener { key: SocketKey },
    /// A TCP connection, once `connect` has begun.
    Stream { info: ConnectionInfo, is_read_shut: bool },
    /// A UDP socket; without a key it is not bound.
    Datagrams { key: Option<SocketKey>, v6: bool },
    /// A Unix socket.
    Unix(SocketId),
    /// The end of a pipe for reading.
    PipeReader(ReadEnd),
    /// The end of a pipe for writing.
    PipeWriter(WriteEnd),
    /// `/dev/urandom`.
    Random,
    /// `/proc/sys/kernel/random/uuid`.
    Uuid(UuidFile),
    /// A file or folder of a machine's disk.
    Disk(Box<OpenFile>),
}

struct FileWaker {
    run: RunId,
    file: FileId,
}

impl Wake for FileWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if engine::run_id() == Some(self.run) {
            notify(self.file);
        }
    }
}

/// Creates the descriptors of this thread's run.
pub(crate) fn install(run: RunId) {
    DESCRIPTORS.with(|slot| {
        slot.install(Descriptors::new(run));
    });
}

/// Removes the descriptors of this thread's run. Closing a remaining descriptor later succeeds and does nothing.
pub(crate) fn remove() {
    drop(DESCRIPTORS.with(Slot::remove));
}

/// Calls `f` with the run's descriptors. `f` must not call wakers, which may come back here.
#[inline]
pub(super) fn with<R>(f: impl FnOnce(&mut Descriptors) -> Answer<R>) -> Answer<R> {
    const MISSING: Errno = Errno(libc::EBADF);
    let called = DESCRIPTORS.try_with(|slot| slot.with(f).unwrap_or(Err(MISSING)));
    called.unwrap_or(Err(MISSING))
}

/// Calls `f` with the file of a descriptor.
#[inline]
pub(super) fn with_file<R>(
    descriptor: c_int,
    f: impl FnOnce(FileId, &mut File) -> Answer<R>,
) -> Answer<R> {
    with(|descriptors| {
        let id = descriptors.id_of(descriptor)?;
        f(id, descriptors.file(id)?)
    })
}

/// Opens a file and returns its descriptor. Destructors of an ended process may do so, too.
pub(super) fn open(kind: FileKind, is_nonblocking: bool) -> Answer<c_int> {
    with(|descriptors| descriptors.open(kind, is_nonblocking))
}

/// Registers `waker`, to be woken when something happens to a file. A second call with the same waker has no effect.
pub(super) fn add_waiter(id: FileId, waker: &Waker) -> Answer<()> {
    with(|descriptors| {
        descriptors.file(id)?.add_waiter(waker);
        Ok(())
    })
}

/// Wakes the epoll instances and the threads that wait for a file, because something happened to it.
pub(super) fn notify(id: FileId) {
    let woken = with(|descriptors| Ok(descriptors.notify(id)));
    woken.into_iter().flatten().for_each(Waker::wake);
}

impl Descriptors {
    fn new(run: RunId) -> Self {
        Self {
            run,
            entries: Vec::new(),
            free: VecDeque::new(),
            files: Slab::new(),
            serial: 0,
            unix: UnixSockets::default(),
        }
    }

    fn open(&mut self, kind: FileKind, is_nonblocking: bool) -> Answer<c_int> {
        self.serial += 1;
        let slot = self.files.vacant_entry();
        let id = FileId { slot: slot.key() as u32, serial: self.serial };
        slot.insert(File {
            serial: id.serial,
            descriptors: 0,
            is_nonblocking,
            options: Options::default(),
            kind,
            watchers: SmallVec::new(),
            waiters: Vec::new(),
            waker: Waker::from(Arc::new(FileWaker { run: self.run, file: id })),
        });
        self.open_again(id)
    }

    /// Gives a file an additional descriptor.
    pub(super) fn open_again(&mut self, id: FileId) -> Answer<c_int> {
        let entry = match self.free.pop_front() {
            Some(entry) => entry,
            None if self.entries.len() == MAX_ENTRIES => return Err(Errno(libc::EMFILE)),
            None => {
                self.entries.push(Entry { uses: 0, file: None });
                (self.entries.len() - 1) as u16
            }
        };
        self.file(id)?.descriptors += 1;
        let own = &mut self.entries[usize::from(entry)];
        own.file = Some(id);
        Ok(FIRST_DESCRIPTOR + (c_int::from(own.uses) << ENTRY_BITS) + c_int::from(entry))
    }

    /// The file of a descriptor.
    pub(super) fn id_of(&self, descriptor: c_int) -> Answer<FileId> {
        let number = descriptor.checked_sub(FIRST_DESCRIPTOR).filter(|number| *number >= 0);
        let number = number.ok_or(Errno(libc::EBADF))? as usize;
        let entry = self.entries.get(number % MAX_ENTRIES);
        let entry = entry.filter(|entry| usize::from(entry.uses) == number / MAX_ENTRIES);
        entry.and_then(|entry| entry.file).ok_or(Errno(libc::EBADF))
    }

    pub(super) fn file(&mut self, id: FileId) -> Answer<&mut File> {
        let file = self.files.get_mut(id.slot as usize);
        file.filter(|file| file.serial == id.serial).ok_or(Errno(libc::EBADF))
    }

    pub(super) fn files_mut(&mut self) -> impl Iterator<Item = &mut File> {
        self.files.iter_mut().map(|(_, file)| file)
    }

    /// Closes a descriptor. Returns the file if this was its last descriptor.
    pub(super) fn close(&mut self, descriptor: c_int) -> Answer<Option<File>> {
        let id = self.id_of(descriptor)?;
        let entry = (descriptor - FIRST_DESCRIPTOR) as usize % MAX_ENTRIES;
        let own = &mut self.entries[entry];
        own.file = None;
        own.uses = (own.uses + 1) % MAX_USES;
        self.free.push_back(entry as u16);
        let file = self.file(id)?;
        file.descriptors -= 1;
        if file.descriptors > 0 {
            return Ok(None);
        }
        let file = self.files.remove(id.slot as usize);
        for (epoll, descriptor) in &file.watchers {
            if let Ok(File { kind: FileKind::Epoll(epoll), .. }) = self.file(*epoll) {
                epoll.forget(*descriptor);
            }
        }
        Ok(Some(file))
    }

    /// Queues a file at the epoll instances that watch it. Returns the wakers to wake.
    #[must_use]
    pub(super) fn notify(&mut self, id: FileId) -> SmallVec<[Waker; 2]> {
        let Ok(file) = self.file(id) else { return SmallVec::new() };
        let mut woken: SmallVec<[Waker; 2]> = file.waiters.drain(..).collect();
        for (epoll, descriptor) in file.watchers.clone() {
            woken.extend(self.queue(epoll, descriptor));
        }
        woken
    }

    /// Queues a descriptor at an epoll instance. Returns the waker that waits for the instance.
    #[must_use]
    pub(super) fn queue(&mut self, epoll: FileId, descriptor: c_int) -> SmallVec<[Waker; 2]> {
        let Ok(file) = self.file(epoll) else { return SmallVec::new() };
        let FileKind::Epoll(own) = &mut file.kind else { return SmallVec::new() };
        if !own.queue(descriptor) {
            return SmallVec::new();
        }
        let mut woken: SmallVec<[Waker; 2]> = own.waiter.take().into_iter().collect();
        // An epoll instance may itself be watched.
        if file.is_watched() {
            woken.extend(self.notify(epoll));
        }
        woken
    }
}

impl File {
    /// Whether an epoll instance or a thread waits for the file.
    pub(super) fn is_watched(&self) -> bool {
        !self.watchers.is_empty() || !self.waiters.is_empty()
    }

    fn add_waiter(&mut self, waker: &Waker) {
        if !self.waiters.iter().any(|waiter| waiter.will_wake(waker)) {
            self.waiters.push(waker.clone());
        }
    }

    pub(super) fn waker(&self) -> &Waker {
        &self.waker
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct NoWake;

    impl Wake for NoWake {
        fn wake(self: Arc<Self>) {}
    }

    fn descriptors() -> Descriptors {
        Descriptors::new(RunId::next())
    }

    #[test]
    fn closed_number_is_not_taken_for_a_new_one() {
        let mut own = descriptors();
        let mut before = Vec::new();
        for _ in 0..100 {
            let opened = own.open(FileKind::Random, false).expect("there is room");
            assert!(!before.contains(&opened), "{before:?} {opened}");
            own.close(opened).expect("it is open");
            assert_eq!(own.id_of(opened), Err(Errno(libc::EBADF)));
            assert!(own.close(opened).is_err());
            before.push(opened);
        }
        assert_eq!(own.entries.len(), 1, "the entry is used again");
    }

    #[test]
    fn entries_are_used_again_in_the_order_of_closing() {
        let mut own = descriptors();
        let mut open = || own.open(FileKind::Random, false).expect("there is room");
        let [first, second, third] = [open(), open(), open()];
        for closed in [third, first, second] {
            own.close(closed).expect("it is open");
        }
        let entry = |descriptor: c_int| (descriptor - FIRST_DESCRIPTOR) % (1 << ENTRY_BITS);
        for closed in [third, first, second] {
            let opened = own.open(FileKind::Random, false).expect("there is room");
            assert_eq!(entry(opened), entry(closed));
        }
    }

    #[test]
    fn file_is_closed_with_its_last_descriptor() {
        let mut own = descriptors();
        let one = own.open(FileKind::Random, false).expect("there is room");
        let other = own.id_of(one).and_then(|id| own.open_again(id)).expect("it is open");
        assert!(own.close(one).expect("it is open").is_none());
        assert!(own.close(other).expect("it is open").is_some());
        assert!(own.files.is_empty());
    }

    /// A thread that waits again and again, each time in vain, is there once.
    #[test]
    fn waiter_is_added_once() {
        let mut own = descriptors();
        let opened = own.open(FileKind::Random, false).expect("there is room");
        let id = own.id_of(opened).expect("it is open");
        let [one, other] = [(); 2].map(|()| Waker::from(Arc::new(NoWake)));
        for waker in [&one, &other, &one, &one.clone()] {
            own.file(id).expect("it is open").add_waiter(waker);
        }
        assert_eq!(own.notify(id).len(), 2);
        assert_eq!(own.notify(id).len(), 0);
    }
}
