//! A client of the inventory, which finds a gateway that answers.
//!
//! *Buggy*: the client tries each gateway twice, then treats it as down for 15 s. When all gateways
//! are down, the request fails. The cluster sees each try as a separate request.
//!
//! *Fixed*: the client asks the gateways in turn until one answers, up to a time limit. The cluster
//! recognizes a repeated request by its ID, through any gateway.

use std::io;
use std::time::Duration;

use simmach::rand;
use simmach::time::{Instant, sleep, timeout};

use crate::Version;
use crate::backend::{Answer, Command, Request};
use crate::decision::Refusal;
use crate::event::{Location, Quantity};
use crate::wire::{Connection, RequestId};

/// Time limits for a connection to a gateway, and for its answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);

/// Buggy version: how often a gateway is tried, and for how long it is then treated as down.
const TRIES: u32 = 2;
const DOWN: Duration = Duration::from_secs(15);

/// Fixed version: the first and the longest pause between tries, and the time after which a request fails.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
const LIMIT: Duration = Duration::from_secs(180);

/// A client's handle to the inventory, which it reaches through gateways.
#[derive(Debug)]
pub struct Inventory {
    version: Version,
    client: u64,
    /// Number of requests so far.
    requests: u64,
    gateways: Vec<Gateway>,
    /// Fixed version: index of the gateway that is asked next.
    next: usize,
}

#[derive(Debug)]
struct Gateway {
    address: String,
    /// Buggy version: until when the gateway is treated as down.
    down_until: Option<Instant>,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The command cannot be carried out.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// All gateways are treated as down. The outcome of the request is unknown.
    #[error("No gateways active")]
    NoGateways,
    /// No gateway has answered in time. The outcome of the request is unknown.
    #[error("no gateway has answered for {LIMIT:?}")]
    NoAnswer,
}

impl Inventory {
    /// A client of these gateways. It sends nothing yet.
    pub fn connect(
        version: Version,
        gateways: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let gateways = gateways.into_iter().map(Into::into);
        let gateways = gateways.map(|address| Gateway { address, down_until: None }).collect();
        Self { version, client: rand::random(), requests: 0, gateways, next: 0 }
    }

    /// Adds new items at a location.
    ///
    /// # Errors
    ///
    /// If no gateway answers, or if the quantity would overflow.
    pub async fn add(&mut self, location: Location, quantity: Quantity) -> Result<(), Error> {
        self.ask(Command::AddItem { location, quantity }).await.map(|_| ())
    }

    /// Moves items from one location to another.
    ///
    /// # Errors
    ///
    /// If there are too few, or if no gateway answers.
    pub async fn move_items(
        &mut self,
        from: Location,
        to: Location,
        quantity: Quantity,
    ) -> Result<(), Error> {
        self.ask(Command::MoveItem { from, to, quantity }).await.map(|_| ())
    }

    /// Counts all items.
    ///
    /// # Errors
    ///
    /// If no gateway answers.
    pub async fn count(&mut self) -> Result<Quantity, Error> {
        self.ask(Command::Count).await
    }

    async fn ask(&mut self, command: Command) -> Result<Quantity, Error> {
        self.requests += 1;
        let id = RequestId { client: self.client, number: self.requests };
        let request = Request { id, command };
        let answer = match self.version {
            Version::Buggy => self.ask_active(&request).await?,
            Version::Fixed => self.ask_any(&request).await?,
        };
        match answer {
            Settled::Done => Ok(0),
            Settled::Count(count) => Ok(count),
            Settled::Refused(refusal) => Err(Error::Refused(refusal)),
        }
    }

    /// Buggy version: asks each gateway that is not treated as down, twice.
    async fn ask_active(&mut self, request: &Request) -> Result<Settled, Error> {
        for gateway in &mut self.gateways {
            if gateway.down_until.is_some_and(|until| Instant::now() < until) {
                continue;
            }
            for _ in 0..TRIES {
                match ask_gateway(&gateway.address, request).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => tracing::warn!("{} failed: {error}", gateway.address),
                }
            }
            tracing::warn!("treating {} as down for {DOWN:?}", gateway.address);
            gateway.down_until = Some(Instant::now() + DOWN);
        }
        Err(Error::NoGateways)
    }

    /// Fixed version: asks the gateways in turn until one answers.
    async fn ask_any(&mut self, request: &Request) -> Result<Settled, Error> {
        let began = Instant::now();
        let (mut pause, longest) = PAUSE;
        while began.elapsed() < LIMIT && !self.gateways.is_empty() {
            let gateway = &self.gateways[self.next % self.gateways.len()];
            match ask_gateway(&gateway.address, request).await {
                Ok(answer) => return Ok(answer),
                Err(error) => tracing::warn!("{} failed: {error}", gateway.address),
            }
            self.next += 1;
            sleep(pause).await;
            pause = longest.min(pause * 2);
        }
        Err(Error::NoAnswer)
    }
}

/// An answer that settles the request.
enum Settled {
    Done,
    Refused(Refusal),
    Count(Quantity),
}

async fn ask_gateway(address: &str, request: &Request) -> io::Result<Settled> {
    let mut connection = timeout(CONNECT_TIMEOUT, Connection::open(address)).await??;
    match timeout(ANSWER_TIMEOUT, connection.ask(request)).await?? {
        Answer::Done => Ok(Settled::Done),
        Answer::Refused(refusal) => Ok(Settled::Refused(refusal)),
        Answer::Count(count) => Ok(Settled::Count(count)),
        Answer::Unavailable(why) => Err(io::Error::other(why)),
    }
}
