//! The arguments of the attribute.
//!
//! To add an argument, add a variant to [`Argument`] and a line to [`ARGUMENTS`], and handle it in `validate` and `expand`.
//! `CONTRIBUTING.md` lists the remaining places.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Argument {
    Seeds,
    BaseSeed,
    Topology,
    Machines,
    Links,
    Client,
    Runtime,
    Hardware,
    Chaos,
    TimeLimit,
    StallLimit,
    PollLimit,
    Epoch,
    Check,
    OwnProcess,
    ExpectFailure,
    Crate,
}

/// Name, form, and a valid example of every argument.
pub(crate) const ARGUMENTS: &[(Argument, &str, Form, &str)] = &[
    (Argument::Seeds, "seeds", Form::Value, "seeds = 1000"),
    (Argument::BaseSeed, "base_seed", Form::Value, "base_seed = 7"),
    (Argument::Topology, "topology", Form::Value, "topology = cluster()"),
    (Argument::Machines, "machines", Form::Machines, "machines(\"api{1..=2}.public\" => service)"),
    (Argument::Links, "links", Form::Links, "links(\"a\" <-> \"b\" => NetworkProfile::lan())"),
    (Argument::Client, "client", Form::Value, "client = \"mover.botnet\""),
    (Argument::Runtime, "runtime", Form::Value, "runtime = native"),
    (Argument::Hardware, "hardware", Form::Value, "hardware = identical"),
    (Argument::Chaos, "chaos", Form::Value, "chaos = [GracefulMonkey::new(), PowerOffs::new()]"),
    (Argument::TimeLimit, "time_limit", Form::Value, "time_limit = \"10m\""),
    (Argument::StallLimit, "stall_limit", Form::Value, "stall_limit = \"60s\""),
    (Argument::PollLimit, "poll_limit", Form::Value, "poll_limit = 1_000_000"),
    (Argument::Epoch, "epoch", Form::Value, "epoch = \"2030-01-01T00:00:00Z\""),
    (Argument::Check, "check", Form::Value, "check = true"),
    (Argument::OwnProcess, "own_process", Form::Value, "own_process = true"),
    (
        Argument::ExpectFailure,
        "expect_failure",
        Form::Bounds,
        "expect_failure(faults <= 2, steps <= 3)",
    ),
    (Argument::Crate, "crate", Form::Path, "crate = my_crate::simmach"),
];

/// The syntax of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `name = expression`
    Value,
    /// `name = path`, with or without quotes
    Path,
    /// `name("machine" => service, ..)`
    Machines,
    /// `name("zone" <-> "zone" => profile, ..)`
    Links,
    /// `name`, or `name(quantity <= max, ..)`
    Bounds,
}

impl Argument {
    pub(crate) fn named(name: &str) -> Option<Self> {
        ARGUMENTS.iter().find(|(_, known, ..)| *known == name).map(|(argument, ..)| *argument)
    }

    fn row(self) -> &'static (Argument, &'static str, Form, &'static str) {
        ARGUMENTS.iter().find(|(argument, ..)| *argument == self).expect("every argument has a row")
    }

    pub(crate) fn form(self) -> Form {
        self.row().2
    }

    pub(crate) fn example(self) -> &'static str {
        self.row().3
    }
}

impl fmt::Display for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().1)
    }
}

/// The error message for an unknown argument.
pub(crate) fn unknown(name: &str) -> String {
    let known = || ARGUMENTS.iter().map(|(_, known, ..)| *known);
    match closest(name, known()) {
        Some(near) => format!("unknown argument `{name}`; did you mean `{near}`?"),
        None => {
            let all: Vec<_> = known().map(|known| format!("`{known}`")).collect();
            format!("unknown argument `{name}`; expected one of {}", all.join(", "))
        }
    }
}

/// Returns the candidate that `name` probably misspells or abbreviates.
pub(crate) fn closest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let max_distance = (name.chars().count() / 3).max(1);
    candidates
        .map(|candidate| match strsim::osa_distance(name, candidate) {
            distance if distance <= max_distance => (distance, candidate),
            _ if name.len() > 2 && candidate.starts_with(name) => (max_distance, candidate),
            _ => (usize::MAX, candidate),
        })
        .filter(|(distance, _)| *distance <= max_distance)
        .min()
        .map(|(_, candidate)| candidate)
}
