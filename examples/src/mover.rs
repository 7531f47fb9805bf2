//! The mover bot: adds one item, moves it round a ring of locations, and counts the items at the end.

use std::time::Duration;

use simmach::time::sleep;

use crate::Version;
use crate::client::{Error, Inventory};
use crate::event::{Location, Quantity};

/// How far and how fast the bot moves its item.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    /// Number of locations in the ring.
    pub ring: u64,
    /// Number of moves.
    pub moves: u64,
    /// Pause after each move.
    pub pause: Duration,
}

/// Runs the bot, with one move for each item of `steps`.
///
/// # Errors
///
/// The first issue that the bot finds.
pub async fn walk(
    inventory: Inventory,
    version: Version,
    walk: Walk,
    steps: impl IntoIterator,
) -> Result<(), Issue> {
    let mut mover = Mover::new(inventory, walk.ring);
    mover.add_item().await?;
    for _ in steps {
        match (mover.move_on().await, version) {
            (Ok(()), _) => {}
            // The error is already logged, and the buggy bot continues.
            (Err(_), Version::Buggy) => {}
            (Err(error), Version::Fixed) => return Err(error.into()),
        }
        sleep(walk.pause).await;
    }
    mover.check().await
}

/// The mover bot.
#[derive(Debug)]
pub struct Mover {
    inventory: Inventory,
    ring: u64,
    /// Where the item should be.
    at: u64,
}

/// Number of items that the bot adds.
const ITEMS: Quantity = 1;

impl Mover {
    /// A bot whose ring has `ring` locations.
    pub fn new(inventory: Inventory, ring: u64) -> Self {
        Self { inventory, ring: ring.max(1), at: 0 }
    }

    /// Adds the item.
    ///
    /// # Errors
    ///
    /// If the inventory does not accept it.
    pub async fn add_item(&mut self) -> Result<(), Error> {
        self.inventory.add(Location(self.at), ITEMS).await
    }

    /// Moves the item to the next location.
    ///
    /// Without an answer, the bot moves it from the same location next time. If the move is refused, the bot assumes that an
    /// earlier try has moved the item.
    ///
    /// # Errors
    ///
    /// The inventory's error, refusals included.
    pub async fn move_on(&mut self) -> Result<(), Error> {
        let next = (self.at + 1) % self.ring;
        let moved = self.inventory.move_items(Location(self.at), Location(next), ITEMS).await;
        match &moved {
            Ok(()) | Err(Error::Refused(_)) => self.at = next,
            Err(Error::NoGateways | Error::NoAnswer) => {}
        }
        if let Err(error) = &moved {
            tracing::error!("{error}");
        }
        moved
    }

    /// Counts the items: the total must be what was added.
    ///
    /// The buggy version's bot takes an unanswered count for a count of 0.
    ///
    /// # Errors
    ///
    /// The issue, if the total is wrong or no gateway answers.
    pub async fn check(&mut self) -> Result<(), Issue> {
        let actual = match self.inventory.count().await {
            Ok(count) => count,
            Err(error @ Error::NoGateways) => {
                tracing::error!("{error}");
                0
            }
            Err(error @ (Error::NoAnswer | Error::Refused(_))) => return Err(error.into()),
        };
        match actual {
            ITEMS => Ok(()),
            ..ITEMS => Err(Issue::Lost { expected: ITEMS, actual }),
            _ => Err(Issue::Doubled { expected: ITEMS, actual }),
        }
    }
}

/// Something that is wrong with the inventory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Issue {
    /// The bot counts too few items.
    #[error("expected finalCount to be {expected} but got {actual}")]
    Lost {
        /// The right number of items.
        expected: Quantity,
        /// The counted number of items.
        actual: Quantity,
    },
    /// The bot counts too many items.
    #[error("expected finalCount to be {expected} but got {actual}")]
    Doubled {
        /// The right number of items.
        expected: Quantity,
        /// The counted number of items.
        actual: Quantity,
    },
    /// A request failed.
    #[error("{0}")]
    Unserved(#[from] Error),
}

impl Issue {
    /// A name for all issues of the same kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Lost { .. } => "lost item",
            Self::Doubled { .. } => "doubled item",
            Self::Unserved(Error::Refused(_)) => "refused",
            Self::Unserved(Error::NoGateways | Error::NoAnswer) => "no answer",
        }
    }
}
