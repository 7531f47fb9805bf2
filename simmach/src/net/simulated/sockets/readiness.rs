//! Readiness of sockets, and operations that depend on it.

use std::io;

use crate::net::simulated::kernel::error;
use crate::net::{Interest, Ready};
use crate::task;

/// A socket whose readiness can be awaited.
pub(crate) trait Readiness {
    /// Waits until the socket is ready for at least one part of `interest`.
    async fn ready(&self, interest: Interest) -> io::Result<Ready>;

    /// The part of `interest` that the socket is ready for now.
    fn readiness(&self, interest: Interest) -> io::Result<Ready>;

    /// Marks the socket as not ready for `interest`, until the next event.
    fn clear(&self, interest: Interest) -> io::Result<()>;

    fn try_io<R>(&self, interest: Interest, f: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        if self.readiness(interest)?.is_empty() {
            return Err(error::would_block());
        }
        let result = f();
        if is_would_block(&result) {
            self.clear(interest)?;
        }
        result
    }

    async fn async_io<R>(
        &self,
        interest: Interest,
        mut f: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            self.ready(interest).await?;
            let result = self.try_io(interest, &mut f);
            if !is_would_block(&result) {
                return result;
            }
            // A closed socket stays ready. Without this wait, the loop would never yield.
            if !self.readiness(interest)?.is_empty() {
                task::yield_now().await;
            }
        }
    }
}

fn is_would_block<R>(result: &io::Result<R>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}
