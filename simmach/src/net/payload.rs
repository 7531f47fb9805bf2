//! Bytes under way: written once, shared by the sender's buffer, its segments and the receiver's buffer.
//!
//! All of a network runs on one thread, so they are counted without atomic operations. Small ones lie in blocks that are
//! used again and again: in steady state a message allocates nothing.

use std::cell::RefCell;
use std::fmt;
use std::ops::{Deref, Range};
use std::rc::{Rc, Weak};

/// Some bytes of a block that others may have a part of too.
#[derive(Clone, Default)]
pub(crate) struct Payload {
    /// `None`: no bytes.
    block: Option<Rc<Block>>,
    start: u32,
    end: u32,
}

struct Block {
    bytes: Vec<u8>,
    /// Who fills it again when nobody has any of it.
    home: Weak<Unused>,
}

/// Small blocks that nobody has, the last that somebody had on top: that one is the likeliest to be in a cache.
#[derive(Default)]
struct Unused(RefCell<Vec<Rc<Block>>>);

impl Payload {
    pub(crate) const EMPTY: Payload = Payload { block: None, start: 0, end: 0 };

    pub(crate) fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The first `n` are gone.
    pub(crate) fn advance(&mut self, n: usize) {
        assert!(n <= self.len(), "more bytes are taken off than there are");
        self.start += n as u32;
    }

    /// Nothing is left behind the first `len`.
    pub(crate) fn truncate(&mut self, len: usize) {
        if len < self.len() {
            self.end = self.start + len as u32;
        }
    }

    /// A part of it, shared.
    pub(crate) fn slice(&self, range: Range<usize>) -> Self {
        let mut part = self.clone();
        part.truncate(range.end);
        part.advance(range.start);
        part
    }
}

impl Deref for Payload {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.block {
            Some(block) => &block.bytes[self.start as usize..self.end as usize],
            None => &[],
        }
    }
}

impl Drop for Payload {
    #[inline]
    fn drop(&mut self) {
        if let Some(block) = self.block.take()
            && Rc::strong_count(&block) == 1
            && let Some(home) = block.home.upgrade()
        {
            home.keep(block);
        }
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        let end = u32::try_from(bytes.len()).expect("no buffer holds 4 GiB");
        let block = Block { bytes, home: Weak::new() };
        Self { block: Some(Rc::new(block)), start: 0, end }
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

/// Where bytes are copied to.
#[derive(Default)]
pub(crate) struct Arena {
    unused: Rc<Unused>,
}

impl Arena {
    /// Longer pieces have memory of their own, and give it back.
    const SMALL: usize = 2 * 1024;
    /// So many small blocks are kept.
    const KEPT: usize = 256;

    pub(crate) fn copy(&mut self, data: &[u8]) -> Payload {
        self.gather(data.len(), std::iter::once(data))
    }

    /// The pieces, `len` bytes together, as one.
    pub(crate) fn gather<'a>(
        &mut self,
        len: usize,
        pieces: impl Iterator<Item = &'a [u8]>,
    ) -> Payload {
        if len == 0 {
            return Payload::EMPTY;
        }
        if len > Self::SMALL {
            let mut own = Vec::with_capacity(len);
            pieces.for_each(|piece| own.extend_from_slice(piece));
            return own.into();
        }
        let mut block = self.block();
        let end = len as u32;
        let Block { bytes, .. } = Rc::get_mut(&mut block).expect("nobody else has it");
        bytes.clear();
        pieces.for_each(|piece| bytes.extend_from_slice(piece));
        Payload { block: Some(block), start: 0, end }
    }

    /// A small block that nobody else has.
    fn block(&self) -> Rc<Block> {
        let unused = self.unused.0.borrow_mut().pop();
        unused.unwrap_or_else(|| {
            Rc::new(Block { bytes: Vec::new(), home: Rc::downgrade(&self.unused) })
        })
    }
}

impl Unused {
    fn keep(&self, block: Rc<Block>) {
        let mut blocks = self.0.borrow_mut();
        if blocks.len() < Arena::KEPT {
            blocks.push(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_share_their_bytes() {
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

    /// A block that somebody has keeps its bytes; one that nobody has is filled again, and no other is made.
    #[test]
    fn blocks_are_used_again_and_never_while_somebody_has_them() {
        let mut arena = Arena::default();
        let held = arena.copy(b"held");
        for n in 0..1_000_u32 {
            assert_eq!(arena.copy(&n.to_le_bytes())[..], n.to_le_bytes());
        }
        assert_eq!(&held[..], b"held");
        assert_eq!(arena.unused.0.borrow().len(), 1);
        let many: Vec<Payload> = (0..1_000_u32).map(|n| arena.copy(&n.to_le_bytes())).collect();
        for (n, payload) in (0_u32..).zip(&many) {
            assert_eq!(payload[..], n.to_le_bytes());
        }
        drop(many);
        assert_eq!(arena.unused.0.borrow().len(), Arena::KEPT);
        drop(arena);
        assert_eq!(&held[..], b"held");
    }
}
