//! The mover bot: it puts in one item, moves it round a ring of locations, and counts it at the end.

use std::time::Duration;

use simmach::time::sleep;

use crate::Version;
use crate::client::{Error, Inventory};
use crate::event::{Location, Quantity};

/// What the bot does: moves its item so often round so many locations, with a pause between.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    /// How many locations.
    pub ring: u64,
    /// How many moves.
    pub moves: u64,
    /// The pause behind each.
    pub pause: Duration,
}

/// The bot at work, with a move for each of the steps.
///
/// # Errors
///
/// What is not as it should be.
pub async fn walk(
    inventory: Inventory,
    version: Version,
    walk: Walk,
    steps: impl IntoIterator,
) -> Result<(), Issue> {
    let mut mover = Mover::new(inventory, walk.ring);
    mover.put_in().await?;
    for _ in steps {
        match (mover.move_on().await, version) {
            (Ok(()), _) => {}
            // This bot has said so in its log, and goes on.
            (Err(_), Version::Article) => {}
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

/// What the bot puts in.
const ITEMS: Quantity = 1;

impl Mover {
    /// A bot whose ring has so many locations.
    pub fn new(inventory: Inventory, ring: u64) -> Self {
        Self { inventory, ring: ring.max(1), at: 0 }
    }

    /// Puts the item in.
    ///
    /// # Errors
    ///
    /// When the inventory does not take it: there is nothing to move then.
    pub async fn put_in(&mut self) -> Result<(), Error> {
        self.inventory.add(Location(self.at), ITEMS).await
    }

    /// Moves the item to the next location.
    ///
    /// A bot that gets no answer moves it from the same location next time. A bot that is refused takes it that an earlier
    /// try has moved the item.
    ///
    /// # Errors
    ///
    /// What the inventory says, for those who will have no refusals.
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

    /// Counts the items: the total must be what was put in.
    ///
    /// The article's bot takes a count that nobody answers for none.
    ///
    /// # Errors
    ///
    /// What is not as it should be.
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

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Issue {
    /// An item is gone, for all that the bot can find.
    #[error("expected finalCount to be {expected} but got {actual}")]
    Lost {
        /// How many should be there.
        expected: Quantity,
        /// How many are.
        actual: Quantity,
    },
    /// An item is there twice.
    #[error("expected finalCount to be {expected} but got {actual}")]
    Doubled {
        /// How many should be there.
        expected: Quantity,
        /// How many are.
        actual: Quantity,
    },
    /// The inventory did not do what it must.
    #[error("{0}")]
    Unserved(#[from] Error),
}

impl Issue {
    /// One name for all issues that have the same cause.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Lost { .. } => "lost item",
            Self::Doubled { .. } => "doubled item",
            Self::Unserved(Error::Refused(_)) => "refused",
            Self::Unserved(Error::NoGateways | Error::NoAnswer) => "no answer",
        }
    }
}
