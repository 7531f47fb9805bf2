//! Information about pending timers, for the detection of stalls and for reports.

use std::time::Duration;

use crate::engine::state::Engine;
use crate::engine::tasks::table::TaskKey;
use crate::engine::time::timer_info::TimerInfo;

impl Engine {
    /// Registers a layer's timer information, for the rest of the run.
    pub(crate) fn add_timer_info(&self, timer_info: TimerInfo) {
        self.timer_infos.borrow_mut().push(timer_info);
    }

    /// Whether a task exists and has not ended.
    pub(crate) fn has_task(&self, key: TaskKey) -> bool {
        self.tasks.has(key)
    }

    /// Whether any layer has a timer that keeps the run from stalling.
    pub(crate) fn prevents_stall(&self) -> bool {
        let timer_infos = self.timer_infos.borrow().clone();
        timer_infos.iter().any(|timer_info| (timer_info.prevents_stall)())
    }

    /// Describes the next timer, for a report.
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
            None => "a packet arrives or a disk write completes".to_owned(),
        });
        format!("at {:?}, {what}", Duration::from_nanos(at))
    }

    fn describe_task(&self, key: TaskKey) -> Option<String> {
        let (_, task) = self.tasks.reports().into_iter().find(|(other, _)| *other == key)?;
        let name = task.identity.name_in_list(&self.status.names);
        Some(match self.name(task.identity.machine) {
            Some(machine) => format!("{name} on {machine} wakes"),
            None => format!("{name} wakes"),
        })
    }
}
