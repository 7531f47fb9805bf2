//! Events of the inventory.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place for items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Location(pub u64);

/// A number of items.
pub type Quantity = u64;

/// Something that happened to the inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Items were added at a location.
    Added {
        /// The location.
        location: Location,
        /// Number of items added.
        quantity: Quantity,
        /// Number of items there afterwards.
        total: Quantity,
    },
    /// Items were removed from a location.
    Removed {
        /// The location.
        location: Location,
        /// Number of items removed.
        quantity: Quantity,
        /// Number of items there afterwards.
        total: Quantity,
    },
}

impl Event {
    /// The location, and the number of items there afterwards.
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
