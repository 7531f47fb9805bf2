//! The commit log: all events, in order. Backends build their stores from it.
//!
//! *Buggy*: the log acknowledges a commit when it is in a buffer in memory, and stores the buffer
//! every half second. It accepts every commit.
//!
//! *Fixed*: a commit is one transaction, which is durable before the log acknowledges it. A commit
//! contains the log position at which it was decided. If the log has grown since, the commit is
//! rejected and the command must be decided again. So no two backends can move the same item, and
//! no backend refuses a command because its store is stale.
//!
//! A commit also contains the ID of the client's request: a repeated request gets the same answer.
//! The log stores refusals too, so that no gateway carries out a request that another gateway has
//! refused.

mod buffered;
mod durable;
mod journal;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use serde::{Deserialize, Serialize};
use simmach::task::work;
use simmach::{BoxError, storage};

use crate::Version;
use crate::decision::Decision;
use crate::event::Event;
use crate::server::{Handler, serve};
use crate::wire::RequestId;
use buffered::Buffered;
use durable::Durable;

/// Processor time of a commit.
const WORK: Duration = Duration::from_millis(5);

/// Maximum number of events in one answer to a download.
const BATCH: usize = 1_000;

/// A request to the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum LogRequest {
    /// Commits a decision.
    Commit {
        /// The client's request that it answers.
        request: RequestId,
        /// Number of events that the backend had seen when it decided.
        decided_at: u64,
        /// The decision.
        decision: Decision,
    },
    /// Asks for events.
    Download {
        /// Number of events to skip: those that the backend has.
        from: u64,
    },
}

/// The log's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum LogAnswer {
    /// The outcome of the request, decided now or earlier.
    Committed(Decision),
    /// The log has grown since this was decided.
    Behind,
    /// The client has made a later request.
    Superseded,
    /// Events of the log.
    Events {
        /// The events asked for, at most one batch.
        events: Vec<Event>,
        /// Number of all events in the log.
        head: u64,
    },
    /// The request failed, and why.
    Failed(String),
}

/// The service: a commit log that listens at `address`.
///
/// # Errors
///
/// If the port is taken or the disk fails.
pub async fn commit_log(version: Version, address: &str) -> Result<(), BoxError> {
    match version {
        Version::Buggy => {
            let log = Arc::new(Buffered::open().await?);
            let (serving, storing) = (pin!(serve(Arc::clone(&log), address)), pin!(log.store()));
            match select(serving, storing).await {
                Either::Left((served, _)) => served?,
                Either::Right((stored, _)) => stored?,
            }
        }
        Version::Fixed => serve(Arc::new(Durable::open().await?), address).await?,
    }
    Ok(())
}

impl Handler for Buffered {
    type Request = LogRequest;
    type Answer = LogAnswer;

    async fn handle(&self, request: LogRequest) -> LogAnswer {
        match request {
            LogRequest::Commit { decision, .. } => {
                work(WORK).await;
                self.commit(&decision);
                LogAnswer::Committed(decision)
            }
            LogRequest::Download { from } => or_failed(self.download(from).await),
        }
    }
}

impl Handler for Durable {
    type Request = LogRequest;
    type Answer = LogAnswer;

    async fn handle(&self, request: LogRequest) -> LogAnswer {
        match request {
            LogRequest::Commit { request, decided_at, decision } => {
                work(WORK).await;
                or_failed(self.commit(request, decided_at, decision).await)
            }
            LogRequest::Download { from } => or_failed(self.download(from).await),
        }
    }
}

fn or_failed(answer: storage::Result<LogAnswer>) -> LogAnswer {
    answer.unwrap_or_else(|error| {
        tracing::error!("The log's disk failed: {error}");
        LogAnswer::Failed(error.to_string())
    })
}
