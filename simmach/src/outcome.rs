//! What a run comes to: plain data that crosses processes.

use serde::{Deserialize, Serialize};

use crate::engine::draws::positions::StepSequence;
use crate::engine::failure::verdict::{Failure, FailureKind, Verdict};
use crate::engine::record::deviations::{Deviation, RecordLevel, Size};
use crate::engine::record::effects::{Effects, Fault};
use crate::engine::record::log::LogLine;
use crate::engine::record::trace::{Checkpoint, TraceEvent};
use crate::sim::PlanActs;

/// What is kept of a run beside its verdict. A sweep keeps nothing; a run that is reported keeps its log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Keep {
    /// The log: what `RUST_LOG` lets through.
    pub log: bool,
    /// Every event of the trace.
    pub events: bool,
    /// What was not calm.
    pub deviations: RecordLevel,
    /// What machines sent.
    pub packets: bool,
    /// Marks that the trace of a shorter run can be held against.
    pub early_checkpoints: bool,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// How it ended.
    pub verdict: Verdict,
    /// A hash over every event, in order.
    pub trace_hash: u64,
    /// How many these are.
    pub trace_events: u64,
    /// The running hash, at some of them.
    pub checkpoints: Vec<Checkpoint>,
    /// The running hash after the first, second, fourth, eighth … event, where asked.
    pub early_checkpoints: Vec<Checkpoint>,
    /// The virtual nanoseconds it took.
    pub virtual_nanos: u64,
    /// Polls and events.
    pub steps: u64,
    /// How often the clock jumped.
    pub jumps: u64,
    /// Sockets opened.
    pub sockets: u64,
    /// What took effect.
    pub effects: Effects,
    /// The plans of the library, by name, and how often each did something to the cluster.
    pub plans: Vec<PlanActs>,
    /// The rarer faults that took effect, with their times.
    pub faults: Vec<Fault>,
    /// The machines' names, by number.
    pub machines: Vec<String>,
    /// What tells its spec from another: names, links, limits and plans, but no code. 0 where nobody looks: of a run that
    /// passed, and of which nothing is kept.
    pub shape: u64,
    /// The sequences of steps that it began.
    pub sequences: Vec<StepSequence>,
    /// How much of it was not calm, where asked.
    pub size: Option<Size>,
    /// What of it was not calm, where asked.
    pub deviations: Vec<Deviation>,
    /// Real threads were started in it, by leave.
    pub threads: bool,
    /// It failed, was the second of its process, and the first, which is thrown away, was of the same seed and passed.
    pub passed_before: bool,
    /// The log, where asked.
    pub log: Vec<LogLine>,
    /// The trace, where asked.
    pub events: Option<Vec<TraceEvent>>,
    /// What tasks are called, by their paths, where the trace was asked for.
    pub places: Vec<(u64, String)>,
    /// What machines sent, as a pcapng file, where asked.
    pub packets: Option<Vec<u8>>,
}

impl Outcome {
    /// A run that never was: the spec makes no sense, or its worker died.
    pub(crate) fn without_a_run(seed: u64, verdict: Verdict) -> Self {
        Self {
            seed,
            verdict,
            trace_hash: 0,
            trace_events: 0,
            checkpoints: Vec::new(),
            early_checkpoints: Vec::new(),
            virtual_nanos: 0,
            steps: 0,
            jumps: 0,
            sockets: 0,
            effects: Effects::default(),
            plans: Vec::new(),
            faults: Vec::new(),
            machines: Vec::new(),
            shape: 0,
            sequences: Vec::new(),
            size: None,
            deviations: Vec::new(),
            threads: false,
            passed_before: false,
            log: Vec::new(),
            events: None,
            places: Vec::new(),
            packets: None,
        }
    }

    /// A run whose process died under it.
    pub(crate) fn crashed(seed: u64, message: impl Into<String>) -> Self {
        let failure = Failure::new(FailureKind::Crashed, message);
        Self::without_a_run(seed, Verdict::Failed(failure))
    }

    /// Notes what became of the same seed just before, in the first run of the process.
    pub(crate) fn after(mut self, thrown_away: &Self) -> Self {
        self.passed_before = self.failure().is_some() && thrown_away.verdict == Verdict::Passed;
        self
    }

    /// Whether both are one run: all that it did is equal, whatever was kept of it beside.
    pub(crate) fn is_same_run(&self, other: &Self) -> bool {
        let figures = |run: &Self| {
            (run.seed, run.trace_hash, run.virtual_nanos, run.steps, run.jumps, run.sockets)
        };
        figures(self) == figures(other)
            && self.verdict.is_same(&other.verdict)
            && self.effects == other.effects
            && self.plans == other.plans
            && self.faults == other.faults
            && self.machines == other.machines
    }

    /// The failure, if it is one.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        match &self.verdict {
            Verdict::Failed(failure) => Some(failure),
            Verdict::Passed | Verdict::Broken(_) => None,
        }
    }
}
