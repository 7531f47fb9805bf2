//! Checks that what clients saw is linearizable: one order of all operations must explain it.
//!
//! Each key is a separate register. An operation takes effect at one moment between its call and
//! its return. A write without an answer takes effect at any moment after its call, or never. The
//! search is that of Wing and Gong with Lowe's cache of visited states: *Testing for
//! linearizability* (2017).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The value of a key; `None` if the key has no value.
pub(crate) type Value = Option<String>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Sets the value; `None` removes it.
    Write(Value),
    /// Returned this value.
    Read(Value),
}

/// One operation. `called` and `returned` are positions in the history.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    action: Action,
    called: u64,
    returned: Option<u64>,
}

/// The operations of all clients.
#[derive(Debug, Default)]
pub(crate) struct History {
    moment: u64,
    keys: BTreeMap<String, Vec<Operation>>,
}

/// A write that waits for its answer, or never got one.
#[derive(Debug)]
pub(crate) struct Pending {
    key: String,
    index: usize,
}

impl History {
    fn next_moment(&mut self) -> u64 {
        self.moment += 1;
        self.moment
    }

    /// A client begins to write.
    pub(crate) fn call_write(&mut self, key: &str, value: Value) -> Pending {
        let called = self.next_moment();
        let operations = self.keys.entry(key.to_owned()).or_default();
        operations.push(Operation { action: Action::Write(value), called, returned: None });
        Pending { key: key.to_owned(), index: operations.len() - 1 }
    }

    /// The write was acknowledged.
    pub(crate) fn acknowledge(&mut self, write: &Pending) {
        let moment = self.next_moment();
        if let Some(operations) = self.keys.get_mut(&write.key) {
            operations[write.index].returned = Some(moment);
        }
    }

    /// A client begins to read.
    pub(crate) fn call_read(&mut self) -> u64 {
        self.next_moment()
    }

    /// The read that was called at a moment returns a value.
    pub(crate) fn record_read(&mut self, key: &str, called: u64, value: Value) {
        let returned = Some(self.next_moment());
        let operations = self.keys.entry(key.to_owned()).or_default();
        operations.push(Operation { action: Action::Read(value), called, returned });
    }

    /// The number of acknowledged operations.
    pub(crate) fn answers(&self) -> usize {
        self.keys.values().flatten().filter(|operation| operation.returned.is_some()).count()
    }

    /// The operations on a key that no order of them explains.
    pub(crate) fn violation(&self) -> Option<String> {
        let (key, operations) =
            self.keys.iter().find(|(_, operations)| !is_linearizable(operations))?;
        let listing = Listing(operations);
        Some(format!("no order of the operations on {key} explains what was read:\n{listing}"))
    }
}

/// Whether the operations on one key, which has no value at first, have an order in which each takes effect at once.
fn is_linearizable(operations: &[Operation]) -> bool {
    assert!(operations.len() <= 128, "the set of operations is a u128");
    let must: u128 = set_of(operations, |operation| operation.returned.is_some());
    let mut tried: BTreeSet<(u128, Value)> = BTreeSet::new();
    let mut open: Vec<(u128, Value)> = vec![(0, None)];
    while let Some((done, value)) = open.pop() {
        if done & must == must {
            return true;
        }
        if !tried.insert((done, value.clone())) {
            continue;
        }
        let is_left = |index: usize| done >> index & 1 == 0;
        let left = || operations.iter().enumerate().filter(|(index, _)| is_left(*index));
        let first_return = left().filter_map(|(_, operation)| operation.returned).min();
        for (index, operation) in left() {
            // An operation that is left returned before this one was called: it comes first.
            if first_return.is_some_and(|returned| returned < operation.called) {
                continue;
            }
            let done = done | 1 << index;
            match &operation.action {
                Action::Write(new) => open.push((done, new.clone())),
                Action::Read(read) if *read == value => open.push((done, value.clone())),
                Action::Read(_) => {}
            }
        }
    }
    false
}

fn set_of(operations: &[Operation], is_in: impl Fn(&Operation) -> bool) -> u128 {
    let members = operations.iter().enumerate().filter(|(_, operation)| is_in(operation));
    members.fold(0, |set, (index, _)| set | 1 << index)
}

/// The operations of a key, for a message.
struct Listing<'a>(&'a [Operation]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Operation { action, called, returned } in self.0 {
            match action {
                Action::Write(Some(value)) => write!(f, "  write {value}")?,
                Action::Write(None) => write!(f, "  delete")?,
                Action::Read(Some(value)) => write!(f, "  read {value}")?,
                Action::Read(None) => write!(f, "  read nothing")?,
            }
            match returned {
                Some(returned) => writeln!(f, ", from {called} to {returned}")?,
                None => writeln!(f, ", from {called}, not answered")?,
            }
        }
        Ok(())
    }
}

mod tests {
    use proptest::prelude::*;

    use super::*;

    fn write(value: u32, called: u64, returned: Option<u64>) -> Operation {
        Operation { action: Action::Write(Some(value.to_string())), called, returned }
    }

    fn read(value: Option<u32>, called: u64, returned: u64) -> Operation {
        let value = value.map(|value| value.to_string());
        Operation { action: Action::Read(value), called, returned: Some(returned) }
    }

    #[test]
    fn lost_write_is_found() {
        assert!(is_linearizable(&[write(1, 1, Some(2)), read(Some(1), 3, 4)]));
        assert!(!is_linearizable(&[write(1, 1, Some(2)), read(None, 3, 4)]));
    }

    #[test]
    fn stale_read_is_found() {
        let writes = [write(1, 1, Some(2)), write(2, 3, Some(6))];
        let with = |reads: &[Operation]| is_linearizable(&[&writes, reads].concat());
        assert!(with(&[read(Some(1), 4, 5)]), "the second write may not have happened yet");
        assert!(with(&[read(Some(2), 4, 5)]));
        assert!(!with(&[read(Some(1), 7, 8)]));
        assert!(!with(&[read(Some(2), 4, 5), read(Some(1), 6, 7)]), "the value goes back");
    }

    #[test]
    fn unanswered_write_happens_late_or_never() {
        let lost = write(1, 1, None);
        assert!(is_linearizable(&[lost.clone(), read(None, 2, 3), read(Some(1), 4, 5)]));
        assert!(is_linearizable(&[lost.clone(), read(None, 2, 3)]));
        assert!(!is_linearizable(&[lost, read(Some(1), 2, 3), read(None, 4, 5)]), "it does once");
    }

    /// Whether the rest of the operations can follow in some order: by trying all.
    fn any_order(left: &mut Vec<Operation>, value: &Value) -> bool {
        if left.iter().all(|operation| operation.returned.is_none()) {
            return true;
        }
        (0..left.len()).any(|index| {
            let operation = left.remove(index);
            let in_time =
                left.iter().all(|other| other.returned.is_none_or(|at| at >= operation.called));
            let follows = in_time
                && match &operation.action {
                    Action::Write(new) => any_order(left, new),
                    Action::Read(read) => read == value && any_order(left, value),
                };
            left.insert(index, operation);
            follows
        })
    }

    fn operations() -> impl Strategy<Value = Vec<Operation>> {
        let one = (any::<bool>(), 0..3_u32, 0..20_u64, 1..10_u64, any::<bool>());
        let one =
            one.prop_map(|(is_write, value, called, took, is_answered)| match (is_write, value) {
                (true, 0) => Operation {
                    action: Action::Write(None),
                    called,
                    returned: is_answered.then_some(called + took),
                },
                (true, value) => write(value, called, is_answered.then_some(called + took)),
                (false, 0) => read(None, called, called + took),
                (false, value) => read(Some(value), called, called + took),
            });
        prop::collection::vec(one, 0..7)
    }

    proptest! {
        #[test]
        fn checker_agrees_with_trying_all_orders(operations in operations()) {
            let expected = any_order(&mut operations.clone(), &None);
            prop_assert_eq!(is_linearizable(&operations), expected, "{}", Listing(&operations));
        }
    }
}
