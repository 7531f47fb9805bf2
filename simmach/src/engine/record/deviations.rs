//! What of a run was not calm: the draws that deviated, the strikes of plans, the steps of the test; and how much that is.
//!
//! Recorded only where asked. A draw that came out as its calm value is none: leaving it out would change nothing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::engine::draws::address::Address;
use crate::engine::draws::family::Family;
use crate::engine::draws::overlay::Position;
use crate::engine::ids::MachineId;
use crate::engine::record::log;

/// How much is recorded of what was not calm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RecordLevel {
    /// Nothing.
    #[default]
    Nothing,
    /// How much it was.
    Size,
    /// Each, with its address.
    All,
}

/// Something that was not calm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Deviation {
    /// What the draw was about.
    pub family: Family,
    /// Its address.
    pub address: [u64; 3],
    /// What it did to the run.
    pub kind: Kind,
    /// What was drawn: a word, or the number of a choice.
    pub value: u64,
    /// Of how many a choice was made.
    pub of: u64,
    /// Virtual nanoseconds since the run began.
    pub at: u64,
    /// The machine that it happened to, if to one.
    pub machine: Option<MachineId>,
    /// In words; empty where nobody would read them.
    pub text: String,
    /// How many lines the log had by then.
    pub line: u64,
    /// Where in the test it was drawn, where that is counted.
    pub position: Option<Position>,
    /// What else it depends on, as draws of the same two first words: the third, and the value that holds it.
    pub pins: Vec<(u64, u64)>,
}

/// What a deviation does to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// A plan did something to the cluster.
    Strike,
    /// A part of a strike: a duration, a side.
    Field,
    /// Something happened to a packet.
    Fault,
    /// A step of the test took place.
    Step,
    /// The test chose something other than the smallest.
    Choice,
    /// A task was given another position among those that were ready than the last.
    Order,
    /// Something took another time than the median.
    Delay,
}

/// How much of a run was not calm. The less, the smaller: what comes first counts most.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Size {
    /// Machines that something happened to.
    pub machines: u64,
    /// Strikes of plans, and faults of packets.
    pub faults: u64,
    /// Steps that took place.
    pub steps: u64,
    /// Tasks that had to wait for others that were ready later.
    pub reorderings: u64,
    /// What was chosen, added up.
    pub choices: u64,
    /// Draws of a time that were not the median, and of strikes' parts that were not the smallest.
    pub delays: u64,
    /// Virtual nanoseconds until the end.
    pub nanos: u64,
}

/// Keeps what was not calm.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    record: RecordLevel,
    size: Size,
    machines: BTreeSet<MachineId>,
    /// Which of those that were ready had to wait for later ones.
    overtaken: BTreeSet<u64>,
    all: Vec<Deviation>,
    /// Those from here on are still without words.
    described: usize,
}

impl Deviation {
    pub(crate) fn new(address: Address, kind: Kind, value: u64, at: u64) -> Self {
        Self {
            family: address.family,
            address: address.words,
            kind,
            value,
            of: 0,
            at,
            machine: None,
            text: String::new(),
            line: 0,
            position: None,
            pins: Vec::new(),
        }
    }
}

impl Recorder {
    pub(crate) fn new(record: RecordLevel) -> Self {
        Self { record, ..Self::default() }
    }

    pub(crate) fn add(&mut self, deviation: Deviation) {
        let size = &mut self.size;
        match deviation.kind {
            Kind::Strike | Kind::Fault => size.faults += 1,
            Kind::Step => size.steps += 1,
            Kind::Choice => size.choices = size.choices.saturating_add(deviation.value),
            Kind::Field | Kind::Delay => size.delays += 1,
            Kind::Order => {}
        }
        self.machines.extend(deviation.machine);
        if self.record == RecordLevel::All {
            self.all.push(Deviation { line: log::line_count(), ..deviation });
        }
    }

    pub(crate) fn overtaken(&mut self, sequence: u64) {
        self.overtaken.insert(sequence);
    }

    /// To which machine the faults of packets happened that were just added, and what they were.
    pub(crate) fn describe_packet_faults(
        &mut self,
        machine: MachineId,
        text: impl FnOnce() -> String,
    ) {
        let undescribed = self.described.min(self.all.len());
        self.described = self.all.len();
        let faults = self.all[undescribed..]
            .iter_mut()
            .filter(|other| other.kind == Kind::Fault && other.text.is_empty());
        let mut text = Some(text);
        let mut described_text = String::new();
        for fault in faults {
            if let Some(text) = text.take() {
                described_text = text();
            }
            fault.machine = Some(machine);
            fault.text.clone_from(&described_text);
        }
    }

    /// That something happened to a machine, where only the size is recorded.
    pub(crate) fn mark_affected(&mut self, machine: MachineId) {
        self.machines.insert(machine);
    }

    pub(crate) fn finish(mut self, nanos: u64) -> (Option<Size>, Vec<Deviation>) {
        if self.record == RecordLevel::Nothing {
            return (None, Vec::new());
        }
        self.size.reorderings = self.overtaken.len() as u64;
        self.size.machines = self.machines.len() as u64;
        self.size.nanos = nanos;
        (Some(self.size), self.all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_counts_each_kind_once() {
        let mut recorder = Recorder::new(RecordLevel::All);
        for kind in [Kind::Fault, Kind::Fault, Kind::Step, Kind::Delay, Kind::Order] {
            recorder.add(Deviation::new(Address::new(Family::Loss, [1, 2, 3]), kind, 5, 7));
        }
        recorder.describe_packet_faults(MachineId(4), || "two packets".to_owned());
        recorder.add(Deviation::new(Address::new(Family::Choice, [1, 2, 3]), Kind::Choice, 5, 7));
        recorder.mark_affected(MachineId(4));
        recorder.overtaken(3);
        recorder.overtaken(3);
        let (size, all) = recorder.finish(9);
        let expected = Size {
            machines: 1,
            faults: 2,
            steps: 1,
            reorderings: 1,
            choices: 5,
            delays: 1,
            nanos: 9,
        };
        assert_eq!(size, Some(expected));
        assert_eq!((all[1].text.as_str(), all[1].machine), ("two packets", Some(MachineId(4))));
        assert_eq!((all[2].text.as_str(), all[2].machine), ("", None));
    }

    /// Machines before faults, those before steps, these before tasks out of order, choices, delays, and time at last.
    #[test]
    fn what_comes_first_counts_most() {
        let with = |nth: usize, value: u64| {
            let mut all = [0; 7];
            all[nth] = value;
            // What stands behind does not make up for it.
            all[nth + 1..].fill(if value == 0 { 9 } else { 0 });
            let [machines, faults, steps, reorderings, choices, delays, nanos] = all;
            Size { machines, faults, steps, reorderings, choices, delays, nanos }
        };
        for nth in 0..7 {
            assert!(with(nth, 0) < with(nth, 1), "{nth}");
        }
    }
}
