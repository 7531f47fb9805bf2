//! Waiting for the writer's turn.

use std::future::poll_fn;
use std::task::Poll;

use crate::engine::{self, Wait};
use crate::storage::disks::{self, StoreId};
use crate::storage::error::Result;

/// A place among the writers of a store, which is the turn when it is the first. Dropped, it is the next one's.
#[derive(Debug)]
pub(super) struct Turn {
    id: StoreId,
    ticket: u64,
}

impl Turn {
    /// Waits for the turn, behind all who wait already. Inside the closure of a transaction it would wait for itself.
    pub(super) async fn wait(id: StoreId) -> Result<Self> {
        let ticket = disks::reach(id, |stored, _, _| {
            stored.check_that_it_is_not_in_use()?;
            Ok(stored.writers.join(id.number))
        })?;
        let turn = Self { id, ticket };
        poll_fn(|cx| {
            let waker = cx.waker().clone();
            let waits = disks::reach(id, |stored, _, _| {
                if stored.writers.has_turn(ticket) {
                    return Ok(None);
                }
                Ok(Some(stored.writers.keep(ticket, waker)))
            });
            match waits {
                Ok(None) => Poll::Ready(Ok(())),
                Ok(Some(before)) => {
                    drop(before);
                    engine::record_wait(Wait::Named("the writer's turn in a store"));
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
    /// What a dead process leaves is given up when the process is closed.
    fn drop(&mut self) {
        let left = disks::reach_place(self.id, |stored| stored.writers.leave(self.ticket));
        if let Some(next) = left.and_then(|left| left.next) {
            next.wake();
        }
    }
}
