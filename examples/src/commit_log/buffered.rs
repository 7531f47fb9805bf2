//! The log of the buggy version: it keeps acknowledged commits in memory and stores them every half
//! second.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use simmach::storage;
use simmach::task::work;
use simmach::time::interval;

use super::LogAnswer;
use super::journal::{self, Journal};
use crate::decision::Decision;
use crate::event::Event;

const STORE_INTERVAL: Duration = Duration::from_millis(500);

pub(super) struct Buffered {
    journal: Journal,
    buffer: Mutex<Vec<Event>>,
}

impl Buffered {
    pub(super) async fn open() -> storage::Result<Self> {
        Ok(Self { journal: Journal::open().await?, buffer: Mutex::default() })
    }

    pub(super) fn commit(&self, decision: &Decision) {
        if let Decision::Accepted(events) = decision {
            self.buffer().extend_from_slice(events);
        }
    }

    pub(super) async fn download(&self, from: u64) -> storage::Result<LogAnswer> {
        self.journal.download(from).await
    }

    /// Stores the buffer every half second; never returns `Ok`.
    pub(super) async fn store(&self) -> storage::Result<()> {
        let mut ticks = interval(STORE_INTERVAL);
        loop {
            ticks.tick().await;
            let count = self.buffer().len();
            if count > 0 {
                work(store_time(count)).await;
                let events = std::mem::take(&mut *self.buffer());
                tracing::debug!("Store {} events", events.len());
                self.journal.write(move |txn| journal::append(txn, &events)).await?;
            }
        }
    }

    fn buffer(&self) -> MutexGuard<'_, Vec<Event>> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn store_time(events: usize) -> Duration {
    let events = u32::try_from(events).unwrap_or(u32::MAX);
    Duration::from_millis(10) + Duration::from_millis(5) * events
}
