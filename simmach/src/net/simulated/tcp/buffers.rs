//! The send and receive buffers of a stream.
//!
//! Bytes are copied twice: from the writer's slice, and into the reader's slice. In between,
//! buffers and segments share the bytes. A bounded send buffer and reassembly of out-of-order
//! segments are modelled. The kernel's overhead for each segment, which on Linux counts against the
//! buffer sizes, is not modelled.

use std::collections::VecDeque;

use crate::net::simulated::lazy_box::LazyBox;
use crate::net::simulated::tcp::payload::{Arena, Payload};
use crate::net::simulated::tcp::payload_queue::PayloadQueue;

/// Bytes that are written and not acknowledged. The sent bytes come first, then the unsent ones.
#[derive(Default)]
pub(crate) struct SendBuffer {
    chunks: PayloadQueue,
    len: usize,
    sent: usize,
    /// The start of the unsent bytes: the index of a chunk, and the offset in the chunk.
    cursor: (usize, usize),
}

impl SendBuffer {
    /// Number of bytes in the buffer.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Number of bytes sent and not acknowledged.
    pub(crate) fn sent(&self) -> usize {
        self.sent
    }

    /// Number of unsent bytes.
    pub(crate) fn unsent(&self) -> usize {
        self.len - self.sent
    }

    #[inline]
    pub(crate) fn push(&mut self, chunk: Payload) {
        if !chunk.is_empty() {
            self.len += chunk.len();
            self.chunks.push(chunk);
        }
    }

    /// Returns the next `len` unsent bytes, which count as sent from now on.
    #[inline]
    pub(crate) fn send_next(&mut self, len: usize, arena: &mut Arena) -> Payload {
        debug_assert!(len <= self.unsent(), "more is sent than was written");
        let (mut chunk, mut at) = self.cursor;
        self.sent += len;
        // Most writes are sent as one segment, so their chunk is shared as it is.
        if at == 0
            && let Some(piece) = self.chunks.nth(chunk)
            && piece.len() == len
        {
            self.cursor = (chunk + 1, 0);
            return piece.clone();
        }
        let payload = self.slice((chunk, at), len, arena);
        at += len;
        while let Some(piece) = self.chunks.nth(chunk)
            && at >= piece.len()
        {
            at -= piece.len();
            chunk += 1;
        }
        self.cursor = (chunk, at);
        payload
    }

    /// Returns `len` bytes that were sent before, after the first `skip`.
    pub(crate) fn retransmit_slice(&self, skip: usize, len: usize, arena: &mut Arena) -> Payload {
        debug_assert!(skip + len <= self.sent, "bytes are sent again that were not sent");
        let mut from = (0, skip);
        while let Some(piece) = self.chunks.nth(from.0)
            && from.1 >= piece.len()
        {
            from = (from.0 + 1, from.1 - piece.len());
        }
        self.slice(from, len, arena)
    }

    /// Removes the first `len` bytes.
    #[inline]
    pub(crate) fn acknowledge(&mut self, len: usize) {
        debug_assert!(len <= self.sent, "bytes are acknowledged that were not sent");
        self.len -= len;
        self.sent -= len;
        let mut rest = len;
        while let Some(piece) = self.chunks.first_mut() {
            let whole = piece.len();
            if rest < whole {
                if rest > 0 {
                    piece.advance(rest);
                    if self.cursor.0 == 0 {
                        self.cursor.1 -= rest;
                    }
                }
                break;
            }
            rest -= whole;
            self.chunks.remove_first();
            self.cursor.0 -= 1;
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    fn slice(&self, from: (usize, usize), len: usize, arena: &mut Arena) -> Payload {
        let (chunk, at) = from;
        if len == 0 {
            return Payload::EMPTY;
        }
        match self.chunks.nth(chunk) {
            None => Payload::EMPTY,
            Some(piece) if at == 0 && piece.len() == len => piece.clone(),
            Some(piece) if piece.len() - at >= len => piece.slice(at..at + len),
            Some(first) => {
                let mut rest = len;
                let pieces = std::iter::once(&first[at..])
                    .chain(self.chunks.after(chunk).map(|piece| &piece[..]))
                    .map_while(|piece| {
                        let part = &piece[..piece.len().min(rest)];
                        rest -= part.len();
                        (!part.is_empty()).then_some(part)
                    });
                arena.gather(len, pieces)
            }
        }
    }
}

/// Bytes that are received and not read: those in order, and those ahead of a gap.
#[derive(Default)]
pub(crate) struct ReceiveBuffer {
    ready: PayloadQueue,
    ready_len: usize,
    /// Segments ahead of a gap, by their offset from the start of the stream. They neither overlap nor touch the bytes
    /// in order, and do not overlap each other.
    ahead: LazyBox<VecDeque<(u64, Payload)>>,
    /// Number of bytes ever received in order.
    received: u64,
}

/// Result of inserting a segment's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InsertResult {
    /// It continues the stream: `bytes` became readable, `filled` segments ahead of the gap among them.
    InOrder { bytes: usize, filled: usize },
    /// It is ahead of a gap.
    Ahead,
    /// All of it was received before.
    Duplicate,
}

impl ReceiveBuffer {
    /// Number of bytes to be read.
    pub(crate) fn len(&self) -> usize {
        self.ready_len
    }

    /// Whether there are bytes ahead of a gap.
    pub(crate) fn has_gap(&self) -> bool {
        self.ahead.get().is_some_and(|ahead| !ahead.is_empty())
    }

    /// Inserts `payload`, which starts `offset` bytes after the next expected byte, or before it if negative.
    #[inline]
    pub(crate) fn insert(&mut self, offset: i64, mut payload: Payload) -> InsertResult {
        if offset <= 0 {
            let known = offset.unsigned_abs() as usize;
            if known >= payload.len() {
                return InsertResult::Duplicate;
            }
            if known > 0 {
                payload.advance(known);
            }
            let before = self.received;
            self.append(payload);
            let filled = if self.has_gap() { self.fill() } else { 0 };
            return InsertResult::InOrder { bytes: (self.received - before) as usize, filled };
        }
        self.insert_ahead(self.received + offset.unsigned_abs(), payload)
    }

    /// Copies bytes into `into`, and removes them unless `peek`.
    #[inline]
    pub(crate) fn read(&mut self, into: &mut [u8], peek: bool) -> usize {
        let mut copied = 0;
        if peek {
            let mut nth = 0;
            while copied < into.len()
                && let Some(piece) = self.ready.nth(nth)
            {
                copied += copy(piece, &mut into[copied..]);
                nth += 1;
            }
            return copied;
        }
        while copied < into.len()
            && let Some(piece) = self.ready.first_mut()
        {
            let part = copy(piece, &mut into[copied..]);
            copied += part;
            if part < piece.len() {
                piece.advance(part);
            } else {
                self.ready.remove_first();
            }
        }
        self.ready_len -= copied;
        copied
    }

    pub(crate) fn clear(&mut self) {
        *self = Self { received: self.received, ..Self::default() };
    }

    fn append(&mut self, payload: Payload) {
        self.received += payload.len() as u64;
        self.ready_len += payload.len();
        self.ready.push(payload);
    }

    /// Moves segments that are in order now to the readable bytes.
    #[cold]
    fn fill(&mut self) -> usize {
        let mut filled = 0;
        while let Some(ahead) = self.ahead.get_mut()
            && ahead.front().is_some_and(|(at, _)| *at <= self.received)
            && let Some((at, mut payload)) = ahead.pop_front()
        {
            filled += 1;
            let known = (self.received - at) as usize;
            if known < payload.len() {
                payload.advance(known);
                self.append(payload);
            }
        }
        filled
    }

    #[cold]
    fn insert_ahead(&mut self, mut at: u64, mut payload: Payload) -> InsertResult {
        let ahead = self.ahead.get_or_init();
        let index = ahead.partition_point(|&(start, _)| start <= at);
        if let Some((start, piece)) = index.checked_sub(1).and_then(|i| ahead.get(i)) {
            let end = start + piece.len() as u64;
            if end >= at + payload.len() as u64 {
                return InsertResult::Duplicate;
            }
            if end > at {
                payload.advance((end - at) as usize);
                at = end;
            }
        }
        // Covered segments are removed. The payload is cut where it meets a segment that reaches further.
        while let Some((start, piece)) = ahead.get(index) {
            let end = at + payload.len() as u64;
            if *start >= end {
                break;
            }
            if start + piece.len() as u64 <= end {
                ahead.remove(index);
                continue;
            }
            payload.truncate((start - at) as usize);
            break;
        }
        if payload.is_empty() {
            return InsertResult::Duplicate;
        }
        ahead.insert(index, (at, payload));
        InsertResult::Ahead
    }
}

/// Copies as many bytes as fit.
fn copy(from: &[u8], into: &mut [u8]) -> usize {
    let part = from.len().min(into.len());
    into[..part].copy_from_slice(&from[..part]);
    part
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn send_buffer_keeps_bytes_until_they_are_acknowledged() {
        let (mut buffer, mut arena) = (SendBuffer::default(), Arena::default());
        buffer.push(arena.copy(b"abc"));
        buffer.push(arena.copy(b"defgh"));
        assert_eq!(&buffer.send_next(2, &mut arena)[..], b"ab");
        assert_eq!(&buffer.send_next(4, &mut arena)[..], b"cdef");
        assert_eq!((buffer.len(), buffer.sent(), buffer.unsent()), (8, 6, 2));
        assert_eq!(&buffer.retransmit_slice(0, 5, &mut arena)[..], b"abcde");
        buffer.acknowledge(4);
        assert_eq!(&buffer.retransmit_slice(0, 2, &mut arena)[..], b"ef");
        assert_eq!(&buffer.send_next(2, &mut arena)[..], b"gh");
        buffer.acknowledge(4);
        assert_eq!(buffer.len(), 0);
        buffer.push(arena.copy(b"xyz"));
        assert_eq!(&buffer.send_next(3, &mut arena)[..], b"xyz");
    }

    #[test]
    fn receive_buffer_holds_bytes_ahead_of_a_gap() {
        let mut buffer = ReceiveBuffer::default();
        assert_eq!(buffer.insert(3, Payload::from(&b"def"[..])), InsertResult::Ahead);
        assert_eq!(buffer.insert(3, Payload::from(&b"de"[..])), InsertResult::Duplicate);
        assert_eq!(buffer.len(), 0);
        assert_eq!(
            buffer.insert(0, Payload::from(&b"abcd"[..])),
            InsertResult::InOrder { bytes: 6, filled: 1 }
        );
        assert_eq!(buffer.insert(-6, Payload::from(&b"abcdef"[..])), InsertResult::Duplicate);
        let mut into = [0; 4];
        assert_eq!((buffer.read(&mut into, true), &into), (4, b"abcd"));
        assert_eq!((buffer.read(&mut into, false), &into), (4, b"abcd"));
        assert_eq!((buffer.read(&mut into, false), &into[..2]), (2, &b"ef"[..]));
    }

    proptest! {
        #[test]
        fn receive_buffer_reassembles_pieces_in_any_order(
            cuts in proptest::collection::vec((0_usize..300, 1_usize..60), 1..60),
            order in any::<u64>(),
        ) {
            let stream: Vec<u8> = (0..300).map(|i| (i * 7 % 251) as u8).collect();
            let mut pieces: Vec<(usize, usize)> =
                cuts.iter().map(|&(at, len)| (at, (at + len).min(300))).collect();
            // Bytes that the pieces leave out are inserted last, one by one.
            let mut word = order;
            for i in (1..pieces.len()).rev() {
                word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                pieces.swap(i, (word >> 33) as usize % (i + 1));
            }
            pieces.extend((0..300).map(|at| (at, at + 1)));
            let mut buffer = ReceiveBuffer::default();
            let mut read = Vec::new();
            let mut next = 0_i64;
            for (from, to) in pieces {
                let payload = Payload::from(&stream[from..to]);
                match buffer.insert(from as i64 - next, payload) {
                    InsertResult::InOrder { bytes, .. } => next += bytes as i64,
                    InsertResult::Ahead | InsertResult::Duplicate => {}
                }
                let mut into = [0; 7];
                let n = buffer.read(&mut into, false);
                read.extend_from_slice(&into[..n]);
            }
            let mut into = [0; 300];
            let n = buffer.read(&mut into, false);
            read.extend_from_slice(&into[..n]);
            prop_assert_eq!(read, stream);
            prop_assert!(!buffer.has_gap());
        }

        #[test]
        fn send_buffer_keeps_the_bytes_in_any_order_of_operations(
            steps in proptest::collection::vec((0_usize..50, 0_usize..50, 0_usize..50), 1..80),
        ) {
            let (mut buffer, mut arena) = (SendBuffer::default(), Arena::default());
            let (mut written, mut sent, mut acknowledged) = (0_usize, 0, 0);
            let byte = |i: usize| (i * 31 % 253) as u8;
            for (write, send, acknowledge) in steps {
                let data: Vec<u8> = (written..written + write).map(byte).collect();
                buffer.push(arena.copy(&data));
                written += write;
                let send = send.min(buffer.unsent());
                let expected: Vec<u8> = (sent..sent + send).map(byte).collect();
                prop_assert_eq!(&buffer.send_next(send, &mut arena)[..], &expected[..]);
                sent += send;
                let again = (sent - acknowledged).min(33);
                let skip = sent - acknowledged - again;
                let from = acknowledged + skip;
                let expected: Vec<u8> = (from..from + again).map(byte).collect();
                prop_assert_eq!(&buffer.retransmit_slice(skip, again, &mut arena)[..], &expected[..]);
                let acknowledge = acknowledge.min(buffer.sent());
                buffer.acknowledge(acknowledge);
                acknowledged += acknowledge;
                prop_assert_eq!(buffer.len(), written - acknowledged);
            }
        }
    }
}
