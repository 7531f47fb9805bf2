//! Payload bytes. They are written once and shared by the send buffer, segments and the receive
//! buffer.
//!
//! A network runs on one thread, so reference counts are not atomic. Blocks for small payloads are
//! reused, so that a message usually needs no allocation.

use std::fmt;
use std::ops::{Deref, Range};
use std::rc::Rc;

/// A range of a shared block.
#[derive(Clone, Default)]
pub(crate) struct Payload {
    /// The block; `None` if the payload is empty.
    block: Option<Rc<Vec<u8>>>,
    span: Span,
}

/// Start and end in one word. So a payload is only two words, and is passed in registers.
#[derive(Clone, Copy, Default)]
struct Span(u64);

impl Payload {
    pub(crate) const EMPTY: Payload = Payload { block: None, span: Span(0) };

    pub(crate) fn len(&self) -> usize {
        (self.span.end() - self.span.start()) as usize
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.span.start() == self.span.end()
    }

    /// Removes the first `n` bytes.
    pub(crate) fn advance(&mut self, n: usize) {
        assert!(n <= self.len(), "more bytes are taken off than there are");
        self.span = Span::new(self.span.start() + n as u32, self.span.end());
    }

    /// Keeps the first `len` bytes.
    pub(crate) fn truncate(&mut self, len: usize) {
        if len < self.len() {
            self.span = Span::new(self.span.start(), self.span.start() + len as u32);
        }
    }

    /// A part of the payload, which shares its bytes.
    pub(crate) fn slice(&self, range: Range<usize>) -> Self {
        let mut part = self.clone();
        part.truncate(range.end);
        part.advance(range.start);
        part
    }
}

impl Span {
    fn new(start: u32, end: u32) -> Self {
        Self(u64::from(start) << 32 | u64::from(end))
    }

    fn start(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn end(self) -> u32 {
        self.0 as u32
    }
}

impl Deref for Payload {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.block {
            Some(block) => &block[self.span.start() as usize..self.span.end() as usize],
            None => &[],
        }
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        let end = u32::try_from(bytes.len()).expect("no buffer holds 4 GiB");
        Self { block: Some(Rc::new(bytes)), span: Span::new(0, end) }
    }
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl Eq for Payload {}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self[..], f)
    }
}

/// Allocator of payloads.
#[derive(Default)]
pub(crate) struct Arena {
    /// Blocks for small payloads, used in turn, since the oldest is the most likely to be free.
    blocks: Vec<Rc<Vec<u8>>>,
    /// Index of the block to try next.
    next: usize,
}

impl Arena {
    /// Maximum length of a small payload. Longer ones have their own allocation.
    const MAX_SMALL: usize = 2 * 1024;
    /// Maximum number of blocks that are kept: enough for the packets in flight among hundreds of machines.
    const MAX_BLOCKS: usize = 1024;

    #[inline]
    pub(crate) fn copy(&mut self, data: &[u8]) -> Payload {
        self.fill(data.len(), |block| block.extend_from_slice(data))
    }

    /// A payload of `len` bytes, concatenated from pieces.
    pub(crate) fn gather<'a>(
        &mut self,
        len: usize,
        pieces: impl Iterator<Item = &'a [u8]>,
    ) -> Payload {
        self.fill(len, |block| pieces.for_each(|piece| block.extend_from_slice(piece)))
    }

    /// A payload of `len` bytes that `fill` writes into an empty block.
    #[inline]
    fn fill(&mut self, len: usize, fill: impl FnOnce(&mut Vec<u8>)) -> Payload {
        if len == 0 {
            return Payload::EMPTY;
        }
        if len > Self::MAX_SMALL {
            let mut own = Vec::with_capacity(len);
            fill(&mut own);
            return own.into();
        }
        let mut own;
        let block = match self.free_block() {
            Some(block) => block,
            None => {
                own = Rc::default();
                &mut own
            }
        };
        let bytes = Rc::make_mut(block);
        bytes.clear();
        fill(bytes);
        Payload { block: Some(Rc::clone(block)), span: Span::new(0, len as u32) }
    }

    /// Returns a free block: the next block, the block after it, or else a new one. Blocks in use are skipped until their
    /// next turn. Returns `None` if the maximum number of blocks exists.
    #[inline]
    fn free_block(&mut self) -> Option<&mut Rc<Vec<u8>>> {
        for _ in 0..2.min(self.blocks.len()) {
            let at = self.next;
            self.next = if at + 1 < self.blocks.len() { at + 1 } else { 0 };
            if Rc::strong_count(&self.blocks[at]) == 1 {
                return Some(&mut self.blocks[at]);
            }
        }
        if self.blocks.len() == Self::MAX_BLOCKS {
            return None;
        }
        self.blocks.push(Rc::default());
        self.blocks.last_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_slices_share_their_bytes() {
        let whole = Payload::from(&b"abcdef"[..]);
        let mut part = whole.slice(1..5);
        part.advance(1);
        part.truncate(2);
        assert_eq!((&part[..], part.len(), &whole[..]), (&b"cd"[..], 2, &b"abcdef"[..]));
        for longer in [2, 9, u32::MAX as usize + 2] {
            part.truncate(longer);
            assert_eq!(part, Payload::from(&b"cd"[..]), "{longer} bytes are not fewer");
        }
        assert!(Payload::EMPTY.is_empty() && Payload::EMPTY[..].is_empty());
    }

    /// A block in use keeps its bytes; a free one is reused before another is allocated.
    #[test]
    fn arena_reuses_blocks_that_are_free() {
        let mut arena = Arena::default();
        let held = arena.copy(b"held");
        for n in 0..1_000_u32 {
            assert_eq!(arena.copy(&n.to_le_bytes())[..], n.to_le_bytes());
        }
        assert_eq!(&held[..], b"held");
        assert_eq!(arena.blocks.len(), 2);
        let many: Vec<Payload> = (0..2_000_u32).map(|n| arena.copy(&n.to_le_bytes())).collect();
        for (n, payload) in (0_u32..).zip(&many) {
            assert_eq!(payload[..], n.to_le_bytes());
        }
        assert!(arena.blocks.len() <= Arena::MAX_BLOCKS);
    }
}
