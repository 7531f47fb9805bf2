//! The commit log: all events, in order. The truth that the backends' projections are made of.
//!
//! *As in the article*: what is committed goes to a buffer and is answered "OK"; at the next half second the buffer is
//! stored. No commit is ever doubted.
//!
//! *Fixed*: everything is decided here, in one transaction that is durable before it is answered. A commit says at which
//! position of the log it was decided; if the log has gone on since, it must be decided again. So no two backends can
//! give away the same item, nor refuse what another has made possible. And it says which client's request it answers: one
//! that has been answered is answered the same again. Refusals go into the log's memory of requests too: a request that
//! was refused through one gateway can't be done by the other later on.

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

/// What a commit takes.
const WORK: Duration = Duration::from_millis(5);

/// The most events that a download answers: what follows is asked for next.
const BATCH: usize = 1_000;

/// What the log is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum LogRequest {
    /// To go on by what was decided.
    Commit {
        /// Which request it answers.
        request: RequestId,
        /// How many events whoever decided it had seen.
        decided_at: u64,
        /// What.
        decision: Decision,
    },
    /// For the events behind so many.
    Download {
        /// How many it has.
        from: u64,
    },
}

/// What the log answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum LogAnswer {
    /// This is what has come of the request, now or earlier.
    Committed(Decision),
    /// The log has gone on since this was decided.
    Behind,
    /// The client has made another request since.
    Superseded,
    /// Events, and how many there are in all.
    Events {
        /// Those asked for, no more than a batch.
        events: Vec<Event>,
        /// How many there are in all.
        head: u64,
    },
    /// It can't be done; why.
    Failed(String),
}

/// The commit log, listening at an address: a service.
///
/// # Errors
///
/// When its port is taken, or its disk fails.
pub async fn commit_log(version: Version, address: &str) -> Result<(), BoxError> {
    match version {
        Version::Article => {
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
        tracing::error!("The log's disk: {error}");
        LogAnswer::Failed(error.to_string())
    })
}
