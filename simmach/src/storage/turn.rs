//! Waiting for the writer's turn.

use std::future::poll_fn;
use std::task::Poll;

use super::disks::{self, StoreId};
use super::error::Result;
use crate::engine::{self, Wait};

/// A place among the writers of a store, which is the turn when it is the first. Dropped, it is the next one's.
#[derive(Debug)]
pub(super) struct Turn {
    id: StoreId,
    ticket: u64,
}

impl Turn {
    /// Waits for the turn, behind all who wait already.
    pub(super) async fn wait(id: StoreId) -> Result<Self> {
        let ticket = disks::reach(id, |_, opened, _| Ok(opened.writers.join()))?;
        let turn = Self { id, ticket };
        poll_fn(|cx| {
            let waker = cx.waker().clone();
            let waits = disks::reach(id, |_, opened, _| {
                if opened.writers.has_turn(ticket) {
                    return Ok(None);
                }
                Ok(Some(opened.writers.keep(ticket, waker)))
            });
            match waits {
                Ok(None) => Poll::Ready(Ok(())),
                Ok(Some(before)) => {
                    drop(before);
                    engine::waits(Wait::Named("the writer's turn in a store"));
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
    fn drop(&mut self) {
        let left = disks::reach_place(self.id, |opened| opened.writers.leave(self.ticket));
        let Some(left) = left else { return };
        drop(left.own);
        // Those who wait in a dead process die with it: they are not to be woken.
        if engine::live_scope().is_some()
            && let Some(next) = left.next
        {
            next.wake();
        }
    }
}
