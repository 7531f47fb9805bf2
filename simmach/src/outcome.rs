//! The outcome of a run: plain data that can be sent between processes.

use serde::{Deserialize, Serialize};

use crate::disk_image::DiskImage;
use crate::engine::acts::RecordedAct;
use crate::engine::draws::positions::StepSequence;
use crate::engine::failure::verdict::{Failure, FailureKind, Verdict};
use crate::engine::log::LogLine;
use crate::engine::record::deviations::{Deviation, RecordLevel, Size};
use crate::engine::record::effects::{Effects, Fault};
use crate::engine::record::trace::{Checkpoint, TraceEvent};
use crate::sim::PlanActivity;

/// Which records of a run are kept, besides its verdict. A sweep keeps none; a reported run keeps
/// its log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Keep {
    /// The log lines that `RUST_LOG` enables.
    pub log: bool,
    /// Every event of the trace.
    pub events: bool,
    /// How much of the deviations is recorded.
    pub deviations: RecordLevel,
    /// The packets that machines sent.
    pub packets: bool,
    /// Checkpoints for a comparison with the trace of a shorter run.
    pub early_checkpoints: bool,
    /// The content of the machines' disks.
    pub disks: bool,
}

/// The outcome of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// The seed of the run.
    pub seed: u64,
    /// The verdict.
    pub verdict: Verdict,
    /// The hash over all events, in order.
    pub trace_hash: u64,
    /// Number of events.
    pub trace_events: u64,
    /// The running hash at some of the events.
    pub checkpoints: Vec<Checkpoint>,
    /// The running hash after the first, second, fourth, eighth … event, on request.
    pub early_checkpoints: Vec<Checkpoint>,
    /// Duration in virtual nanoseconds.
    pub virtual_nanos: u64,
    /// Polls of tasks and fired timers.
    pub polls: u64,
    /// Number of steps of the virtual clock.
    pub clock_advances: u64,
    /// Number of sockets opened.
    pub sockets: u64,
    /// Number of times that each effect happened.
    pub effects: Effects,
    /// The library's plans by name, with the number of their faults, or why they had none.
    pub plans: Vec<PlanActivity>,
    /// Faults that are kept with their times.
    pub faults: Vec<Fault>,
    /// The machines' names, by number.
    pub machines: Vec<String>,
    /// A hash of the spec without its code: names, links, limits and plans. 0 for a run that passed and of which nothing is
    /// kept.
    pub shape: u64,
    /// The sequences of steps that have begun.
    pub sequences: Vec<StepSequence>,
    /// The total size of its deviations, on request.
    pub size: Option<Size>,
    /// Its deviations, on request.
    pub deviations: Vec<Deviation>,
    /// The acts of its plans, on request.
    pub acts: Vec<RecordedAct>,
    /// Whether it started real threads, under `allow_threads`.
    pub threads: bool,
    /// Number of threads of guests that did not end with their process, and are parked.
    pub threads_left: u64,
    /// Warnings about mechanisms that make runs repeat but were not found in this process, with the code that depends on
    /// them.
    pub unmet: Vec<String>,
    /// Whether it failed as the second run of its process, after a discarded first run of the same seed passed.
    pub passed_before: bool,
    /// The log, on request.
    pub log: Vec<LogLine>,
    /// The events of the trace, on request.
    pub events: Option<Vec<TraceEvent>>,
    /// Names of tasks, by path, if events are kept.
    pub task_names: Vec<(u64, String)>,
    /// The packets that machines sent, as a pcapng file, on request.
    pub packets: Option<Vec<u8>>,
    /// What was on the machines' disks at the verdict, on request.
    pub disks: Option<Vec<DiskImage>>,
}

impl Outcome {
    /// An outcome without a run: the spec was invalid, or the worker died.
    pub(crate) fn without_a_run(seed: u64, verdict: Verdict) -> Self {
        Self {
            seed,
            verdict,
            trace_hash: 0,
            trace_events: 0,
            checkpoints: Vec::new(),
            early_checkpoints: Vec::new(),
            virtual_nanos: 0,
            polls: 0,
            clock_advances: 0,
            sockets: 0,
            effects: Effects::default(),
            plans: Vec::new(),
            faults: Vec::new(),
            machines: Vec::new(),
            shape: 0,
            sequences: Vec::new(),
            size: None,
            deviations: Vec::new(),
            acts: Vec::new(),
            threads: false,
            threads_left: 0,
            unmet: Vec::new(),
            passed_before: false,
            log: Vec::new(),
            events: None,
            task_names: Vec::new(),
            packets: None,
            disks: None,
        }
    }

    /// The outcome of a run whose worker process died.
    pub(crate) fn crashed(seed: u64, message: impl Into<String>) -> Self {
        let failure = Failure::new(FailureKind::Crashed, message);
        Self::without_a_run(seed, Verdict::Failed(failure))
    }

    /// Takes into account the warm-up run of the same seed, which the process executed before and whose outcome is
    /// discarded.
    pub(crate) fn after(mut self, warm_up: &Self) -> Self {
        self.passed_before = self.failure().is_some() && warm_up.verdict == Verdict::Passed;
        self.threads_left = self.threads_left.max(warm_up.threads_left);
        self
    }

    /// Whether both outcomes describe the same run, ignoring records that were kept on request.
    pub(crate) fn is_same_run(&self, other: &Self) -> bool {
        let figures = |run: &Self| {
            (
                run.seed,
                run.trace_hash,
                run.virtual_nanos,
                run.polls,
                run.clock_advances,
                run.sockets,
            )
        };
        figures(self) == figures(other)
            && self.verdict.is_same(&other.verdict)
            && self.effects == other.effects
            && self.plans == other.plans
            && self.faults == other.faults
            && (self.machines == other.machines || !self.has_machines() || !other.has_machines())
    }

    /// Whether the machines' names are kept, which happens only on request, or if the run failed.
    fn has_machines(&self) -> bool {
        !self.machines.is_empty()
    }

    /// The failure, if the run failed.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        match &self.verdict {
            Verdict::Failed(failure) => Some(failure),
            Verdict::Passed | Verdict::Broken(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// While many checks are waiting, the first run of a seed has records and the second has none.
    #[test]
    fn run_with_records_is_the_same_as_without() {
        let run = |machines: &[&str]| Outcome {
            machines: machines.iter().map(|&name| name.to_owned()).collect(),
            ..Outcome::without_a_run(7, Verdict::Passed)
        };
        assert!(run(&["client"]).is_same_run(&run(&[])) && run(&[]).is_same_run(&run(&["client"])));
        assert!(run(&["client"]).is_same_run(&run(&["client"])));
        assert!(!run(&["client"]).is_same_run(&run(&["other"])));
        let other = Outcome { polls: 1, ..run(&[]) };
        assert!(!run(&["client"]).is_same_run(&other));
    }
}
