//! The interface through which interposed functions ask a run to answer system calls.
//!
//! This layer defines the functions of the C library, but only layers above it know what the
//! functions do in a run. The trait [`SystemCalls`] connects the two: the definitions translate C's
//! arguments and call the methods of [`calls`]. Descriptors of a run are numbers from
//! [`FIRST_DESCRIPTOR`] on; smaller numbers are real descriptors of the process.

mod files;

use std::ffi::{c_int, c_long, c_void};
use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use crate::interpose::answers;
pub(crate) use crate::interpose::answers::advance_own_clock;
#[cfg(feature = "tokio")]
pub(crate) use crate::interpose::answers::stop_own_clock;
pub(crate) use crate::interpose::locks::join_really;
pub(super) use crate::interpose::system::files::path_calls;
pub(crate) use crate::interpose::system::files::{
    FileCalls, FolderEntry, NewTime, NodeType, PathAt, RangeRequest, Routed, Space, Status,
    SyncCall,
};
pub(crate) use crate::interpose::threads::on_thread_end;

/// The smallest descriptor of a run, far above every real descriptor.
pub(crate) const FIRST_DESCRIPTOR: c_int = 0x4000_0000;

/// An error number of Linux, such as `EAGAIN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) c_int);

/// The result of a system call.
pub(crate) type Answer<T> = Result<T, Errno>;

/// The address of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SocketAddress {
    /// An IPv4 or IPv6 address.
    Inet(SocketAddr),
    /// A Unix address: a path, an abstract name that begins with a NUL, or empty if the socket has no name.
    Unix(Vec<u8>),
    /// `AF_UNSPEC`, which disconnects a datagram socket.
    Unspecified,
}

/// Ancillary data of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Control {
    /// `UDP_SEGMENT` when sent, `UDP_GRO` when received: the data is a sequence of datagrams of this size.
    pub(crate) segment_size: Option<u16>,
    /// `IP_TOS` or `IPV6_TCLASS`; the lowest two bits are ECN bits.
    pub(crate) traffic_class: Option<u8>,
    /// `IP_PKTINFO` or `IPV6_PKTINFO`: the source of a datagram that is sent, the destination of one that is received.
    pub(crate) local: Option<IpAddr>,
    /// Whether descriptors were attached (`SCM_RIGHTS`), which a run does not pass on.
    pub(crate) has_descriptors: bool,
}

/// A received message.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// Bytes written to the buffers. With `MSG_TRUNC` among the flags of the call, the whole length of a datagram.
    pub(crate) bytes: usize,
    /// The sender of a datagram.
    pub(crate) from: Option<SocketAddress>,
    /// Whether a datagram was cut to the room in the buffers.
    pub(crate) is_truncated: bool,
    pub(crate) control: Control,
}

/// An entry of an epoll instance's interest list, or an event of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EpollEvent {
    pub(crate) events: u32,
    pub(crate) data: u64,
}

/// A descriptor and its events, as `poll` takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PollEntry {
    pub(crate) descriptor: c_int,
    pub(crate) events: i16,
    pub(crate) returned: i16,
}

/// What a thread runs: its start routine with its argument.
pub(crate) struct Routine(Box<dyn FnOnce() -> *mut c_void>);

impl Routine {
    pub(crate) fn new(routine: impl FnOnce() -> *mut c_void + 'static) -> Self {
        Self(Box::new(routine))
    }

    pub(crate) fn call(self) -> *mut c_void {
        (self.0)()
    }
}

/// The system calls that a run answers. Flags, options and events have Linux's values.
///
/// Calls on descriptors may block if the calling thread is one that a guest started. On the run's own thread a call that
/// would block fails the run, and returns `EDEADLK`.
///
/// Buffers that are filled may be uninitialized memory of the caller, so they must only be written
/// to.
pub(crate) trait SystemCalls: FileCalls + Sync {
    fn socket(&self, domain: c_int, kind: c_int, protocol: c_int) -> Answer<c_int>;
    fn socket_pair(&self, domain: c_int, kind: c_int, protocol: c_int) -> Answer<[c_int; 2]>;
    fn pipe(&self, flags: c_int) -> Answer<[c_int; 2]>;
    fn event_counter(&self, count: u32, flags: c_int) -> Answer<c_int>;
    fn bind(&self, descriptor: c_int, address: &SocketAddress) -> Answer<()>;
    fn listen(&self, descriptor: c_int, backlog: c_int) -> Answer<()>;
    fn connect(&self, descriptor: c_int, address: &SocketAddress) -> Answer<()>;
    /// `flags`: `SOCK_NONBLOCK`, `SOCK_CLOEXEC`.
    fn accept(&self, descriptor: c_int, flags: c_int) -> Answer<(c_int, SocketAddress)>;
    fn local_address(&self, descriptor: c_int) -> Answer<SocketAddress>;
    fn peer_address(&self, descriptor: c_int) -> Answer<SocketAddress>;
    /// Writes the option's value to `value`, cut to its room, and returns the number of bytes.
    fn get_option(
        &self,
        descriptor: c_int,
        level: c_int,
        name: c_int,
        value: &mut [u8],
    ) -> Answer<usize>;
    fn set_option(&self, descriptor: c_int, level: c_int, name: c_int, value: &[u8]) -> Answer<()>;
    fn shut_down(&self, descriptor: c_int, how: c_int) -> Answer<()>;
    fn close(&self, descriptor: c_int) -> Answer<()>;
    fn duplicate(&self, descriptor: c_int) -> Answer<c_int>;
    fn read(&self, descriptor: c_int, into: &mut [IoSliceMut<'_>]) -> Answer<usize>;
    fn write(&self, descriptor: c_int, from: &[IoSlice<'_>]) -> Answer<usize>;
    fn receive(
        &self,
        descriptor: c_int,
        into: &mut [IoSliceMut<'_>],
        flags: c_int,
    ) -> Answer<Received>;
    fn send(
        &self,
        descriptor: c_int,
        from: &[IoSlice<'_>],
        flags: c_int,
        to: Option<&SocketAddress>,
        control: Control,
    ) -> Answer<usize>;
    fn is_nonblocking(&self, descriptor: c_int) -> Answer<bool>;
    fn set_nonblocking(&self, descriptor: c_int, on: bool) -> Answer<()>;
    /// Number of bytes that can be read at once (`FIONREAD`).
    fn available(&self, descriptor: c_int) -> Answer<usize>;
    fn poll(&self, entries: &mut [PollEntry], timeout: Option<Duration>) -> Answer<usize>;
    /// Opens a file whose content is random. See [`fill_random`].
    fn open_random(&self, file: RandomFile) -> Answer<c_int>;
    fn epoll_create(&self) -> Answer<c_int>;
    /// `descriptor` may be real.
    fn epoll_control(
        &self,
        epoll: c_int,
        operation: c_int,
        descriptor: c_int,
        event: Option<EpollEvent>,
    ) -> Answer<()>;
    /// Passes at most `most` events to `found` and returns their number.
    fn epoll_wait(
        &self,
        epoll: c_int,
        most: usize,
        timeout: Option<Duration>,
        found: &mut dyn FnMut(EpollEvent),
    ) -> Answer<usize>;
    /// Resolves a name. An error is an error code of `getaddrinfo`, such as `EAI_NONAME`.
    fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, c_int>;

    /// Whether the calling code may start threads, which is true in a guest.
    fn has_threads(&self) -> bool;
    /// Starts a thread: `create` creates it, given its routine. `is_detached`: the C library frees it when it ends. Returns 0 or
    /// an error.
    fn start_thread(
        &self,
        routine: Routine,
        is_detached: bool,
        create: &mut dyn FnMut(Routine) -> Result<libc::pthread_t, c_int>,
    ) -> c_int;
    /// Waits until a thread has ended, and returns its result as a number. Returns `None` if the thread is not one of the
    /// run's threads.
    fn join(&self, thread: libc::pthread_t) -> Option<Answer<usize>>;
    /// Detaches a thread. Returns false if the thread is not one of the run's threads.
    fn detach(&self, thread: libc::pthread_t) -> bool;
    /// Names a thread in reports, if it is one of the run's threads.
    fn name_thread(&self, thread: libc::pthread_t, name: &str);
    /// Whether the calling thread is one that a guest started.
    fn is_on_own_thread(&self) -> bool;
    /// Waits until the futex at `address` is woken, or until `timeout` has passed (`ETIMEDOUT`); `EAGAIN` if `is_unchanged`
    /// returns false at the beginning. On the run's own thread, other threads of its guests run meanwhile. Returns `None` if
    /// none of them can run.
    fn futex_wait(
        &self,
        address: usize,
        is_unchanged: &dyn Fn() -> bool,
        timeout: Option<Duration>,
    ) -> Option<Answer<c_long>>;
    /// Wakes at most `most` threads that wait for the futex, and returns their number. If a guest's thread calls it, the
    /// seed decides whether the woken threads run first.
    fn futex_wake(&self, address: usize, most: usize) -> usize;
    /// Wakes `woken` threads that wait for the futex at `address`, and makes at most `most` of the remaining ones wait for
    /// the futex at `other`. Returns the total number of these threads. The calling thread goes on.
    fn futex_requeue(&self, address: usize, woken: usize, other: usize, most: usize) -> usize;
    /// Sleeps on a thread that a guest started. On the run's own thread, a short sleep lets the guest's other threads run. Returns
    /// false if the sleep is not answered.
    fn sleep(&self, time: Duration) -> bool;
}

static CALLS: OnceLock<&'static dyn SystemCalls> = OnceLock::new();

/// Sets the implementation that answers the calls. Only the first call has an effect.
pub(crate) fn set_calls(calls: &'static dyn SystemCalls) {
    let _ = CALLS.set(calls);
}

/// Returns the implementation that answers the calls of a run's code; `None` outside a run.
#[inline]
pub(crate) fn calls() -> Option<&'static dyn SystemCalls> {
    if answers::is_here() { CALLS.get().copied() } else { None }
}

/// Like [`calls`], for calls that create a descriptor or resolve a name. Also returns `None` where
/// threads or processes are allowed, whose descriptors are real.
#[inline]
pub(super) fn creation_calls() -> Option<&'static dyn SystemCalls> {
    calls().filter(|_| !answers::are_threads_or_processes_allowed())
}

/// Like [`calls`], for calls on a simulated descriptor.
#[inline]
pub(super) fn descriptor_calls() -> Answer<&'static dyn SystemCalls> {
    calls().ok_or(Errno(libc::EBADF))
}

/// A file of the kernel whose content is drawn from the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RandomFile {
    /// `/dev/urandom` or `/dev/random`: bytes without an end.
    Bytes,
    /// `/proc/sys/kernel/random/uuid`: a UUID and a line feed, other ones each time the file is opened.
    Uuid,
}

/// Fills `bytes` with random bytes drawn for the running task. Returns false outside a run.
pub(crate) fn fill_random(bytes: &mut [u8]) -> bool {
    answers::fill(bytes)
}

/// The user and group that the program runs as.
pub(crate) fn own_user_and_group() -> (u32, u32) {
    // SAFETY: these functions have no preconditions.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// Whether a descriptor is simulated.
#[inline]
pub(crate) fn is_simulated(descriptor: c_int) -> bool {
    descriptor >= FIRST_DESCRIPTOR
}
