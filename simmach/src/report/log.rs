//! A run's log: the time since the line before, the machine, the level and the target, the text.

use std::fmt::Write as _;

use crate::engine::ids::{MachineId, Scope};
use crate::engine::record::log::{Level, LogLine};
use crate::report::style::{Ink, Style};

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

    /// One line, or more when its text has more: `+ 0035 ms  api2.public    INFO shop::cart: text`. The harness's own lines
    /// have neither level nor target.
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
                let head = paint(format!("{head}{:>5} ", word(line.level)));
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

/// The first line of what was said, with its level and target: `INFO shop::cart: text`.
pub(super) fn said(line: &LogLine, style: Style) -> String {
    let mut lines = line.text.lines();
    let first = lines.next().unwrap_or_default();
    let more = if lines.next().is_some() { " …" } else { "" };
    match &line.target {
        Some(target) => format!("{} {}{first}{more}", word(line.level), dim(target, style)),
        None => format!("{first}{more}"),
    }
}

fn dim(target: &str, style: Style) -> String {
    match target {
        "" => String::new(),
        target => format!("{} ", style.paint(Ink::Dim, format!("{target}:"))),
    }
}

fn word(level: Level) -> &'static str {
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

/// A machine's name.
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
        let mut pen = Pen::new(&machines, Style::PLAIN, 0);
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
        let text: Vec<String> = records.iter().map(|line| said(line, Style::PLAIN)).collect();
        let expected =
            ["INFO shop::cart: one line", "ERROR h2: two …", "DEBUG no target", "healed"];
        assert_eq!(text, expected);
    }

    /// The level has a colour, and what stands before and behind the target with it.
    #[test]
    fn record_is_coloured_by_its_level_and_its_target_is_dim() {
        let machines = ["api".to_owned()];
        let mut pen = Pen::new(&machines, Style::COLOURED, 0);
        let mut painted = |level| pen.line(&record(0, level, "shop", "text"));
        for (level, colour, reset) in [
            (Level::Warn, "\x1b[33m", "\x1b[0m"),
            (Level::Error, "\x1b[31m", "\x1b[0m"),
            (Level::Info, "", ""),
            (Level::Debug, "", ""),
        ] {
            let word = word(level);
            assert_eq!(
                painted(level),
                format!(
                    "{colour}+ 0000 ms  api      {word:>5} {reset}\x1b[2mshop:\x1b[0m {colour}text{reset}"
                )
            );
        }
        let said = said(&record(0, Level::Warn, "shop", "text"), Style::COLOURED);
        assert_eq!(said, "WARN \x1b[2mshop:\x1b[0m text");
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
