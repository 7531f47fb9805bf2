//! Pieces of a stream, one behind the other. Of most there is one or none: that one lies in here, and needs no memory of the
//! queue's.

use std::collections::VecDeque;

use crate::net::simulated::rare::Rare;
use crate::net::simulated::tcp::payload::Payload;

/// No piece of it is empty.
#[derive(Default)]
pub(super) struct Pieces {
    /// Empty: there is none.
    first: Payload,
    more: Rare<VecDeque<Payload>>,
}

impl Pieces {
    /// Adds one, which is not empty.
    #[inline]
    pub(super) fn push(&mut self, piece: Payload) {
        debug_assert!(!piece.is_empty(), "an empty piece is none");
        if self.first.is_empty() {
            self.first = piece;
        } else {
            self.push_behind(piece);
        }
    }

    #[inline(never)]
    fn push_behind(&mut self, piece: Payload) {
        self.more.wanted().push_back(piece);
    }

    /// The first, which may be made shorter, but not empty.
    pub(super) fn first_mut(&mut self) -> Option<&mut Payload> {
        (!self.first.is_empty()).then_some(&mut self.first)
    }

    /// The first is gone.
    #[inline]
    pub(super) fn remove_first(&mut self) {
        self.first = self.more.get_mut().and_then(VecDeque::pop_front).unwrap_or_default();
    }

    pub(super) fn nth(&self, n: usize) -> Option<&Payload> {
        match n.checked_sub(1) {
            None => (!self.first.is_empty()).then_some(&self.first),
            Some(n) => self.more.get()?.get(n),
        }
    }

    /// Those behind the nth.
    pub(super) fn behind(&self, n: usize) -> impl Iterator<Item = &Payload> {
        self.more.get().into_iter().flat_map(move |more| more.range(n..))
    }
}
