//! Checks the actions of the servers and clients. The oracle sees all of them at once, and no fault
//! affects it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use simmach::Sim;

use super::log::Entry;
use super::message::Request;

#[derive(Default)]
struct Oracle(RefCell<Seen>);

#[derive(Default)]
struct Seen {
    /// The leader of each term.
    leaders: BTreeMap<u64, u64>,
    /// The entry at each index and term, and the term of the previous entry.
    stored: BTreeMap<(u64, u64), (Entry, u64)>,
    /// The applied entry at each index.
    applied: BTreeMap<u64, Entry>,
    /// The list: values by position, counted from 1.
    list: BTreeMap<u64, u64>,
    /// The positions by value.
    places: BTreeMap<u64, u64>,
    /// The greatest length of the list that any client has seen.
    floor: u64,
}

/// Inserts a value. Returns the old value as an error if it is different.
fn insert<K: Ord, V: Copy + Eq>(map: &mut BTreeMap<K, V>, key: K, value: V) -> Result<(), V> {
    let known = *map.entry(key).or_insert(value);
    if known == value { Ok(()) } else { Err(known) }
}

fn seen<R>(look: impl FnOnce(&mut Seen) -> R) -> R {
    look(&mut Sim::current().state::<Oracle>().0.borrow_mut())
}

/// Election safety: a term has at most one leader.
pub(super) fn elected(term: u64, server: u64) {
    if let Err(other) = seen(|seen| insert(&mut seen.leaders, term, server)) {
        fail("two leaders", format!("{other} and {server} lead in term {term}"));
    }
}

/// Log matching: entries with the same index and term are the same, and so are those before them.
pub(super) fn stored(index: u64, entry: Entry, previous_term: u64) {
    let here = (entry, previous_term);
    if let Err(other) = seen(|seen| insert(&mut seen.stored, (index, entry.term), here)) {
        fail("log mismatch", format!("entry {index} is {here:?} and {other:?}"));
    }
}

/// State machine safety: all servers apply the same entries.
pub(super) fn applied(index: u64, entry: Entry) {
    if let Err(other) = seen(|seen| insert(&mut seen.applied, index, entry)) {
        fail("divergence", format!("entry {index} is {entry:?} and was {other:?}"));
    }
}

/// A number is in the list once, and stays where it is.
pub(super) fn appended(place: u64, value: u64) {
    let is_same = seen(|seen| {
        insert(&mut seen.list, place, value)
            .and_then(|()| insert(&mut seen.places, value, place).map_err(|_| value))
    });
    if let Err(other) = is_same {
        fail("applied twice", format!("{value} is at {place}; seen before: {other}"));
    }
}

/// The greatest length that a client has seen so far. What begins now sees no less.
pub(super) fn floor() -> u64 {
    seen(|seen| seen.floor)
}

/// Linearizability: the answer contains everything that was acknowledged or seen before the request began.
pub(super) fn answered(request: Request, floor: u64, length: u64, last: u64) {
    let known = seen(|seen| {
        seen.floor = seen.floor.max(length);
        if length == 0 { Some(0) } else { seen.list.get(&length).copied() }
    });
    let least = floor + u64::from(request.value != 0);
    if length < least {
        fail("not linearizable", format!("{request:?} saw {length} numbers, not {least}"));
    }
    if known != Some(last) || request.value != 0 && request.value != last {
        fail("lost write", format!("{request:?} at {length}: {last}, in the list: {known:?}"));
    }
}

fn fail(key: &str, message: String) {
    Sim::current().fail(key, message);
}
