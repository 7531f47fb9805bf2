//! A backend: it answers clients from its own store, and commits their changes to the log.
//!
//! *Buggy*: the backend decides a command from its store. It applies the events to the store first,
//! then commits them.
//!
//! *Fixed*: the backend decides a command from its store and commits the decision. If the store was
//! out of date, the log rejects the commit. Only events from the log are written to the store, so
//! the store may be lost or fall behind without harm. Before it counts items, the backend catches
//! up with the log.

mod buggy;
mod fixed;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use serde::{Deserialize, Serialize};
use simmach::BoxError;
use simmach::task::work;

use crate::Version;
use crate::decision::{Decision, Refusal};
use crate::event::{Location, Quantity};
use crate::log_client::LogClient;
use crate::projection;
use crate::server::{Handler, serve};
use crate::store::{Stock, View};
use crate::wire::RequestId;

/// Processor time of a request.
const WORK: Duration = Duration::from_millis(35);

/// A client's request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The ID that the client gave to this request.
    pub id: RequestId,
    /// What the client wants.
    pub command: Command,
}

/// A command of a client.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Command {
    /// Adds new items at a location.
    AddItem {
        /// The destination.
        location: Location,
        /// Number of items.
        quantity: Quantity,
    },
    /// Moves items from one location to another; refused if there are too few.
    MoveItem {
        /// The source.
        from: Location,
        /// The destination.
        to: Location,
        /// Number of items.
        quantity: Quantity,
    },
    /// Counts all items.
    Count,
}

/// A backend's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// The command was carried out.
    Done,
    /// The command cannot be carried out.
    Refused(Refusal),
    /// The number of items.
    Count(Quantity),
    /// The outcome is unknown, and why.
    Unavailable(String),
}

/// The service: a backend that listens at `address` and commits to the log at `log`.
///
/// # Errors
///
/// If the port is taken or the disk cannot be read.
pub async fn backend(version: Version, address: &str, log: &str) -> Result<(), BoxError> {
    let backend = Arc::new(Backend {
        version,
        stock: Stock::open().await?,
        log: LogClient::new(version, log),
    });
    let serving = pin!(serve(Arc::clone(&backend), address));
    let following = pin!(projection::follow(version, &backend.stock, &backend.log));
    match select(serving, following).await {
        Either::Left((served, _)) => Ok(served?),
        Either::Right((never, _)) => never,
    }
}

struct Backend {
    version: Version,
    stock: Stock,
    log: LogClient,
}

impl Handler for Backend {
    type Request = Request;
    type Answer = Answer;

    async fn handle(&self, request: Request) -> Answer {
        work(WORK).await;
        let answer = match self.version {
            Version::Buggy => buggy::carry_out(self, request).await,
            Version::Fixed => fixed::carry_out(self, request).await,
        };
        answer.unwrap_or_else(|error| {
            tracing::warn!("Cannot answer a request: {error}");
            Answer::Unavailable(error.to_string())
        })
    }
}

impl Command {
    /// The locations whose quantities decide the command.
    fn locations(&self) -> Vec<Location> {
        match *self {
            Self::AddItem { location, .. } => vec![location],
            Self::MoveItem { from, to, .. } => vec![from, to],
            Self::Count => Vec::new(),
        }
    }

    /// Decides the command by what is at its [locations](Self::locations).
    fn decide(&self, view: &View) -> Decision {
        let there = |nth: usize| view.quantities.get(nth).copied().unwrap_or(0);
        match *self {
            Self::AddItem { location, quantity } => Decision::to_add(location, quantity, there(0)),
            Self::MoveItem { from, to, quantity } => {
                Decision::to_move((from, there(0)), (to, there(1)), quantity)
            }
            Self::Count => Decision::Accepted(Vec::new()),
        }
    }
}

impl From<Decision> for Answer {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Accepted(_) => Self::Done,
            Decision::Refused(refusal) => Self::Refused(refusal),
        }
    }
}
