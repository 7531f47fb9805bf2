//! A backend: it answers clients from its own store, and commits what they do to the log.
//!
//! *As in the article*: a command is decided by what the own store holds; its events are applied to that, then committed.
//!
//! *Fixed*: a command is decided by what the own store holds, and committed; the log says whether that was up to date. The
//! own store follows the log and nothing else, so it may be lost or fall behind and no harm is done. A count first brings
//! in all that the log holds by then.

mod article;
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

/// What a request takes.
const WORK: Duration = Duration::from_millis(35);

/// What a client asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// What it calls this request.
    pub id: RequestId,
    /// What it wants.
    pub command: Command,
}

/// What a client wants.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Command {
    /// Items come from nowhere.
    AddItem {
        /// Where to.
        location: Location,
        /// How many.
        quantity: Quantity,
    },
    /// Items go from a location to another; refused where they are not there.
    MoveItem {
        /// Where from.
        from: Location,
        /// Where to.
        to: Location,
        /// How many.
        quantity: Quantity,
    },
    /// How many items are there in all?
    Count,
}

/// What a backend answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// It is done.
    Done,
    /// It can't be done.
    Refused(Refusal),
    /// So many items.
    Count(Quantity),
    /// The backend does not know what comes of it; why.
    Unavailable(String),
}

/// A backend that listens at an address and commits to the log at another: a service.
///
/// # Errors
///
/// When its port is taken or its disk can't be read.
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
            Version::Article => article::carry_out(self, request).await,
            Version::Fixed => fixed::carry_out(self, request).await,
        };
        answer.unwrap_or_else(|error| {
            tracing::warn!("No answer to a request: {error}");
            Answer::Unavailable(error.to_string())
        })
    }
}

impl Command {
    /// The locations whose quantities decide it.
    fn concerns(&self) -> Vec<Location> {
        match *self {
            Self::AddItem { location, .. } => vec![location],
            Self::MoveItem { from, to, .. } => vec![from, to],
            Self::Count => Vec::new(),
        }
    }

    /// What comes of it, by what is at [the locations that it concerns](Self::concerns).
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
