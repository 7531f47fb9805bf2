//! The arguments that there are. A new one is a line in [`ARGUMENTS`], a variant of [`Argument`], and what follows from it
//! in `validate` and `expand`.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Argument {
    Seeds,
    BaseSeed,
    Topology,
    Machines,
    Links,
    Client,
    Chaos,
    TimeLimit,
    StallLimit,
    StepLimit,
    Epoch,
    Check,
    ExpectFailure,
    Crate,
}

/// Name, form, and an example that is right.
pub(crate) const ARGUMENTS: &[(Argument, &str, Form, &str)] = &[
    (Argument::Seeds, "seeds", Form::Value, "seeds = 1000"),
    (Argument::BaseSeed, "base_seed", Form::Value, "base_seed = 7"),
    (Argument::Topology, "topology", Form::Value, "topology = cluster()"),
    (Argument::Machines, "machines", Form::Machines, "machines(\"api{1..=2}.public\" => service)"),
    (Argument::Links, "links", Form::Links, "links(\"a\" <-> \"b\" => NetworkProfile::lan())"),
    (Argument::Client, "client", Form::Value, "client = \"mover.botnet\""),
    (Argument::Chaos, "chaos", Form::Value, "chaos = [GracefulMonkey::new(), PowerOffs::new()]"),
    (Argument::TimeLimit, "time_limit", Form::Value, "time_limit = \"10m\""),
    (Argument::StallLimit, "stall_limit", Form::Value, "stall_limit = \"60s\""),
    (Argument::StepLimit, "step_limit", Form::Value, "step_limit = 1_000_000"),
    (Argument::Epoch, "epoch", Form::Value, "epoch = \"2030-01-01T00:00:00Z\""),
    (Argument::Check, "check", Form::Value, "check = true"),
    (
        Argument::ExpectFailure,
        "expect_failure",
        Form::Bounds,
        "expect_failure(faults <= 2, steps <= 3)",
    ),
    (Argument::Crate, "crate", Form::Path, "crate = my_crate::simmach"),
];

/// How an argument is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `name = expression`
    Value,
    /// `name = path`, also in quotes
    Path,
    /// `name("machine" => service, ..)`
    Machines,
    /// `name("zone" <-> "zone" => profile, ..)`
    Links,
    /// `name`, or `name(what <= most, ..)`
    Bounds,
}

impl Argument {
    pub(crate) fn named(name: &str) -> Option<Self> {
        ARGUMENTS.iter().find(|(_, known, ..)| *known == name).map(|(argument, ..)| *argument)
    }

    fn row(self) -> &'static (Argument, &'static str, Form, &'static str) {
        ARGUMENTS
            .iter()
            .find(|(argument, ..)| *argument == self)
            .expect("every argument has its row")
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

/// The message for an argument that there is not.
pub(crate) fn unknown(name: &str) -> String {
    let known = || ARGUMENTS.iter().map(|(_, known, ..)| *known);
    match near(name, known()) {
        Some(near) => format!("there is no argument `{name}`: did you mean `{near}`?"),
        None => {
            let all: Vec<_> = known().map(|known| format!("`{known}`")).collect();
            format!("there is no argument `{name}`, only {}", all.join(", "))
        }
    }
}

/// The candidate that a slip of the keyboard turns into `name`, or that it is the beginning of.
pub(crate) fn near<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let slips = (name.chars().count() / 3).max(1);
    candidates
        .map(|candidate| match strsim::osa_distance(name, candidate) {
            distance if distance <= slips => (distance, candidate),
            _ if name.len() > 2 && candidate.starts_with(name) => (slips, candidate),
            _ => (usize::MAX, candidate),
        })
        .filter(|(distance, _)| *distance <= slips)
        .min()
        .map(|(_, candidate)| candidate)
}
