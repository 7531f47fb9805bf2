//! What the layers above know of their timers, which to the engine are all alike: whether a run that makes no progress has
//! something to wait for, and what is due next.

use std::time::Duration;

use crate::engine::executor::tasks::TaskKey;
use crate::engine::state::Engine;
use crate::engine::time::timers::TimerKey;

/// What one layer knows of its timers.
#[derive(Clone, Copy)]
pub(crate) struct TimerInfo {
    /// Whether a timer of the layer is certain to tell a waiting task something, or to start a process. It must not be one that
    /// is armed anew for ever: a run with such a timer never stalls.
    pub(crate) prevents_stall: fn() -> bool,
    /// What a timer of the layer is for, if it is one.
    pub(crate) describe: fn(TimerKey) -> Option<String>,
}

impl Engine {
    /// Adds what a layer knows, for the rest of the run.
    pub(crate) fn add_timer_info(&self, timer_info: TimerInfo) {
        self.timer_infos.borrow_mut().push(timer_info);
    }

    /// Whether a task is not over.
    pub(crate) fn has_task(&self, key: TaskKey) -> bool {
        self.tasks.has(key)
    }

    /// Whether some layer has a timer that a run without progress must wait for.
    pub(crate) fn prevents_stall(&self) -> bool {
        let timer_infos = self.timer_infos.borrow().clone();
        timer_infos.iter().any(|timer_info| (timer_info.prevents_stall)())
    }

    /// The next event, for a report.
    pub(crate) fn describe_next_event(&self) -> String {
        let Some((key, at, wakes)) = self.timers.borrow().next() else {
            return "nothing".to_owned();
        };
        let timer_infos = self.timer_infos.borrow().clone();
        let what = match wakes {
            Some(Some(task)) => self.describe_task(task),
            Some(None) => None,
            None => timer_infos.iter().find_map(|timer_info| (timer_info.describe)(key)),
        };
        let what = what.unwrap_or_else(|| match wakes {
            Some(_) => "a sleep ends".to_owned(),
            None => "a packet arrives, or a disk has written".to_owned(),
        });
        format!("at {:?}, {what}", Duration::from_nanos(at))
    }

    fn describe_task(&self, key: TaskKey) -> Option<String> {
        let (_, task) = self.tasks.reports().into_iter().find(|(other, _)| *other == key)?;
        let name = task.identity.name_in_list(&self.status);
        Some(match self.name(task.identity.machine) {
            Some(machine) => format!("{name} on {machine} wakes"),
            None => format!("{name} wakes"),
        })
    }
}
