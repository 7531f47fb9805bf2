//! The writer's turn: a store has one writer at a time.

use std::future::poll_fn;
use std::task::Poll;

use crate::engine::{self, Wait};
use crate::storage::disks::{self, HandleId};
use crate::storage::error::Result;

/// A place in the queue of a store's writers. Dropping it leaves the queue and passes on the turn.
#[derive(Debug)]
pub(super) struct Turn {
    id: HandleId,
    ticket: u64,
}

impl Turn {
    /// Waits for the turn, in the order of calls. Inside the closure of a transaction, this fails,
    /// since the wait would never end.
    pub(super) async fn wait(id: HandleId) -> Result<Self> {
        let ticket = disks::with_handle(id, |store, _, _| {
            store.ensure_idle()?;
            Ok(store.writers.join(id.number))
        })?;
        let turn = Self { id, ticket };
        poll_fn(|cx| {
            let waker = cx.waker().clone();
            let pending = disks::with_handle(id, |store, _, _| {
                if store.writers.has_turn(ticket) {
                    return Ok(None);
                }
                Ok(Some(store.writers.set_waker(ticket, waker)))
            });
            match pending {
                Ok(None) => Poll::Ready(Ok(())),
                Ok(Some(old)) => {
                    drop(old);
                    engine::record_wait(Wait::Named("its turn to write to a store"));
                    Poll::Pending
                }
                Err(error) => Poll::Ready(Err(error)),
            }
        })
        .await?;
        Ok(turn)
    }
}

impl Drop for Turn {
    /// Does nothing in a dead process: `close_process` removes its writers.
    fn drop(&mut self) {
        let departed =
            disks::with_handle_in_drop(self.id, |store| store.writers.leave(self.ticket));
        if let Some(next) = departed.and_then(|departed| departed.next) {
            next.wake();
        }
    }
}
