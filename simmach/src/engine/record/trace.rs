//! The trace of a run: a running hash over all events, in order.
//!
//! The hash is the same for the same source, lock file, toolchain and target. Nothing that may differ between processes
//! enters it: no addresses, no `Location`s, no `TypeId`s, no run ids. The events themselves are kept only on request.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::draws::{K, fold};
use crate::engine::ids::{MachineId, Scope};
use crate::engine::record::event::{Event, NewEvent};
use crate::engine::tasks::identity::Identity;

/// Maximum number of events that are kept; later ones are only hashed.
pub(crate) const MAX_KEPT_EVENTS: usize = 1 << 20;

/// A kept event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TraceEvent {
    /// Virtual nanoseconds since the run began.
    pub at: u64,
    /// The machine's number; `u32::MAX` is the harness.
    pub machine: u32,
    /// The task's path.
    pub task: u64,
    /// What happened.
    pub event: Event,
    /// The running hash after this event.
    pub hash: u64,
    /// Number of `HashMap`s created so far. It does not enter the hash, since it may depend on
    /// earlier runs of the process.
    pub maps: u64,
}

/// The running hash at a point of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// Virtual nanoseconds since the run began.
    pub at: u64,
    /// The running hash.
    pub hash: u64,
}

/// A trace has fewer checkpoints than this.
pub(crate) const MAX_CHECKPOINTS: usize = 8;

/// The trace of a run.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    hash: u64,
    kept: Option<KeptTrace>,
    count: u64,
    /// Number of events between two checkpoints.
    stride: u64,
    checkpoints: Vec<Checkpoint>,
    /// Checkpoints after the first, second, fourth, eighth … event.
    early: Vec<Checkpoint>,
}

/// Returns the number of events between two checkpoints of a trace with this many events.
pub(crate) fn stride(events: u64) -> u64 {
    let mut stride = 1;
    while events / stride >= MAX_CHECKPOINTS as u64 {
        stride *= 2;
    }
    stride
}

/// The kept events of a trace.
#[derive(Debug, Default)]
pub(crate) struct KeptTrace {
    pub(crate) events: Vec<TraceEvent>,
    /// The tasks, by path.
    pub(crate) tasks: BTreeMap<u64, Identity>,
}

impl Trace {
    pub(crate) fn new(record: bool) -> Self {
        Self {
            hash: K[3],
            kept: record.then(KeptTrace::default),
            count: 0,
            stride: 1,
            checkpoints: Vec::new(),
            early: Vec::new(),
        }
    }

    /// Whether events are kept.
    pub(crate) fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Adds an event. `maps` returns the number of `HashMap`s created so far, if events are kept.
    #[inline(always)]
    pub(crate) fn add(
        &mut self,
        at: u64,
        scope: Scope,
        event: NewEvent<'_>,
        maps: impl FnOnce() -> u64,
    ) {
        // Fields are read one by one. A wide load just after narrow stores of the same fields would stall (store forwarding).
        let Scope { machine, task, .. } = scope;
        let (kind, words) = event.words();
        let source = (u64::from(machine.0) << 8) | u64::from(kind);
        let mut hash = fold(self.hash ^ at, K[0] ^ source);
        hash = fold(hash ^ task, K[1] ^ words[0]);
        hash = fold(hash ^ words[1], K[2]);
        hash = event.add_bytes(hash);
        // If the product folds to 0, the hash would lose all earlier events, so the previous hash is mixed in.
        self.hash = hash.wrapping_add(self.hash.rotate_left(23));
        self.count += 1;
        // The stride is a power of two, which avoids a division per event.
        if self.count & self.stride.wrapping_sub(1) == 0 {
            self.checkpoint(at);
        }
        if self.kept.is_some() {
            self.keep(at, (machine, task), event, maps());
        }
    }

    #[cold]
    fn keep(&mut self, at: u64, (machine, task): (MachineId, u64), event: NewEvent<'_>, maps: u64) {
        if let Some(KeptTrace { events, .. }) = &mut self.kept
            && events.len() < MAX_KEPT_EVENTS
        {
            events.push(TraceEvent {
                at,
                machine: machine.0,
                task,
                event: event.to_kept(),
                hash: self.hash,
                maps,
            });
        }
    }

    /// Records a task's identity, if events are kept. It is not hashed.
    pub(crate) fn note_task(&mut self, task: Identity) {
        if let Some(KeptTrace { events, tasks }) = &mut self.kept
            && events.len() < MAX_KEPT_EVENTS
        {
            tasks.entry(task.path).or_insert(task);
        }
    }

    pub(crate) fn take_kept(&mut self) -> Option<KeptTrace> {
        self.kept.take()
    }

    #[cold]
    fn checkpoint(&mut self, at: u64) {
        let checkpoint = Checkpoint { at, hash: self.hash };
        self.checkpoints.push(checkpoint);
        // The stride is a power of two as well, so that no checkpoint is missed.
        if self.count.is_power_of_two() {
            self.early.push(checkpoint);
        }
        if self.checkpoints.len() == MAX_CHECKPOINTS {
            let mut nth = 0;
            self.checkpoints.retain(|_| {
                nth += 1;
                nth % 2 == 0
            });
            self.stride *= 2;
        }
    }

    /// Takes the number of events, and the checkpoints at every [`stride`] of them.
    pub(crate) fn take_checkpoints(&mut self) -> (u64, Vec<Checkpoint>) {
        (self.count, std::mem::take(&mut self.checkpoints))
    }

    /// Takes the checkpoints after the first, second, fourth, eighth … event. With these a trace of any length can be compared
    /// with the checkpoints of a shorter one.
    pub(crate) fn take_early_checkpoints(&mut self) -> Vec<Checkpoint> {
        std::mem::take(&mut self.early)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Sent<'a> = (u64, [u64; 2], &'a [u8]);

    fn sent(words: [u64; 2], payload: &[u8]) -> NewEvent<'_> {
        Event::PacketSent { flow: words[0], number: words[1], payload }
    }

    fn hash_of(events: &[Sent<'_>]) -> u64 {
        let mut trace = Trace::new(false);
        for (at, words, bytes) in events {
            trace.add(*at, Scope::HARNESS, sent(*words, bytes), || 0);
        }
        trace.hash()
    }

    /// The hash covers order, time, words, every byte and the length.
    #[test]
    fn trace_hash_covers_every_part() {
        let base: &[Sent<'_>] = &[(1, [2, 3], b"abc"), (4, [5, 6], b"")];
        let others: &[&[Sent<'_>]] = &[
            &[(4, [5, 6], b""), (1, [2, 3], b"abc")],
            &[(2, [2, 3], b"abc"), (4, [5, 6], b"")],
            &[(1, [3, 2], b"abc"), (4, [5, 6], b"")],
            &[(1, [2, 3], b"abd"), (4, [5, 6], b"")],
            &[(1, [2, 3], b"abc\0"), (4, [5, 6], b"")],
            &[(1, [2, 3], b"abc")],
        ];
        for other in others {
            assert_ne!(hash_of(base), hash_of(other), "{other:?}");
        }
        assert_eq!(hash_of(base), hash_of(base));
    }

    #[test]
    fn trace_hash_covers_every_byte_of_a_payload() {
        let bytes: Vec<u8> = (0..100).collect();
        let base = hash_of(&[(0, [0, 0], &bytes)]);
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 0x10;
            assert_ne!(base, hash_of(&[(0, [0, 0], &other)]), "byte {at}");
        }
    }

    /// Traces that differ from some event on have equal checkpoints before it and different ones after it.
    #[test]
    fn checkpoints_locate_a_difference() {
        let checkpoints = |events: u64, parts: u64| {
            let mut trace = Trace::new(false);
            for at in 0..events {
                let word = u64::from(at >= parts);
                trace.add(at, Scope::HARNESS, sent([at, word], b""), || 0);
            }
            trace.take_checkpoints()
        };
        for events in [0, 1, 7, 8, 9, 63, 64, 65, 1_000] {
            let (count, list) = checkpoints(events, u64::MAX);
            let stride = stride(events);
            assert_eq!((count, list.len() as u64), (events, events / stride), "{events}");
            assert!(list.len() < MAX_CHECKPOINTS);
            let parts = events / 2;
            let (_, others) = checkpoints(events, parts);
            for (nth, (one, other)) in (1..).zip(list.iter().zip(&others)) {
                assert_eq!(one.hash == other.hash, nth * stride <= parts, "{events} {nth}");
            }
        }
    }

    #[test]
    fn early_checkpoints_match_shorter_traces() {
        let traced = |events: u64| {
            let mut trace = Trace::new(false);
            for at in 0..events {
                trace.add(at, Scope::HARNESS, sent([at, 0], b""), || 0);
            }
            trace
        };
        let early = traced(10_000).take_early_checkpoints();
        assert_eq!(early.len(), 14, "1, 2, 4 … 8,192");
        for (power, checkpoint) in early.iter().enumerate() {
            let count = 1 << power;
            assert_eq!(
                (checkpoint.at, checkpoint.hash),
                (count - 1, traced(count).hash()),
                "{count}"
            );
        }
    }

    #[test]
    fn events_are_kept_only_on_request() {
        let mut kept = Trace::new(true);
        kept.add(9, Scope::HARNESS, sent([1, 2], &[7; 200]), || 0);
        let events = kept.take_kept().expect("asked for").events;
        assert_eq!((events.len(), events[0].at, events[0].hash), (1, 9, kept.hash()));
        let Event::PacketSent { flow: 1, number: 2, payload } = &events[0].event else {
            panic!("{:?}", events[0].event)
        };
        assert_eq!((&payload.first[..], payload.length), (&[7; 96][..], 200));
        assert!(Trace::new(false).take_kept().is_none());
    }
}
