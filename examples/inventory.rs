//! The article's inventory, run once in a simulation: `cargo run --release --example inventory -- --help`.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;

use inventory_cluster::Version;
use inventory_cluster::scenario::{self, OVER_3G, STABLE};
use lexopt::prelude::*;
use simmach::program::{Program, Scenario};

const HELP: &str = "\
An event-sourced inventory in a cluster, run once in a simulation.

A bot puts one item in and moves it round a ring of locations, through either
of two backends; at the end it counts: there must be one.

Usage: inventory [OPTIONS]

Options:
      --scenario NAME  3g: the bot is on the mobile network, and a chaos monkey
                       stops backends and wipes their disks (the default);
                       stable: good links, and one backend gets a new disk
      --seed N         Which run: everything that happens by chance in it
                       (0 unless said)
      --fixed          The inventory without the article's bugs
      --quiet          No log
  -h, --help           This text

Exit status: 0 if all went well, 1 if the run failed, 2 for a wrong option.
";

struct Options {
    network: Network,
    seed: u64,
    version: Version,
    quiet: bool,
}

#[derive(Clone, Copy)]
enum Network {
    Stable,
    Mobile,
}

fn main() -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    match Options::parse() {
        Ok(Some(options)) => {
            let report = options.program().run(options.seed);
            // Whoever reads may have seen enough.
            let _ = write!(out, "{}", report.styled(io::stdout().is_terminal()));
            let _ = out.flush();
            if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Ok(None) => {
            let _ = out.write_all(HELP.as_bytes());
            let _ = out.flush();
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "inventory: {error}; --help tells all options");
            ExitCode::from(2)
        }
    }
}

impl Options {
    /// What the command line says; `None` if it asks for help.
    fn parse() -> Result<Option<Self>, lexopt::Error> {
        let mut options =
            Self { network: Network::Mobile, seed: 0, version: Version::Article, quiet: false };
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("scenario") => options.network = arguments.value()?.parse_with(network)?,
                Long("seed") => options.seed = arguments.value()?.parse_with(seed)?,
                Long("fixed") => options.version = Version::Fixed,
                Long("quiet") => options.quiet = true,
                Short('h') | Long("help") => return Ok(None),
                other => return Err(other.unexpected()),
            }
        }
        Ok(Some(options))
    }

    fn program(&self) -> Program {
        let (version, network) = (self.version, self.network);
        let program = Program::new(move || match network {
            Network::Stable => Scenario::new()
                .topology(scenario::cluster(version))
                .client(scenario::BOT)
                .plan(scenario::reimage)
                .body(move |sim| scenario::walk(sim, version, STABLE)),
            Network::Mobile => Scenario::new()
                .topology(scenario::cluster_over_3g(version))
                .client(scenario::BOT)
                .plan(scenario::monkey())
                .body(move |sim| scenario::walk(sim, version, OVER_3G)),
        });
        program.log(!self.quiet)
    }
}

fn network(name: &str) -> Result<Network, String> {
    match name {
        "3g" => Ok(Network::Mobile),
        "stable" => Ok(Network::Stable),
        _ => Err("there are the scenarios `3g` and `stable`".to_owned()),
    }
}

fn seed(number: &str) -> Result<u64, String> {
    number.parse().map_err(|_| format!("a seed is a whole number from 0 to {}", u64::MAX))
}
