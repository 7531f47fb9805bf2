//! Describes events in words, for all reports.

use crate::engine::ids::MachineId;
use crate::engine::record::event::{DropReason, Event, FileCall, LinkChange, ProcessExit};
use crate::report::numbers::{count, thousands};

/// The names that a description needs.
pub(crate) trait Names {
    /// The name of a machine.
    fn machine(&self, machine: MachineId) -> String;
    /// A name for a task.
    fn task(&self, path: u64) -> String;
}

/// Describes an event. `task` is the path of the task that was running.
pub(crate) fn describe(event: &Event, task: u64, names: &impl Names) -> String {
    let list = |machines: &[MachineId]| {
        let names: Vec<String> = machines.iter().map(|id| names.machine(*id)).collect();
        names.join(", ")
    };
    match event {
        Event::TaskPolled { wake } => {
            format!("polls {} for the {} time", names.task(task), ordinal(*wake))
        }
        Event::TaskSpawned { task, .. } => format!("spawns {}", names.task(*task)),
        Event::PacketSent { payload, .. } if payload.length == 0 => {
            "sends a packet without payload".to_owned()
        }
        Event::PacketSent { payload, .. } => {
            let bytes = count(payload.length as u64, "byte");
            format!("sends {bytes}: \"{}\"", payload.first.escape_ascii())
        }
        Event::PacketDropped { reason, .. } => describe_drop(*reason).to_owned(),
        Event::PacketDelivered { .. } => "a packet arrives".to_owned(),
        Event::Committed { nth, .. } => format!("commits transaction {nth}"),
        Event::Flushed { nth, .. } => format!("flushes transactions up to {nth}"),
        Event::ServiceStarted { machine } => {
            format!("starts a service on {}", names.machine(*machine))
        }
        Event::ProcessEnded { machine, is_client, exit, .. } => {
            let who = if *is_client { "client" } else { "service" };
            let how = match exit {
                ProcessExit::Returned => "returns",
                ProcessExit::Crashed => "crashes",
                ProcessExit::Killed => "is killed",
                ProcessExit::PowerLost => "ends: its machine loses power",
            };
            format!("a {who} on {} {how}", names.machine(*machine))
        }
        Event::PowerLost { machine, .. } => format!("{} loses power", names.machine(*machine)),
        Event::DiskWiped { machine } => {
            format!("the disk of {} is wiped", names.machine(*machine))
        }
        Event::ClockSet { machine, .. } => {
            format!("the clocks of {} are set", names.machine(*machine))
        }
        Event::MachinePaused { machine } => {
            format!("the processes of {} are paused", names.machine(*machine))
        }
        Event::MachineResumed { machine } => {
            format!("the processes of {} continue after a pause", names.machine(*machine))
        }
        Event::CpuSlowed { machine } => {
            format!("the CPU of {} becomes slow", names.machine(*machine))
        }
        Event::CpuRestored { machine } => {
            format!("the CPU of {} is as fast as usual", names.machine(*machine))
        }
        Event::ClockFrozen { machine } => {
            format!("the wall clock of {} stands still", names.machine(*machine))
        }
        Event::DiskChanged { machine, change } => {
            format!("{}: {}", names.machine(*machine), change.words())
        }
        Event::PowerRestored { machine } => {
            format!("{} gets power back", names.machine(*machine))
        }
        Event::PointPassed { machine, .. } => {
            format!("code on {} passes a fault point", names.machine(*machine))
        }
        Event::LinksChanged { change, from, to } if from.is_empty() && to.is_empty() => {
            change.words().to_owned()
        }
        Event::LinksChanged { change, from, to } => {
            format!("{}: [{}] -> [{}]", change.words(), list(from), list(to))
        }
        Event::ZoneLinkChanged { .. } => LinkChange::Profile.words().to_owned(),
        Event::LinksRestored => "link profiles restored".to_owned(),
        Event::StepBegun { number, .. } => format!("begins step {number} of the test"),
        Event::RunEnded { polls } => {
            format!("the run ends after {}", count(*polls, "poll"))
        }
        Event::SystemCall { call, descriptor, result } => {
            let call_of = format!("calls {}({descriptor:#x})", call.name());
            match result {
                error @ ..0 => {
                    let error = std::io::Error::from_raw_os_error(error.unsigned_abs() as i32);
                    format!("{call_of}: {error}")
                }
                bytes if call.transfers() => {
                    format!("{call_of}: {}", count(bytes.unsigned_abs(), "byte"))
                }
                _ => call_of,
            }
        }
        Event::FileCall { call, result, .. } => {
            let call_of = format!("calls {} on a file", call.name());
            match result {
                error @ ..0 => {
                    let error = std::io::Error::from_raw_os_error(error.unsigned_abs() as i32);
                    format!("{call_of}: {error}")
                }
                bytes if matches!(call, FileCall::Read | FileCall::Write) => {
                    format!("{call_of}: {}", count(bytes.unsigned_abs(), "byte"))
                }
                _ => call_of,
            }
        }
    }
}

fn describe_drop(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Lost => "a packet is lost",
        DropReason::Partition => "a packet is dropped by a partition",
        DropReason::QueueFull => "a packet is dropped by a full queue",
        DropReason::NoRoute => "a packet is dropped: no route",
        DropReason::MachineDown => "a packet is dropped: the receiver has no power",
        DropReason::Filtered => "a packet is dropped by a filter",
    }
}

/// Formats an ordinal: `1st`, `2nd`, `3rd`, `1,000th`.
fn ordinal(n: u64) -> String {
    let suffix = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{}{suffix}", thousands(n))
}
