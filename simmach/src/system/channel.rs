//! Pipes and socket pairs, which pass bytes between descriptors of one machine without a network.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::rc::Rc;

use libc::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT};

use crate::interpose::system::{Answer, Errno};
use crate::system::descriptors::FileId;

/// Capacity of a pipe in bytes, Linux's default.
const CAPACITY: usize = 65_536;
/// Maximum size in bytes of a write to a pipe that is not split (`PIPE_BUF`).
const ATOMIC: usize = 4_096;

/// The bytes in transit from one end to the other.
#[derive(Debug, Default)]
struct Channel {
    bytes: VecDeque<u8>,
    reader: Option<FileId>,
    writer: Option<FileId>,
    is_reader_closed: bool,
    is_writer_closed: bool,
}

/// The end of a channel for reading.
#[derive(Clone, Debug)]
pub(crate) struct ReadEnd(Rc<RefCell<Channel>>);

/// The end of a channel for writing.
#[derive(Clone, Debug)]
pub(crate) struct WriteEnd(Rc<RefCell<Channel>>);

/// Creates a channel and returns both ends.
pub(super) fn channel() -> (ReadEnd, WriteEnd) {
    let channel = Rc::default();
    (ReadEnd(Rc::clone(&channel)), WriteEnd(channel))
}

impl ReadEnd {
    /// Sets the file that has this end, which is notified of writes.
    pub(super) fn set_file(&self, file: FileId) {
        self.0.borrow_mut().reader = Some(file);
    }

    /// Reads available bytes, and also returns the file to notify. Returns `None` if no bytes are available yet.
    pub(super) fn read(&self, into: &mut [IoSliceMut<'_>]) -> Option<(usize, Option<FileId>)> {
        let mut channel = self.0.borrow_mut();
        if channel.bytes.is_empty() {
            return channel.is_writer_closed.then_some((0, None));
        }
        let mut read = 0;
        for buffer in into {
            let count = buffer.len().min(channel.bytes.len());
            for (to, byte) in buffer.iter_mut().zip(channel.bytes.drain(..count)) {
                *to = byte;
            }
            read += count;
        }
        Some((read, channel.writer))
    }

    /// Number of bytes that can be read.
    pub(super) fn available(&self) -> usize {
        self.0.borrow().bytes.len()
    }

    /// The events that this end is ready for.
    pub(super) fn readiness(&self) -> u32 {
        let channel = self.0.borrow();
        let readable = if channel.bytes.is_empty() { 0 } else { EPOLLIN };
        let closed = if channel.is_writer_closed { EPOLLHUP } else { 0 };
        (readable | closed) as u32
    }

    /// Closes this end. Returns the file to notify.
    pub(super) fn close(&self) -> Option<FileId> {
        let mut channel = self.0.borrow_mut();
        channel.is_reader_closed = true;
        channel.writer
    }
}

impl WriteEnd {
    /// Sets the file that has this end, which is notified of reads.
    pub(super) fn set_file(&self, file: FileId) {
        self.0.borrow_mut().writer = Some(file);
    }

    /// Writes as much as there is room for, and also returns the file to notify. Returns `None` if there is no room. Up to
    /// `PIPE_BUF` bytes are written whole or not at all.
    pub(super) fn write(&self, from: &[IoSlice<'_>]) -> Answer<Option<(usize, Option<FileId>)>> {
        let mut channel = self.0.borrow_mut();
        if channel.is_reader_closed {
            return Err(Errno(libc::EPIPE));
        }
        let length: usize = from.iter().map(|piece| piece.len()).sum();
        let room = CAPACITY - channel.bytes.len();
        if length > 0 && (room == 0 || length <= ATOMIC && room < length) {
            return Ok(None);
        }
        let bytes = from.iter().flat_map(|piece| piece.iter().copied()).take(room);
        channel.bytes.extend(bytes);
        Ok(Some((length.min(room), channel.reader)))
    }

    /// The events that this end is ready for.
    pub(super) fn readiness(&self) -> u32 {
        let channel = self.0.borrow();
        let writable = if CAPACITY - channel.bytes.len() >= ATOMIC { EPOLLOUT } else { 0 };
        let closed = if channel.is_reader_closed { EPOLLERR } else { 0 };
        (writable | closed) as u32
    }

    /// Closes this end. Returns the file to notify.
    pub(super) fn close(&self) -> Option<FileId> {
        let mut channel = self.0.borrow_mut();
        channel.is_writer_closed = true;
        channel.reader
    }
}
