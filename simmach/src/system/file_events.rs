//! Turns the readiness of files into events of epoll and poll.

use libc::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP};

use crate::net::simulated::kernel::{Kernel, with_kernel};
use crate::net::simulated::key::SocketKey;
use crate::net::{Interest, Ready};
use crate::system::descriptors::{FileId, FileKind, with};
use crate::system::epoll;

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// The events of a socket that the kernel has closed, because its machine lost power or its process
/// ended.
const CLOSED: u32 = (EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLERR) as u32;

/// Where the readiness of a file is stored: in the file itself, or in the network.
enum Source {
    Known(u32),
    Epoll,
    Listener(SocketKey),
    Stream(SocketKey, bool),
    Datagrams(SocketKey),
    Closed,
}

/// Returns the events that a file is currently ready for; 0 if the file is closed.
pub(super) fn of(id: FileId) -> u32 {
    let source = with(|descriptors| {
        if let FileKind::Unix(socket) = descriptors.file(id)?.kind {
            return Ok(descriptors.unix.events(socket).map_or(Source::Closed, Source::Known));
        }
        Ok(match &descriptors.file(id)?.kind {
            FileKind::Counter { count, .. } => {
                let readable = if *count > 0 { EPOLLIN } else { 0 };
                let writable = if *count < u64::MAX - 1 { EPOLLOUT } else { 0 };
                Source::Known((readable | writable) as u32)
            }
            FileKind::Epoll(_) => Source::Epoll,
            FileKind::Unconnected { .. } => Source::Known((EPOLLOUT | EPOLLHUP) as u32),
            FileKind::Listener { key } => Source::Listener(*key),
            FileKind::Stream { info, is_read_shut } => Source::Stream(info.key, *is_read_shut),
            FileKind::Datagrams { key: None, .. } => Source::Known(EPOLLOUT as u32),
            FileKind::Datagrams { key: Some(key), .. } => Source::Datagrams(*key),
            FileKind::Unix(_) => Source::Closed,
            FileKind::PipeReader(end) => Source::Known(end.readiness()),
            FileKind::PipeWriter(end) => Source::Known(end.readiness()),
            FileKind::Random | FileKind::Uuid(_) | FileKind::Disk(_) => {
                Source::Known((EPOLLIN | EPOLLOUT) as u32)
            }
        })
    });
    match source {
        Err(_) => 0,
        Ok(Source::Known(events)) => events,
        Ok(Source::Closed) => CLOSED,
        Ok(Source::Epoll) => {
            if epoll::has_events(id) {
                EPOLLIN as u32
            } else {
                0
            }
        }
        Ok(Source::Listener(key)) => {
            let has_queued = |kernel: &mut Kernel| {
                kernel.listener(key).is_ok_and(|listener| !listener.queue.is_empty())
            };
            if with_kernel(has_queued) == Some(true) { EPOLLIN as u32 } else { 0 }
        }
        Ok(Source::Stream(key, is_read_shut)) => {
            let shut = if is_read_shut { EPOLLIN | EPOLLRDHUP } else { 0 };
            stream_events(key) | shut as u32
        }
        Ok(Source::Datagrams(key)) => {
            let ready = with_kernel(|kernel| kernel.datagram_readiness(key, BOTH));
            let ready = ready.and_then(Result::ok).unwrap_or(Ready::EMPTY);
            let has_error =
                with_kernel(|kernel| kernel.datagrams(key).is_ok_and(|own| own.refused));
            events(ready) | if has_error == Some(true) { EPOLLERR as u32 } else { 0 }
        }
    }
}

fn stream_events(key: SocketKey) -> u32 {
    let asked = with_kernel(|kernel| {
        let (is_connecting, has_error) = kernel.connecting_and_error(key);
        (kernel.readiness(key, BOTH), is_connecting, has_error)
    });
    match asked {
        Some((Ok(ready), is_connecting, has_error)) => {
            let ready = if is_connecting { 0 } else { events(ready) };
            ready | if has_error { EPOLLERR as u32 } else { 0 }
        }
        Some((Err(_), ..)) | None => CLOSED,
    }
}

/// The events of epoll for a socket's readiness.
fn events(ready: Ready) -> u32 {
    let has = |part: Ready| ready & part == part;
    let mut events = 0;
    if has(Ready::READABLE) {
        events |= EPOLLIN;
    }
    if has(Ready::READ_CLOSED) {
        events |= EPOLLIN | EPOLLRDHUP;
    }
    if has(Ready::WRITABLE) {
        events |= EPOLLOUT;
    }
    if has(Ready::WRITE_CLOSED) {
        events |= EPOLLOUT;
        if has(Ready::READ_CLOSED) {
            events |= EPOLLHUP;
        }
    }
    events as u32
}

/// Makes the network call the file's waker when something happens to its socket. The waker is called once; call this
/// function again afterwards.
pub(super) fn watch(id: FileId) {
    let watched = with(|descriptors| {
        let file = descriptors.file(id)?;
        if !file.is_watched() {
            return Ok(());
        }
        let waker = file.waker();
        match &file.kind {
            FileKind::Listener { key } => with_kernel(|kernel| kernel.watch_listener(*key, waker)),
            FileKind::Stream { info, .. } => {
                with_kernel(|kernel| kernel.watch_stream(info.key, waker))
            }
            FileKind::Datagrams { key: Some(key), .. } => {
                with_kernel(|kernel| kernel.watch_datagrams(*key, waker))
            }
            FileKind::Datagrams { key: None, .. }
            | FileKind::Unconnected { .. }
            | FileKind::Unix(_)
            | FileKind::Counter { .. }
            | FileKind::Epoll(_)
            | FileKind::PipeReader(_)
            | FileKind::PipeWriter(_)
            | FileKind::Random
            | FileKind::Uuid(_)
            | FileKind::Disk(_) => None,
        };
        Ok(())
    });
    // The descriptor may have been closed meanwhile.
    let _ = watched;
}
