//! Runs the inventory cluster once, in a simulation or for real:
//! `cargo run --release --example inventory -- --help`.

use std::env;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use inventory_cluster::Version;
use inventory_cluster::real::{self, Failure, Machine, Role, WALK};
use inventory_cluster::scenario::{self, OVER_3G, STABLE};
use lexopt::prelude::*;
use simmach::program::{Program, Scenario};
use simmach::time::Instant;

const HELP: &str = "\
Runs an event-sourced inventory on a cluster once: in a simulation, or for real.

A bot adds one item and moves the item around a ring of locations. It sends each
request to one of two backends. At the end, the bot counts the items: there must
be exactly one.

Usage: inventory [OPTIONS]

Options:
      --scenario NAME  3g: the bot is on the mobile network, and a chaos monkey
                       stops backends and wipes their disks (the default);
                       stable: good links, and one backend gets an empty disk
      --seed N         Seed of the run: decides everything random in the run
                       (default 0)
      --real           No simulation: one OS process per machine, on loopback, in
                       real time, with a folder as its disk; one backend is
                       stopped and gets an empty disk, the other is killed
      --fixed          Run the version without the known bugs
      --quiet          Print no log
  -h, --help           Print this text

Exit status: 0 if the run passed, 1 if it failed, 2 for a wrong option.
";

struct Options {
    world: World,
    version: Version,
    quiet: bool,
}

enum World {
    Simulated {
        network: Network,
        seed: u64,
    },
    Real,
    /// This process is one of the machines of `--real`.
    Machine {
        role: Role,
        listen: String,
        folder: PathBuf,
    },
}

#[derive(Clone, Copy)]
enum Network {
    Stable,
    Mobile,
}

fn main() -> ExitCode {
    match Options::parse() {
        Ok(Some(options)) => options.run(),
        Ok(None) => {
            print(HELP);
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "inventory: {error}; see --help for all options");
            ExitCode::from(2)
        }
    }
}

impl Options {
    /// Parses the command line; `None` if it asks for help.
    fn parse() -> Result<Option<Self>, lexopt::Error> {
        let (mut given_network, mut given_seed, mut real) = (None, None, false);
        let (mut version, mut quiet) = (Version::Buggy, false);
        let (mut machine, mut log) = (None, None);
        let mut arguments = lexopt::Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("scenario") => {
                    given_network = Some(arguments.value()?.parse_with(parse_network)?)
                }
                Long("seed") => given_seed = Some(arguments.value()?.parse_with(parse_seed)?),
                Long("real") => real = true,
                Long("fixed") => version = Version::Fixed,
                Long("quiet") => quiet = true,
                // Undocumented: how `--real` starts its processes.
                Long("machine") => {
                    machine = Some((arguments.value()?.string()?, arguments.value()?.into()));
                }
                Long("log") => log = Some(arguments.value()?.string()?),
                Short('h') | Long("help") => return Ok(None),
                other => return Err(other.unexpected()),
            }
        }
        let world = match (machine, real) {
            (Some((listen, folder)), _) => {
                World::Machine { role: log.map_or(Role::Log, Role::Backend), listen, folder }
            }
            (None, true) if given_network.is_some() || given_seed.is_some() => {
                return Err("--real cannot be combined with --scenario or --seed".into());
            }
            (None, true) => World::Real,
            (None, false) => World::Simulated {
                network: given_network.unwrap_or(Network::Mobile),
                seed: given_seed.unwrap_or(0),
            },
        };
        Ok(Some(Self { world, version, quiet }))
    }

    fn run(self) -> ExitCode {
        let passed = match self.world {
            World::Simulated { network, seed } => {
                let report = program(network, self.version).log(!self.quiet).run(seed);
                print(report.styled(io::stdout().is_terminal()));
                report.passed()
            }
            World::Real => self.run_for_real(),
            World::Machine { role, listen, folder } => {
                let machine = Machine { role, version: self.version, listen, folder };
                match real::serve(&machine) {
                    Ok(()) => true,
                    Err(error) => {
                        let _ = writeln!(io::stderr(), "inventory: {}: {error}", machine.listen);
                        false
                    }
                }
            }
        };
        if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn run_for_real(&self) -> bool {
        let began = Instant::now();
        let log = |text: &str| {
            if !self.quiet {
                print(format_args!("{:>6.3} s  {text}\n", began.elapsed().as_secs_f64()));
            }
        };
        let ran = real::run(self.version, command, log);
        let took = began.elapsed().as_secs_f64();
        match &ran {
            Ok(()) => {
                print(format_args!(
                    "passed: one item after {} moves, in {took:.1} s of real time\n",
                    WALK.moves
                ));
            }
            Err(Failure::Issue(issue)) => {
                print(format_args!("{issue}\nfailure {:?}, at {took:.3} s\n", issue.kind()));
            }
            Err(Failure::Cluster(error)) => {
                let _ = writeln!(io::stderr(), "inventory: {error}");
            }
        }
        ran.is_ok()
    }
}

/// The command that runs this program as one of the machines.
fn command(machine: &Machine) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("--machine").arg(&machine.listen).arg(&machine.folder);
    match &machine.role {
        Role::Log => {}
        Role::Backend(log) => {
            command.arg("--log").arg(log);
        }
    }
    match machine.version {
        Version::Buggy => {}
        Version::Fixed => {
            command.arg("--fixed");
        }
    }
    Ok(command)
}

fn program(network: Network, version: Version) -> Program {
    Program::new(move || match network {
        Network::Stable => Scenario::new()
            .native()
            .topology(scenario::cluster(version))
            .client(scenario::BOT)
            .plan(scenario::reimage)
            .body(move |sim| scenario::walk(sim, version, STABLE)),
        Network::Mobile => Scenario::new()
            .native()
            .topology(scenario::cluster_over_3g(version))
            .client(scenario::BOT)
            .plan(scenario::monkey())
            .body(move |sim| scenario::walk(sim, version, OVER_3G)),
    })
}

/// Prints to standard output. Errors are ignored: the reader may have closed the pipe.
fn print(text: impl std::fmt::Display) {
    let mut out = BufWriter::new(io::stdout().lock());
    let _ = write!(out, "{text}");
    let _ = out.flush();
}

fn parse_network(name: &str) -> Result<Network, String> {
    match name {
        "3g" => Ok(Network::Mobile),
        "stable" => Ok(Network::Stable),
        _ => Err("expected `3g` or `stable`".to_owned()),
    }
}

fn parse_seed(number: &str) -> Result<u64, String> {
    number.parse().map_err(|_| format!("expected a whole number from 0 to {}", u64::MAX))
}
