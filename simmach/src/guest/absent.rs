//! Replaces `runtime.rs` on platforms that do not support guests, and without the feature `tokio`.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

pub(super) const IS_SUPPORTED: bool = false;

/// Does nothing: there are no guests.
pub(crate) fn prepare(_: bool) {}

/// Returns no messages, since there are no guests.
pub(crate) fn not_found() -> Vec<String> {
    Vec::new()
}

/// Does nothing: there are no guests.
pub(crate) fn reset(_: u64, _: bool) {}

/// The main future of a guest. This type cannot be instantiated.
pub(super) struct Guest<F> {
    main: F,
    never: Infallible,
}

impl<F> Guest<F> {
    pub(super) fn new(main: F) -> Self {
        let _ = main;
        unreachable!("guests are not supported here")
    }
}

impl<F: Future> Future for Guest<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<F::Output> {
        let _ = &self.main;
        match self.never {}
    }
}
