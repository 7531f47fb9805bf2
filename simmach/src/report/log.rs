//! A run's log: the time since the line before, the machine, the text.

use std::fmt::Write as _;

use super::style::{Ink, Style};
use crate::engine::ids::{MachineId, Scope};
use crate::engine::log::{Level, LogLine};

/// No machine's column is wider.
const WIDEST: usize = 24;

/// How lines of one run are written.
#[derive(Debug)]
pub(crate) struct Pen<'a> {
    machines: &'a [String],
    width: usize,
    style: Style,
    last: u64,
}

impl<'a> Pen<'a> {
    /// For the lines from the one after the moment `since` on.
    pub(crate) fn new(machines: &'a [String], style: Style, since: u64) -> Self {
        let widest = machines.iter().map(|name| name.chars().count()).max();
        Self {
            machines,
            width: widest.unwrap_or(0).clamp(HARNESS.len(), WIDEST),
            style,
            last: since,
        }
    }

    /// One line, or more when its text has more: `+ 0035 ms  api2.public   text`.
    pub(crate) fn line(&mut self, line: &LogLine) -> String {
        let since = line.at.saturating_sub(self.last) / 1_000_000;
        self.last = line.at;
        let name = name_of(self.machines, line.machine);
        let text = line.text.trim_end();
        let mut parts = text.split('\n');
        let first = parts.next().unwrap_or_default();
        let mut written = format!("+ {since:04} ms  {name:<width$}  {first}", width = self.width);
        for more in parts {
            let indent = "+ 0000 ms  ".len() + self.width + 2;
            let _ = write!(written, "\n{:indent$}{more}", "");
        }
        match self.ink(line) {
            Some(ink) => self.style.paint(ink, written).to_string(),
            None => written,
        }
    }

    fn ink(&self, line: &LogLine) -> Option<Ink> {
        match line.level {
            Level::Fault | Level::Error => Some(Ink::Fault),
            Level::Warn => Some(Ink::Warning),
            Level::Trace | Level::Debug | Level::Info => {
                (line.machine == Scope::HARNESS.machine).then_some(Ink::Harness)
            }
        }
    }
}

const HARNESS: &str = "harness";

/// A machine's name.
pub(crate) fn name_of(machines: &[String], machine: MachineId) -> &str {
    machines.get(machine.0 as usize).map_or(HARNESS, String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: u64, machine: u32, level: Level, text: &str) -> LogLine {
        LogLine { at: at * 1_000_000, machine: MachineId(machine), level, text: text.to_owned() }
    }

    #[test]
    fn the_form_of_a_line() {
        let machines = ["api2.public".to_owned(), "cl".to_owned()];
        let mut pen = Pen::new(&machines, Style::PLAIN, 0);
        let lines = [
            line(35, 0, Level::Info, "Commit 'Added 1' to cl"),
            line(35, 1, Level::Warn, "two\nlines\n"),
            line(12_040, u32::MAX, Level::Fault, "power off"),
        ];
        let text: Vec<String> = lines.iter().map(|line| pen.line(line)).collect();
        assert_eq!(
            text.join("\n"),
            "+ 0035 ms  api2.public  Commit 'Added 1' to cl\n\
             + 0000 ms  cl           two\n                        lines\n\
             + 12005 ms  harness      power off"
        );
    }
}
