//! What happens in an inventory.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place where items are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Location(pub u64);

/// How many items, in whole pieces: none of the scenarios divides one.
pub type Quantity = u64;

/// Something that happened, once and for all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Items came to a location.
    Added {
        /// Where.
        location: Location,
        /// How many came.
        quantity: Quantity,
        /// How many are there since.
        total: Quantity,
    },
    /// Items went from a location.
    Removed {
        /// Where.
        location: Location,
        /// How many went.
        quantity: Quantity,
        /// How many are there since.
        total: Quantity,
    },
}

impl Event {
    /// The location, and how many are there since.
    pub fn total(&self) -> (Location, Quantity) {
        match *self {
            Self::Added { location, total, .. } | Self::Removed { location, total, .. } => {
                (location, total)
            }
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "L{}", self.0)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { location, quantity, total } => {
                write!(f, "Added {quantity} to {location} ({total})")
            }
            Self::Removed { location, quantity, total } => {
                write!(f, "Removed {quantity} from {location} ({total})")
            }
        }
    }
}
