//! Asking what a socket is ready for, and doing it in one go with that.

use std::io;

use crate::net::simulated::kernel::error;
use crate::net::{Interest, Ready};
use crate::task;

/// A socket that tells what it is ready for.
pub(crate) trait Readies {
    /// Waits until it is ready for one thing of `interest`.
    async fn ready(&self, interest: Interest) -> io::Result<Ready>;

    /// What of `interest` it is ready for now.
    fn readiness(&self, interest: Interest) -> io::Result<Ready>;

    /// It turned out not to be ready for `interest`: it is taken for that until something happens.
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
            // A closed socket stays ready: others have their turn.
            if !self.readiness(interest)?.is_empty() {
                task::yield_now().await;
            }
        }
    }
}

fn is_would_block<R>(result: &io::Result<R>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}
