//! Formats the log of a run.
//!
//! A line shows the time since the previous line, the machine, the level, the target and the text.

use std::fmt::Write as _;

use crate::engine::ids::{MachineId, Scope};
use crate::engine::log::{Level, LogLine};
use crate::report::style::{Ink, Style};

/// Maximum width of the column with machines, in characters.
const MAX_WIDTH: usize = 24;

/// Formats the log lines of one run, in order.
#[derive(Debug)]
pub(crate) struct LineFormatter<'a> {
    machines: &'a [String],
    width: usize,
    style: Style,
    last: u64,
}

impl<'a> LineFormatter<'a> {
    /// Creates a formatter whose first line shows the time since `since`, in virtual nanoseconds.
    pub(crate) fn new(machines: &'a [String], style: Style, since: u64) -> Self {
        let widest = machines.iter().map(|name| name.chars().count()).max();
        Self {
            machines,
            width: widest.unwrap_or(0).clamp(HARNESS.len(), MAX_WIDTH),
            style,
            last: since,
        }
    }

    /// Formats one line of the log: `+ 0035 ms  api2.public    INFO shop::cart: text`. If its text
    /// has further lines, these are indented. Lines of the harness and of `Sim::log` have no level
    /// and no target.
    pub(crate) fn line(&mut self, line: &LogLine) -> String {
        let since = line.at.saturating_sub(self.last) / 1_000_000;
        self.last = line.at;
        let name = name_of(self.machines, line.machine);
        let text = line.text.trim_end();
        let mut parts = text.split('\n');
        let first = parts.next().unwrap_or_default();
        let ink = self.ink(line);
        let paint = |text: String| match ink {
            Some(ink) if !text.is_empty() => self.style.paint(ink, text).to_string(),
            Some(_) | None => text,
        };
        let head = format!("+ {since:04} ms  {name:<width$}  ", width = self.width);
        let mut written = match &line.target {
            Some(target) => {
                let head = paint(format!("{head}{:>5} ", level_name(line.level)));
                format!("{head}{}{}", dim(target, self.style), paint(first.to_owned()))
            }
            None => paint(format!("{head}{first}")),
        };
        for more in parts {
            let indent = "+ 0000 ms  ".len() + self.width + 2;
            let _ = write!(written, "\n{}", paint(format!("{:indent$}{more}", "")));
        }
        written
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

/// Formats the first line of the text, with its level and target: `INFO shop::cart: text`.
pub(super) fn first_line(line: &LogLine, style: Style) -> String {
    let mut lines = line.text.lines();
    let first = lines.next().unwrap_or_default();
    let more = if lines.next().is_some() { " …" } else { "" };
    match &line.target {
        Some(target) => format!("{} {}{first}{more}", level_name(line.level), dim(target, style)),
        None => format!("{first}{more}"),
    }
}

fn dim(target: &str, style: Style) -> String {
    match target {
        "" => String::new(),
        target => format!("{} ", style.paint(Ink::Dim, format!("{target}:"))),
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Trace => "TRACE",
        Level::Debug => "DEBUG",
        Level::Info => "INFO",
        Level::Warn => "WARN",
        Level::Error => "ERROR",
        Level::Fault => "FAULT",
    }
}

const HARNESS: &str = "harness";

/// Returns a machine's name, or `harness` for none.
pub(crate) fn name_of(machines: &[String], machine: MachineId) -> &str {
    machines.get(machine.0 as usize).map_or(HARNESS, String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: u64, machine: u32, level: Level, text: &str) -> LogLine {
        let (at, machine) = (at * 1_000_000, MachineId(machine));
        LogLine { at, machine, level, target: None, text: text.to_owned() }
    }

    fn record(machine: u32, level: Level, target: &'static str, text: &str) -> LogLine {
        LogLine { target: Some(target.into()), ..line(0, machine, level, text) }
    }

    #[test]
    fn record_has_level_and_target() {
        let machines = ["api".to_owned()];
        let mut pen = LineFormatter::new(&machines, Style::PLAIN, 0);
        let records = [
            record(0, Level::Info, "shop::cart", "one line"),
            record(0, Level::Error, "h2", "two\nlines"),
            record(0, Level::Debug, "", "no target"),
            line(0, u32::MAX, Level::Fault, "healed"),
        ];
        let text: Vec<String> = records.iter().map(|line| pen.line(line)).collect();
        assert_eq!(
            text.join("\n"),
            "+ 0000 ms  api       INFO shop::cart: one line\n\
             + 0000 ms  api      ERROR h2: two\n                    lines\n\
             + 0000 ms  api      DEBUG no target\n\
             + 0000 ms  harness  healed"
        );
        let text: Vec<String> = records.iter().map(|line| first_line(line, Style::PLAIN)).collect();
        let expected =
            ["INFO shop::cart: one line", "ERROR h2: two …", "DEBUG no target", "healed"];
        assert_eq!(text, expected);
    }

    #[test]
    fn record_is_coloured_by_its_level_and_its_target_is_dim() {
        let machines = ["api".to_owned()];
        let mut pen = LineFormatter::new(&machines, Style::COLOURED, 0);
        let mut painted = |level| pen.line(&record(0, level, "shop", "text"));
        for (level, colour, reset) in [
            (Level::Warn, "\x1b[33m", "\x1b[0m"),
            (Level::Error, "\x1b[31m", "\x1b[0m"),
            (Level::Info, "", ""),
            (Level::Debug, "", ""),
        ] {
            let name = level_name(level);
            assert_eq!(
                painted(level),
                format!(
                    "{colour}+ 0000 ms  api      {name:>5} {reset}\x1b[2mshop:\x1b[0m {colour}text{reset}"
                )
            );
        }
        let first = first_line(&record(0, Level::Warn, "shop", "text"), Style::COLOURED);
        assert_eq!(first, "WARN \x1b[2mshop:\x1b[0m text");
    }

    #[test]
    fn line_has_time_machine_and_text() {
        let machines = ["api2.public".to_owned(), "cl".to_owned()];
        let mut pen = LineFormatter::new(&machines, Style::PLAIN, 0);
        let lines = [
            line(35, 0, Level::Info, "Commit 'Added 1' to cl"),
            line(35, 1, Level::Warn, "two\nlines\n"),
            line(12_040, u32::MAX, Level::Fault, "cluster settled"),
        ];
        let text: Vec<String> = lines.iter().map(|line| pen.line(line)).collect();
        assert_eq!(
            text.join("\n"),
            "+ 0035 ms  api2.public  Commit 'Added 1' to cl\n\
             + 0000 ms  cl           two\n                        lines\n\
             + 12005 ms  harness      cluster settled"
        );
    }
}
