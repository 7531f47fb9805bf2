//! [`Calls`], which answers the system calls of a run.

mod files;

use std::ffi::{c_int, c_long};
use std::io::{IoSlice, IoSliceMut};
use std::net::IpAddr;
use std::task::Waker;
use std::time::Duration;

use crate::engine::record::event::{Event, SystemCall};
use crate::engine::{self, context};
use crate::interpose::system::{
    Answer, Control, EpollEvent, Errno, PollEntry, RandomFile, Received, Routine, SocketAddress,
    SystemCalls, fill_random,
};
use crate::net::simulated::sockets::resolve;
use crate::net::target::Target;
use crate::system::descriptors::{File, FileId, FileKind, notify, open, with, with_file};
use crate::system::threads::{self, futex};
use crate::system::uuid_file::UuidFile;
use crate::system::{
    channel, epoll, files as disk_files, poll, slice, socket_options, sockets, unix,
};

/// Answers the system calls of a run.
#[derive(Debug)]
pub(super) struct Calls;

impl SystemCalls for Calls {
    fn socket(&self, domain: c_int, kind: c_int, protocol: c_int) -> Answer<c_int> {
        traced_opening(SystemCall::Socket, sockets::socket(domain, kind, protocol), |own| *own)
    }

    fn socket_pair(&self, domain: c_int, kind: c_int, protocol: c_int) -> Answer<[c_int; 2]> {
        let pair = match domain {
            libc::AF_UNIX => unix::socket_pair(kind, protocol),
            libc::AF_INET | libc::AF_INET6 => Err(Errno(libc::EOPNOTSUPP)),
            _ => Err(Errno(libc::EAFNOSUPPORT)),
        };
        traced_opening(SystemCall::SocketPair, pair, |pair| pair[0])
    }

    fn pipe(&self, flags: c_int) -> Answer<[c_int; 2]> {
        let is_nonblocking = flags & libc::O_NONBLOCK != 0;
        let (reader, writer) = channel::channel();
        let read_end = open(FileKind::PipeReader(reader.clone()), is_nonblocking)?;
        let write_end = open(FileKind::PipeWriter(writer.clone()), is_nonblocking)?;
        with_file(read_end, |id, _| {
            reader.set_file(id);
            Ok(())
        })?;
        with_file(write_end, |id, _| {
            writer.set_file(id);
            Ok(())
        })?;
        traced_opening(SystemCall::Pipe, Ok([read_end, write_end]), |pair| pair[0])
    }

    fn event_counter(&self, count: u32, flags: c_int) -> Answer<c_int> {
        let is_semaphore = flags & libc::EFD_SEMAPHORE != 0;
        let file = FileKind::Counter { count: count.into(), is_semaphore };
        open(file, flags & libc::EFD_NONBLOCK != 0)
    }

    fn bind(&self, descriptor: c_int, address: &SocketAddress) -> Answer<()> {
        traced(SystemCall::Bind, descriptor, || sockets::bind(descriptor, address))
    }

    fn listen(&self, descriptor: c_int, backlog: c_int) -> Answer<()> {
        traced(SystemCall::Listen, descriptor, || sockets::listen(descriptor, backlog))
    }

    fn connect(&self, descriptor: c_int, address: &SocketAddress) -> Answer<()> {
        traced(SystemCall::Connect, descriptor, || sockets::connect(descriptor, address))
    }

    fn accept(&self, descriptor: c_int, flags: c_int) -> Answer<(c_int, SocketAddress)> {
        traced(SystemCall::Accept, descriptor, || sockets::accept(descriptor, flags))
    }

    fn local_address(&self, descriptor: c_int) -> Answer<SocketAddress> {
        sockets::local_address(descriptor)
    }

    fn peer_address(&self, descriptor: c_int) -> Answer<SocketAddress> {
        sockets::peer_address(descriptor)
    }

    fn get_option(
        &self,
        descriptor: c_int,
        level: c_int,
        name: c_int,
        value: &mut [u8],
    ) -> Answer<usize> {
        socket_options::get(descriptor, level, name, value)
    }

    fn set_option(&self, descriptor: c_int, level: c_int, name: c_int, value: &[u8]) -> Answer<()> {
        let set = || socket_options::set(descriptor, level, name, value);
        traced(SystemCall::SetOption, descriptor, set)
    }

    fn shut_down(&self, descriptor: c_int, how: c_int) -> Answer<()> {
        traced(SystemCall::ShutDown, descriptor, || sockets::shut_down(descriptor, how))
    }

    fn close(&self, descriptor: c_int) -> Answer<()> {
        traced(SystemCall::Close, descriptor, || {
            close(descriptor);
            Ok(())
        })
    }

    fn duplicate(&self, descriptor: c_int) -> Answer<c_int> {
        traced(SystemCall::Duplicate, descriptor, || {
            with(|descriptors| {
                let id = descriptors.id_of(descriptor)?;
                descriptors.open_again(id)
            })
        })
    }

    fn read(&self, descriptor: c_int, into: &mut [IoSliceMut<'_>]) -> Answer<usize> {
        if let Some(read) = disk_files::read(descriptor, into) {
            return read;
        }
        traced(SystemCall::Read, descriptor, || read(descriptor, into))
    }

    fn write(&self, descriptor: c_int, from: &[IoSlice<'_>]) -> Answer<usize> {
        if let Some(written) = disk_files::write(descriptor, from) {
            return written;
        }
        traced(SystemCall::Write, descriptor, || write(descriptor, from))
    }

    fn receive(
        &self,
        descriptor: c_int,
        into: &mut [IoSliceMut<'_>],
        flags: c_int,
    ) -> Answer<Received> {
        let receive = || sockets::receive(descriptor, into, flags);
        traced(SystemCall::Receive, descriptor, receive)
    }

    fn send(
        &self,
        descriptor: c_int,
        from: &[IoSlice<'_>],
        flags: c_int,
        to: Option<&SocketAddress>,
        control: Control,
    ) -> Answer<usize> {
        let send = || sockets::send(descriptor, from, flags, to, control);
        traced(SystemCall::Send, descriptor, send)
    }

    fn is_nonblocking(&self, descriptor: c_int) -> Answer<bool> {
        with_file(descriptor, |_, file| Ok(file.is_nonblocking))
    }

    fn set_nonblocking(&self, descriptor: c_int, on: bool) -> Answer<()> {
        with_file(descriptor, |_, file| {
            file.is_nonblocking = on;
            Ok(())
        })
    }

    fn available(&self, descriptor: c_int) -> Answer<usize> {
        let piped = with_file(descriptor, |_, file| match &file.kind {
            FileKind::PipeReader(end) => Ok(Some(end.available())),
            _ => Ok(None),
        })?;
        piped.map_or_else(|| sockets::available(descriptor), Ok)
    }

    fn poll(&self, entries: &mut [PollEntry], timeout: Option<Duration>) -> Answer<usize> {
        poll::poll(entries, timeout)
    }

    fn open_random(&self, file: RandomFile) -> Answer<c_int> {
        let kind = match file {
            RandomFile::Bytes => FileKind::Random,
            RandomFile::Uuid => FileKind::Uuid(UuidFile::draw()),
        };
        open(kind, false)
    }

    fn epoll_create(&self) -> Answer<c_int> {
        epoll::create()
    }

    fn epoll_control(
        &self,
        epoll: c_int,
        operation: c_int,
        descriptor: c_int,
        event: Option<EpollEvent>,
    ) -> Answer<()> {
        epoll::control(epoll, operation, descriptor, event)
    }

    fn epoll_wait(
        &self,
        epoll: c_int,
        most: usize,
        timeout: Option<Duration>,
        found: &mut dyn FnMut(EpollEvent),
    ) -> Answer<usize> {
        epoll::wait(epoll, most, timeout, found)
    }

    fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, c_int> {
        sockets::check_machine().map_err(|_| libc::EAI_SYSTEM)?;
        let found = resolve(Target::Name(name.into(), 0)).map_err(|_| libc::EAI_NONAME)?;
        Ok(found.into_iter().map(|address| address.ip()).collect())
    }

    fn has_threads(&self) -> bool {
        let allows = context::try_with(|engine| {
            engine.is_in_guest() && !engine.refusals.are_threads_allowed()
        });
        allows == Some(true)
    }

    fn start_thread(
        &self,
        routine: Routine,
        is_detached: bool,
        create: &mut dyn FnMut(Routine) -> Result<libc::pthread_t, c_int>,
    ) -> c_int {
        threads::start(routine, is_detached, create)
    }

    fn join(&self, thread: libc::pthread_t) -> Option<Answer<usize>> {
        threads::join(thread)
    }

    fn detach(&self, thread: libc::pthread_t) -> bool {
        threads::detach(thread)
    }

    fn name_thread(&self, thread: libc::pthread_t, name: &str) {
        threads::set_name(thread, name);
    }

    fn is_on_own_thread(&self) -> bool {
        threads::is_own()
    }

    fn futex_wait(
        &self,
        address: usize,
        is_unchanged: &dyn Fn() -> bool,
        timeout: Option<Duration>,
    ) -> Option<Answer<c_long>> {
        futex::futex_wait(address, is_unchanged, timeout)
    }

    fn futex_wake(&self, address: usize, most: usize) -> usize {
        futex::futex_wake(address, most)
    }

    fn futex_requeue(&self, address: usize, woken: usize, other: usize, most: usize) -> usize {
        futex::futex_requeue(address, woken, other, most)
    }

    fn sleep(&self, time: Duration) -> bool {
        threads::sleep(time)
    }
}

/// Closes a descriptor.
fn close(descriptor: c_int) {
    let waiters = disk_files::release_process_locks(descriptor);
    waiters.into_iter().for_each(Waker::wake);
    let Ok(closed) = with(|descriptors| descriptors.close(descriptor)) else { return };
    let Some(File { kind, .. }) = closed else { return };
    sockets::close(&kind);
    if let FileKind::Disk(open) = &kind {
        disk_files::close(open).into_iter().for_each(Waker::wake);
    }
    let other = match &kind {
        FileKind::PipeReader(end) => end.close(),
        FileKind::PipeWriter(end) => end.close(),
        _ => None,
    };
    if let Some(other) = other {
        notify(other);
    }
}

/// The result of an attempt to read or write a file.
enum Found {
    /// The file is a socket, which has calls of its own.
    Socket,
    /// This many bytes were read or written. If there is a file, it must be notified.
    Done(usize, Option<FileId>),
    /// Nothing can be read or written yet.
    Nothing,
}

impl Found {
    fn of(done: Option<(usize, Option<FileId>)>) -> Self {
        done.map_or(Self::Nothing, |(bytes, other)| Self::Done(bytes, other))
    }
}

/// Reads from what is not on a disk.
fn read(descriptor: c_int, into: &mut [IoSliceMut<'_>]) -> Answer<usize> {
    let room: usize = into.iter().map(|buffer| buffer.len()).sum();
    let what = "data from a pipe or an eventfd";
    transfer(descriptor, libc::EPOLLIN, what, |id, kind| {
        Ok(match kind {
            FileKind::Counter { .. } if room < size_of::<u64>() => return Err(Errno(libc::EINVAL)),
            FileKind::Counter { count: 0, .. } => Found::Nothing,
            FileKind::Counter { count, is_semaphore } => {
                let taken = if *is_semaphore { 1 } else { *count };
                *count -= taken;
                Found::Done(sockets::fill(into, &taken.to_ne_bytes()), Some(id))
            }
            FileKind::PipeReader(end) => Found::of(end.read(into)),
            FileKind::Random => {
                into.iter_mut().for_each(|buffer| _ = fill_random(buffer));
                Found::Done(room, None)
            }
            FileKind::Uuid(file) => Found::Done(file.read(into), None),
            FileKind::Epoll(_) => return Err(Errno(libc::EINVAL)),
            FileKind::PipeWriter(_) => return Err(Errno(libc::EBADF)),
            FileKind::Unconnected { .. }
            | FileKind::Listener { .. }
            | FileKind::Stream { .. }
            | FileKind::Datagrams { .. }
            | FileKind::Unix(_)
            | FileKind::Disk(_) => Found::Socket,
        })
    })?
    .map_or_else(
        // As on Linux, this differs from `recv`.
        || if room == 0 { Ok(0) } else { Ok(sockets::receive(descriptor, into, 0)?.bytes) },
        Ok,
    )
}

/// Writes to what is not on a disk.
fn write(descriptor: c_int, from: &[IoSlice<'_>]) -> Answer<usize> {
    let length: usize = from.iter().map(|piece| piece.len()).sum();
    let what = "room in a pipe or an eventfd";
    transfer(descriptor, libc::EPOLLOUT, what, |id, kind| {
        Ok(match kind {
            FileKind::Counter { .. } if slice::is_waking_own_runtime() => Found::Done(length, None),
            FileKind::Counter { count, .. } => {
                // As on Linux since version 6.9, more bytes are an error too.
                let added = sockets::whole(from).try_into().map_err(|_| Errno(libc::EINVAL))?;
                let added = u64::from_ne_bytes(added);
                if added == u64::MAX {
                    return Err(Errno(libc::EINVAL));
                }
                match count.checked_add(added).filter(|sum| *sum < u64::MAX) {
                    Some(sum) => {
                        *count = sum;
                        Found::Done(length, Some(id))
                    }
                    None => Found::Nothing,
                }
            }
            FileKind::PipeWriter(end) => Found::of(end.write(from)?),
            FileKind::Random => Found::Done(length, None),
            FileKind::Epoll(_) => return Err(Errno(libc::EINVAL)),
            FileKind::PipeReader(_) | FileKind::Uuid(_) => return Err(Errno(libc::EBADF)),
            FileKind::Unconnected { .. }
            | FileKind::Listener { .. }
            | FileKind::Stream { .. }
            | FileKind::Datagrams { .. }
            | FileKind::Unix(_)
            | FileKind::Disk(_) => Found::Socket,
        })
    })?
    .map_or_else(|| sockets::send(descriptor, from, 0, None, Control::default()), Ok)
}

/// Calls `attempt` until it finds something, and waits in between. Returns the number of bytes, or `None` for a socket.
fn transfer(
    descriptor: c_int,
    events: c_int,
    what: &'static str,
    mut attempt: impl FnMut(FileId, &mut FileKind) -> Answer<Found>,
) -> Answer<Option<usize>> {
    loop {
        let (id, is_nonblocking, found) = with_file(descriptor, |id, file| {
            Ok((id, file.is_nonblocking, attempt(id, &mut file.kind)?))
        })?;
        match found {
            Found::Socket => return Ok(None),
            Found::Done(bytes, other) => {
                if let Some(other) = other {
                    notify(other);
                }
                return Ok(Some(bytes));
            }
            Found::Nothing => {
                let deadline = sockets::deadline(id, events, is_nonblocking)?;
                sockets::wait_for(id, events, deadline, what)?;
            }
        }
    }
}

/// The result of a call, in the form in which the trace contains it.
trait Returned {
    fn returned(&self) -> i64;
}

impl Returned for () {
    fn returned(&self) -> i64 {
        0
    }
}

impl Returned for usize {
    fn returned(&self) -> i64 {
        *self as i64
    }
}

impl Returned for c_int {
    fn returned(&self) -> i64 {
        i64::from(*self)
    }
}

impl Returned for (c_int, SocketAddress) {
    fn returned(&self) -> i64 {
        i64::from(self.0)
    }
}

impl Returned for Received {
    fn returned(&self) -> i64 {
        self.bytes as i64
    }
}

/// Makes a call on a descriptor, and adds it to the trace. Not added are calls that found nothing to do, and calls on
/// eventfds and epoll instances, with which a runtime waits, so that a guest which uses neither sockets nor pipes has the
/// same trace as a native process.
fn traced<T: Returned>(
    call: SystemCall,
    descriptor: c_int,
    make: impl FnOnce() -> Answer<T>,
) -> Answer<T> {
    let is_traced = with_file(descriptor, |_, file| {
        Ok(!matches!(
            file.kind,
            FileKind::Counter { .. } | FileKind::Epoll(_) | FileKind::Random | FileKind::Disk(_)
        ))
    });
    let answer = make();
    if is_traced == Ok(true) {
        let result = match &answer {
            Ok(returned) => returned.returned(),
            Err(Errno(libc::EAGAIN)) => return answer,
            Err(Errno(error)) => -i64::from(*error),
        };
        engine::trace(Event::SystemCall { call, descriptor, result });
    }
    answer
}

/// Adds a call that opens descriptors to the trace.
fn traced_opening<T>(
    call: SystemCall,
    answer: Answer<T>,
    first: impl FnOnce(&T) -> c_int,
) -> Answer<T> {
    let (descriptor, result) = match &answer {
        Ok(opened) => (first(opened), 0),
        Err(Errno(error)) => (0, -i64::from(*error)),
    };
    engine::trace(Event::SystemCall { call, descriptor, result });
    answer
}
