//! Pure functions that decide a command, given the quantities in stock. The result is a list of
//! events or a refusal.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::{Event, Location, Quantity};

/// The outcome of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision {
    /// The command is carried out by these events; the list may be empty.
    Accepted(Vec<Event>),
    /// The command cannot be carried out.
    Refused(Refusal),
}

/// Why a command cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The location has too few items.
    #[error("{location} has {there}, fewer than {wanted}")]
    NotThere {
        /// The location.
        location: Location,
        /// Number of items to move.
        wanted: Quantity,
        /// Number of items at the location.
        there: Quantity,
    },
    /// The quantity would overflow.
    #[error("{0} would have too many items")]
    TooMany(Location),
}

impl Decision {
    /// Decides whether to add `quantity` items at a location that has `there` items.
    pub fn to_add(location: Location, quantity: Quantity, there: Quantity) -> Self {
        if quantity == 0 {
            return Self::Accepted(Vec::new());
        }
        match there.checked_add(quantity) {
            Some(total) => Self::Accepted(vec![Event::Added { location, quantity, total }]),
            None => Self::Refused(Refusal::TooMany(location)),
        }
    }

    /// Decides to move `quantity` items. Each location comes with its current quantity.
    pub fn to_move(
        (from, there): (Location, Quantity),
        (to, already): (Location, Quantity),
        quantity: Quantity,
    ) -> Self {
        let Some(left) = there.checked_sub(quantity) else {
            let refusal = Refusal::NotThere { location: from, wanted: quantity, there };
            return Self::Refused(refusal);
        };
        if from == to {
            return Self::Accepted(Vec::new());
        }
        match Self::to_add(to, quantity, already) {
            Self::Accepted(mut events) if !events.is_empty() => {
                events.push(Event::Removed { location: from, quantity, total: left });
                Self::Accepted(events)
            }
            nothing => nothing,
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted(events) if events.is_empty() => f.write_str("nothing"),
            Self::Accepted(events) => {
                for (nth, event) in events.iter().enumerate() {
                    let comma = if nth == 0 { "" } else { ", " };
                    write!(f, "{comma}{event}")?;
                }
                Ok(())
            }
            Self::Refused(refusal) => write!(f, "refused: {refusal}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Location = Location(0);
    const B: Location = Location(1);

    #[test]
    fn move_takes_and_gives_the_same() {
        let decision = Decision::to_move((A, 5), (B, 2), 3);
        assert_eq!(decision.to_string(), "Added 3 to L1 (5), Removed 3 from L0 (2)");
    }

    #[test]
    fn move_of_missing_items_is_refused() {
        let decision = Decision::to_move((A, 2), (B, 0), 3);
        assert_eq!(decision.to_string(), "refused: L0 has 2, fewer than 3");
        let onto_itself = Decision::to_move((A, 2), (A, 2), 3);
        assert_eq!(onto_itself, decision);
    }

    #[test]
    fn move_that_changes_nothing_has_no_event() {
        let nothing = Decision::Accepted(Vec::new());
        assert_eq!(Decision::to_move((A, 2), (A, 2), 2), nothing);
        assert_eq!(Decision::to_move((A, 2), (B, 2), 0), nothing);
        assert_eq!(Decision::to_add(A, 0, 7), nothing);
    }

    #[test]
    fn total_that_overflows_is_refused() {
        let refused = Decision::Refused(Refusal::TooMany(B));
        assert_eq!(Decision::to_add(B, 1, u64::MAX), refused);
        assert_eq!(Decision::to_move((A, 1), (B, u64::MAX), 1), refused);
    }
}
