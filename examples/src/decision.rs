//! What comes of a command, given what is in stock: events, or a refusal. No input, no output, no time.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::{Event, Location, Quantity};

/// What comes of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision {
    /// It is done by these events; by none, if there is nothing to do.
    Accepted(Vec<Event>),
    /// It can't be done.
    Refused(Refusal),
}

/// Why a command can't be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The amount is not there.
    #[error("{location} has {there}, not {wanted}")]
    NotThere {
        /// Where.
        location: Location,
        /// How many should go from there.
        wanted: Quantity,
        /// How many are there.
        there: Quantity,
    },
    /// More than can be counted.
    #[error("{0} has no room for so many")]
    TooMany(Location),
}

impl Decision {
    /// Items come from nowhere.
    pub fn to_add(location: Location, quantity: Quantity, there: Quantity) -> Self {
        if quantity == 0 {
            return Self::Accepted(Vec::new());
        }
        match there.checked_add(quantity) {
            Some(total) => Self::Accepted(vec![Event::Added { location, quantity, total }]),
            None => Self::Refused(Refusal::TooMany(location)),
        }
    }

    /// Items go from a location to another; of each is given how many are there.
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
    fn a_move_takes_and_gives_the_same() {
        let decision = Decision::to_move((A, 5), (B, 2), 3);
        assert_eq!(decision.to_string(), "Added 3 to L1 (5), Removed 3 from L0 (2)");
    }

    #[test]
    fn what_is_not_there_is_not_moved() {
        let decision = Decision::to_move((A, 2), (B, 0), 3);
        assert_eq!(decision.to_string(), "refused: L0 has 2, not 3");
        let onto_itself = Decision::to_move((A, 2), (A, 2), 3);
        assert_eq!(onto_itself, decision);
    }

    #[test]
    fn a_move_that_changes_nothing_is_no_event() {
        let nothing = Decision::Accepted(Vec::new());
        assert_eq!(Decision::to_move((A, 2), (A, 2), 2), nothing);
        assert_eq!(Decision::to_move((A, 2), (B, 2), 0), nothing);
        assert_eq!(Decision::to_add(A, 0, 7), nothing);
    }

    #[test]
    fn a_total_that_is_too_large_is_refused() {
        let refused = Decision::Refused(Refusal::TooMany(B));
        assert_eq!(Decision::to_add(B, 1, u64::MAX), refused);
        assert_eq!(Decision::to_move((A, 1), (B, u64::MAX), 1), refused);
    }
}
