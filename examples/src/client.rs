//! What a client of the inventory holds: it knows the gateways, and finds one that answers.
//!
//! *As in the article*: each gateway is tried twice, then it is taken for down, for 15 s; when all are, the request has
//! failed. Each try is a request of its own, as far as the cluster can tell.
//!
//! *Fixed*: one gateway after the other is asked, for as long as it takes, up to a limit; and the request has a name by
//! which it is known whichever gateway it comes through.

use std::io;
use std::time::Duration;

use simmach::rand;
use simmach::time::{Instant, sleep, timeout};

use crate::Version;
use crate::backend::{Answer, Command, Request};
use crate::decision::Refusal;
use crate::event::{Location, Quantity};
use crate::wire::{Connection, RequestId};

/// How long a gateway has to take a connection, and then to answer.
const TO_CONNECT: Duration = Duration::from_secs(5);
const TO_ANSWER: Duration = Duration::from_secs(8);

/// The article's: how often a gateway is tried, and how long it is left alone then.
const TRIES: u32 = 2;
const DOWN: Duration = Duration::from_secs(15);

/// The fixed: how long it waits before the next try, at first and at most; and when it gives up.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
const LIMIT: Duration = Duration::from_secs(180);

/// An inventory, reached through gateways.
#[derive(Debug)]
pub struct Inventory {
    version: Version,
    client: u64,
    /// How many requests there have been.
    requests: u64,
    gateways: Vec<Gateway>,
    /// The fixed one's: the gateway that is asked next.
    next: usize,
}

#[derive(Debug)]
struct Gateway {
    address: String,
    /// The article's: taken for down until then.
    down_until: Option<Instant>,
}

/// Why a request has no good end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It can't be done.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// All gateways are taken for down. What has come of the request is not known.
    #[error("No gateways active")]
    NoGateways,
    /// No gateway has answered. What has come of the request is not known.
    #[error("no gateway has answered for {LIMIT:?}")]
    NoAnswer,
}

impl Inventory {
    /// Knows these gateways; nothing is sent yet.
    pub fn connect(
        version: Version,
        gateways: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let gateways = gateways.into_iter().map(Into::into);
        let gateways = gateways.map(|address| Gateway { address, down_until: None }).collect();
        Self { version, client: rand::random(), requests: 0, gateways, next: 0 }
    }

    /// Puts in items from nowhere.
    ///
    /// # Errors
    ///
    /// When no gateway answers, and when there is no room for so many.
    pub async fn add(&mut self, location: Location, quantity: Quantity) -> Result<(), Error> {
        self.ask(Command::AddItem { location, quantity }).await.map(|_| ())
    }

    /// Moves items from a location to another.
    ///
    /// # Errors
    ///
    /// When they are not there, and when no gateway answers.
    pub async fn move_items(
        &mut self,
        from: Location,
        to: Location,
        quantity: Quantity,
    ) -> Result<(), Error> {
        self.ask(Command::MoveItem { from, to, quantity }).await.map(|_| ())
    }

    /// How many items there are in all.
    ///
    /// # Errors
    ///
    /// When no gateway answers.
    pub async fn count(&mut self) -> Result<Quantity, Error> {
        self.ask(Command::Count).await
    }

    async fn ask(&mut self, command: Command) -> Result<Quantity, Error> {
        self.requests += 1;
        let id = RequestId { client: self.client, number: self.requests };
        let request = Request { id, command };
        let answer = match self.version {
            Version::Article => self.ask_active(&request).await?,
            Version::Fixed => self.ask_any(&request).await?,
        };
        match answer {
            Good::Done => Ok(0),
            Good::Count(count) => Ok(count),
            Good::Refused(refusal) => Err(Error::Refused(refusal)),
        }
    }

    /// As in the article.
    async fn ask_active(&mut self, request: &Request) -> Result<Good, Error> {
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
            tracing::warn!("{} is taken for down for {DOWN:?}", gateway.address);
            gateway.down_until = Some(Instant::now() + DOWN);
        }
        Err(Error::NoGateways)
    }

    async fn ask_any(&mut self, request: &Request) -> Result<Good, Error> {
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

/// An answer by which the client knows what has come of its request.
enum Good {
    Done,
    Refused(Refusal),
    Count(Quantity),
}

async fn ask_gateway(address: &str, request: &Request) -> io::Result<Good> {
    let mut connection = timeout(TO_CONNECT, Connection::open(address)).await??;
    match timeout(TO_ANSWER, connection.ask(request)).await?? {
        Answer::Done => Ok(Good::Done),
        Answer::Refused(refusal) => Ok(Good::Refused(refusal)),
        Answer::Count(count) => Ok(Good::Count(count)),
        Answer::Unavailable(why) => Err(io::Error::other(why)),
    }
}
