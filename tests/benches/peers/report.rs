//! Formats the results of the comparison, as a table for people and as JSON for programs.

use std::fmt::Write as _;
use std::path::Path;

use crate::cases::{self, Case};
use crate::others::Line;
use crate::programs::{Of, Taken};

pub(crate) struct Report {
    pub rounds: usize,
    pub taken: Taken,
    pub others: Vec<Line>,
}

/// The summary of several measurements.
#[derive(Debug)]
pub(crate) struct Spread {
    pub median: f64,
    /// The first and third quartile, if there are at least five measurements.
    pub half: Option<(f64, f64)>,
}

impl Spread {
    pub(crate) fn of(numbers: &[f64]) -> Self {
        let mut sorted = numbers.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (below, above) = (sorted.len() / 2, sorted.len().div_ceil(2));
        let half =
            (sorted.len() >= 5).then(|| (middle(&sorted[..below]), middle(&sorted[above..])));
        Self { median: middle(&sorted), half }
    }
}

/// The median of sorted numbers.
fn middle(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// Ratios round by round, so that measurements of the same time are compared. `others` is extended by its last element.
pub(crate) fn ratios(ones: &[f64], others: &[f64]) -> Vec<f64> {
    let last = others.last().copied();
    let others = others.iter().copied().map(Some).chain(std::iter::repeat(last));
    ones.iter().zip(others).filter_map(|(one, other)| Some(one / other?)).collect()
}

impl Report {
    /// Both tables, as in the benchmarks' README.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        let versions: Vec<String> =
            Of::ALL.iter().map(|of| format!("{} {}", of.name(), of.version())).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}; medians of {} rounds, and what half of them lie between\n",
            versions.join(", ").trim_end(),
            self.rounds
        );
        let _ = writeln!(
            text,
            "| case | simmach | madsim | turmoil | floor | of madsim | of turmoil | of the floor | goal |"
        );
        let _ = writeln!(text, "|---|---:|---:|---:|---:|---:|---:|---:|---|");
        for case in cases::ALL.iter().filter(|case| !self.taken.of(case, Of::Simmach).is_empty()) {
            let _ = writeln!(text, "{}", self.row(case));
        }
        let _ = writeln!(text, "\n| | what | | goal |\n|---|---|---:|---|");
        for line in &self.others {
            let goal = line.goal.as_ref().map(|(goal, met)| format!("{goal}: {}", word(*met)));
            let (name, what, unit) = (&line.name, &line.what, line.unit);
            let value = spread(&line.value);
            let _ = writeln!(
                text,
                "| {name} | {what} | {value} {unit} | {} |",
                goal.unwrap_or_default()
            );
        }
        text
    }

    fn row(&self, case: &Case) -> String {
        let times: Vec<String> = Of::ALL.iter().map(|of| time(self.taken.of(case, *of))).collect();
        let ratios: Vec<String> = [Of::Madsim, Of::Turmoil, Of::Floor]
            .iter()
            .map(|of| self.ratio(case, *of).map_or("–".to_owned(), |ratio| spread(&ratio)))
            .collect();
        let goals: Vec<String> = case
            .goals
            .iter()
            .filter_map(|(of, most)| {
                let met = self.ratio(case, *of)?.median <= *most;
                Some(format!("≤ {most} of {}: {}", of.name(), word(met)))
            })
            .collect();
        format!(
            "| {} | {} | {} | {} |",
            title(case),
            times.join(" | "),
            ratios.join(" | "),
            goals.join(", ")
        )
    }

    fn ratio(&self, case: &Case, of: Of) -> Option<Spread> {
        let ratios = ratios(self.taken.of(case, Of::Simmach), self.taken.of(case, of));
        (!ratios.is_empty()).then(|| Spread::of(&ratios))
    }

    /// Writes every measurement.
    pub(crate) fn write(&self, file: &Path) {
        let mut text = format!("{{\n  \"rounds\": {},\n  \"versions\": {{", self.rounds);
        for of in Of::ALL {
            let _ = write!(text, "\"{}\": \"{}\", ", of.name(), of.version());
        }
        close(&mut text, "},\n  \"cases\": [");
        for case in cases::ALL.iter().chain(cases::MORE) {
            let _ =
                write!(text, "\n    {{\"case\": \"{}\", \"machines\": {}", case.name, case.number);
            for of in case.of {
                let _ = write!(text, ", \"{}\": {:?}", of.name(), self.taken.of(case, *of));
            }
            text.push_str("}, ");
        }
        close(&mut text, "\n  ],\n  \"others\": [");
        for line in &self.others {
            let met = line.goal.as_ref().map_or("null".to_owned(), |(_, met)| met.to_string());
            let _ = write!(
                text,
                "\n    {{\"case\": \"{}\", \"what\": \"{}\", \"value\": {}, \"unit\": \"{}\", \"met\": {met}}}, ",
                line.name, line.what, line.value.median, line.unit
            );
        }
        close(&mut text, "\n  ]\n}\n");
        std::fs::write(file, text).expect("the target folder can be written to");
        println!("every measurement: {}", file.display());
    }
}

/// Replaces the last comma by the closing bracket.
fn close(text: &mut String, with: &str) {
    if text.ends_with(", ") {
        text.truncate(text.len() - 2);
    }
    text.push_str(with);
}

fn title(case: &Case) -> String {
    match case.number {
        0 => format!("{}: {}", case.name, case.what),
        number => format!("{}: {number} {}", case.name, case.what),
    }
}

fn word(met: bool) -> &'static str {
    if met { "yes" } else { "**no**" }
}

fn time(seconds: &[f64]) -> String {
    match Spread::of(seconds).median {
        none if none.is_nan() => "–".to_owned(),
        one if one < 1e-3 => format!("{} µs", number(one * 1e6)),
        one if one < 1.0 => format!("{} ms", number(one * 1e3)),
        one => format!("{} s", number(one)),
    }
}

/// The median, with the quartiles in parentheses.
fn spread(spread: &Spread) -> String {
    let median = number(spread.median);
    match spread.half {
        Some((low, high)) => format!("{median} ({}–{})", number(low), number(high)),
        None => median,
    }
}

/// A number with three significant digits.
pub(crate) fn number(number: f64) -> String {
    let digits = match number.abs() {
        n if n >= 100.0 => 0,
        n if n >= 10.0 => 1,
        n if n >= 1.0 => 2,
        n if n >= 0.1 => 3,
        _ => 4,
    };
    format!("{number:.digits$}")
}
