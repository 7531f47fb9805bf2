//! Deviations: the draws of a run that were not calm, including strikes of plans and steps of the
//! test. Also their total size.
//!
//! Deviations are recorded only on request. A draw that resulted in its calm value is not a
//! deviation, since leaving it out would change nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::engine::acts::{Act, PacketVerdict, RecordedAct, When};
use crate::engine::draws::address::Address;
use crate::engine::draws::family::Family;
use crate::engine::draws::overlay::Position;
use crate::engine::ids::MachineId;
use crate::engine::record::log_lines;

/// How much of the deviations is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RecordLevel {
    /// Nothing.
    #[default]
    Nothing,
    /// Their total size.
    Size,
    /// Each deviation, with its address.
    All,
}

/// A draw that was not calm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Deviation {
    /// The family of the draw.
    pub family: Family,
    /// The words of the draw's address.
    pub address: [u64; 3],
    /// The kind of decision.
    pub kind: DeviationKind,
    /// The value drawn: a word, or the number of a choice.
    pub value: u64,
    /// Number of possible values of a choice.
    pub of: u64,
    /// Virtual nanoseconds since the run began.
    pub at: u64,
    /// The affected machine, if there is one.
    pub machine: Option<MachineId>,
    /// The description; may be empty.
    pub text: String,
    /// Number of log lines at that time.
    pub line: u64,
    /// Its position in the test, if positions are counted for its family.
    pub position: Option<Position>,
    /// Draws that fix when and where a strike happens, as the third word of the address and the value. The first two words
    /// are those of the strike.
    pub pins: Vec<(u64, u64)>,
    /// For an act: times and events that it can be bound to. The first is its time in the last step.
    pub whens: Vec<When>,
}

/// The kind of a deviation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum DeviationKind {
    /// A fault by a plan, as an act. Of the families of draws it is a plan's decision that may have led to acts.
    Strike,
    /// An act of a plan that repairs a fault.
    Repair,
    /// A field of a strike: a duration, a side of a partition.
    Field,
    /// A fault of a packet.
    PacketFault,
    /// A write or a name was lost with the power.
    DiskLoss,
    /// A step of the test took place.
    Step,
    /// A choice of the test that was not the smallest.
    Choice,
    /// The priority of a ready task was not the calm one.
    Order,
    /// A duration was not the median.
    Delay,
}

/// The size of a run: how much of it was not calm. Sizes are compared field by field, the first field first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Size {
    /// Affected machines.
    pub machines: u64,
    /// Faults: by plans, of packets, and of writes that a power failure took.
    pub faults: u64,
    /// Steps that took place.
    pub steps: u64,
    /// Number of tasks that ran after other tasks that became ready later.
    pub reorderings: u64,
    /// Sum of the values of choices.
    pub choices: u64,
    /// Durations that were not the median, and fields of strikes that were not the smallest.
    pub delays: u64,
    /// Virtual nanoseconds until the end of the run.
    pub nanos: u64,
}

/// What was recorded of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) size: Option<Size>,
    pub(crate) deviations: Vec<Deviation>,
    pub(crate) acts: Vec<RecordedAct>,
}

/// Records the deviations of a run.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    record: RecordLevel,
    size: Size,
    machines: BTreeSet<MachineId>,
    /// Sequence numbers of the ready tasks that were overtaken.
    overtaken: BTreeSet<u64>,
    all: Vec<Deviation>,
    /// Index of the first deviation without a description.
    described: usize,
    /// The acts of plans.
    acts: Vec<RecordedAct>,
    number_of_acts: u32,
    /// The packet filters among them, by their number.
    filters: BTreeMap<u64, usize>,
}

impl Deviation {
    pub(crate) fn new(address: Address, kind: DeviationKind, value: u64, at: u64) -> Self {
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
            whens: Vec::new(),
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
            DeviationKind::PacketFault | DeviationKind::DiskLoss => size.faults += 1,
            // A decision of a plan is counted by the acts that it leads to.
            DeviationKind::Strike => size.faults += u64::from(deviation.family == Family::Act),
            DeviationKind::Step => size.steps += 1,
            DeviationKind::Choice => size.choices = size.choices.saturating_add(deviation.value),
            DeviationKind::Field | DeviationKind::Delay => size.delays += 1,
            DeviationKind::Order | DeviationKind::Repair => {}
        }
        self.machines.extend(deviation.machine);
        if self.record == RecordLevel::All {
            self.all.push(Deviation { line: log_lines::line_count(), ..deviation });
        }
    }

    pub(crate) fn overtaken(&mut self, sequence: u64) {
        self.overtaken.insert(sequence);
    }

    /// Sets the description of the choice that was just added, if it is the one at this address.
    pub(crate) fn describe_choice(&mut self, address: Address, text: impl FnOnce() -> String) {
        let last = self
            .all
            .last_mut()
            .filter(|last| (last.family, last.address) == (address.family, address.words));
        if let Some(last) = last {
            last.text = text();
        }
    }

    /// Sets the machine and the description of the packet faults that were just added.
    pub(crate) fn describe_packet_faults(
        &mut self,
        machine: MachineId,
        text: impl FnOnce() -> String,
    ) {
        let undescribed = self.described.min(self.all.len());
        self.described = self.all.len();
        let faults = self.all[undescribed..]
            .iter_mut()
            .filter(|other| other.kind == DeviationKind::PacketFault && other.text.is_empty());
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

    /// Records an act of a plan, and returns its id.
    pub(crate) fn record_act(&mut self, act: RecordedAct) -> u32 {
        let id = self.number_of_acts;
        self.number_of_acts += 1;
        if self.record == RecordLevel::All {
            if let Act::Filter { number, .. } = &act.act {
                self.filters.insert(*number, self.acts.len());
            }
            self.acts.push(act);
        }
        id
    }

    /// Records a decision of a packet filter that a plan added.
    pub(crate) fn record_verdict(&mut self, filter: u64, verdict: PacketVerdict) {
        let Some(act) = self.filters.get(&filter).and_then(|at| self.acts.get_mut(*at)) else {
            return;
        };
        if let Act::Filter { verdicts, .. } = &mut act.act {
            verdicts.push(verdict);
        }
    }

    /// Sets the machine and the description of the boot delay that was just added. The machine does not count as affected:
    /// that it boots later is no fault.
    pub(crate) fn describe_boot(&mut self, machine: MachineId, text: impl FnOnce() -> String) {
        let last = self.all.last_mut().filter(|last| last.family == Family::Boot);
        if let Some(last) = last {
            last.machine = Some(machine);
            last.text = text();
        }
    }

    /// Sets the machine and the description of the disk loss that was just added.
    pub(crate) fn describe_disk_loss(&mut self, machine: MachineId, text: impl FnOnce() -> String) {
        self.machines.insert(machine);
        let last = self.all.last_mut().filter(|last| last.kind == DeviationKind::DiskLoss);
        if let Some(last) = last {
            last.machine = Some(machine);
            last.text = text();
        }
    }

    /// Counts a machine as affected.
    pub(crate) fn mark_affected(&mut self, machine: MachineId) {
        self.machines.insert(machine);
    }

    pub(crate) fn finish(mut self, nanos: u64) -> Recorded {
        if self.record == RecordLevel::Nothing {
            return Recorded::default();
        }
        self.size.reorderings = self.overtaken.len() as u64;
        self.size.machines = self.machines.len() as u64;
        self.size.nanos = nanos;
        Recorded { size: Some(self.size), deviations: self.all, acts: self.acts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_counts_each_kind_once() {
        let mut recorder = Recorder::new(RecordLevel::All);
        for kind in [
            DeviationKind::PacketFault,
            DeviationKind::PacketFault,
            DeviationKind::Step,
            DeviationKind::Delay,
            DeviationKind::Order,
        ] {
            recorder.add(Deviation::new(Address::new(Family::Loss, [1, 2, 3]), kind, 5, 7));
        }
        recorder.describe_packet_faults(MachineId(4), || "two packets".to_owned());
        recorder.add(Deviation::new(
            Address::new(Family::Choice, [1, 2, 3]),
            DeviationKind::Choice,
            5,
            7,
        ));
        recorder.mark_affected(MachineId(4));
        recorder.overtaken(3);
        recorder.overtaken(3);
        let Recorded { size, deviations: all, .. } = recorder.finish(9);
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

    /// Order: machines, faults, steps, reorderings, choices, delays, time.
    #[test]
    fn size_compares_the_first_field_first() {
        let with = |nth: usize, value: u64| {
            let mut all = [0; 7];
            all[nth] = value;
            // Later fields do not make up for it.
            all[nth + 1..].fill(if value == 0 { 9 } else { 0 });
            let [machines, faults, steps, reorderings, choices, delays, nanos] = all;
            Size { machines, faults, steps, reorderings, choices, delays, nanos }
        };
        for nth in 0..7 {
            assert!(with(nth, 0) < with(nth, 1), "{nth}");
        }
    }
}
