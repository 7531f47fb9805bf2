//! The program of a node: it sets up what exists once per process, then calls [`kv::serve`].
//!
//! The logger, the folder of the store, the environment and the signals belong to the process. Only
//! this file uses them, because in a test three nodes share one process.

mod arguments;

use std::io::{self, Write};
use std::process::ExitCode;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use crate::arguments::{Arguments, HELP};

fn main() -> ExitCode {
    let parsed = Arguments::parse(std::env::args_os().skip(1), |name| std::env::var_os(name));
    match parsed {
        Ok(Some(arguments)) => run(arguments),
        Ok(None) => {
            let _ = io::stdout().write_all(HELP.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => fail(2, &format!("{error}; see --help for all options")),
    }
}

#[tokio::main]
async fn run(arguments: Arguments) -> ExitCode {
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) => directives.parse(),
        Err(_) => Ok(Targets::new().with_default(LevelFilter::INFO)),
    };
    match filter {
        Ok(filter) => tracing_subscriber::registry()
            .with(tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false))
            .with(filter)
            .init(),
        Err(error) => return fail(2, &format!("RUST_LOG: {error}")),
    }
    kv::store::set_folder(&arguments.folder);
    tokio::select! {
        served = kv::serve(arguments.config) => match served {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(1, &error.to_string()),
        },
        // What was acknowledged is on the disk: there is nothing to finish.
        _ = tokio::signal::ctrl_c() => ExitCode::SUCCESS,
    }
}

fn fail(status: u8, message: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "kv: {message}");
    ExitCode::from(status)
}
