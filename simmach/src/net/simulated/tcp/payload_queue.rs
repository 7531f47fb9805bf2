//! A queue of payloads. The first payload is stored inline, since most streams have at most one.

use std::collections::VecDeque;

use crate::net::simulated::lazy_box::LazyBox;
use crate::net::simulated::tcp::payload::Payload;

/// A queue of payloads that are not empty.
#[derive(Default)]
pub(super) struct PayloadQueue {
    /// The first payload; it is empty if the queue is empty.
    first: Payload,
    more: LazyBox<VecDeque<Payload>>,
}

impl PayloadQueue {
    /// Appends a payload, which must not be empty.
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
        self.more.get_or_init().push_back(piece);
    }

    /// The first payload. The caller may shorten the payload, but not empty it.
    pub(super) fn first_mut(&mut self) -> Option<&mut Payload> {
        (!self.first.is_empty()).then_some(&mut self.first)
    }

    /// Removes the first payload.
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

    /// The payloads after the nth.
    pub(super) fn after(&self, n: usize) -> impl Iterator<Item = &Payload> {
        self.more.get().into_iter().flat_map(move |more| more.range(n..))
    }
}
