//! Compares simmach with turmoil, madsim and the *floor*, on the same work.
//!
//! `cargo bench --bench peers` builds each program in its own folder under `target/peers`, so that
//! the peers are not dependencies of the workspace. It runs each case on each program in turn, in
//! several rounds. It prints medians and ratios, and writes them to `target/peers/peers.json`. A
//! number after `--` is the number of rounds, and words are the cases to run:
//! `cargo bench --bench peers -- 3 a b2`.

mod cases;
mod guests;
#[path = "common/measure.rs"]
mod measure;
mod others;
mod programs;
#[path = "common/protocol.rs"]
mod protocol;
mod report;
mod simmach;
#[path = "common/sizes.rs"]
mod sizes;
mod sweep;

use std::process::ExitCode;

use programs::{Programs, Taken};

#[global_allocator]
static ALLOCATOR: measure::Counting = measure::Counting;

/// The variable that selects the role of this program. With `case` it runs one case on simmach, and
/// with any other value it acts as a test binary.
const ROLE: &str = "SIMMACH_PEERS_ROLE";

fn main() -> ExitCode {
    match std::env::var(ROLE).as_deref() {
        Ok("case") => simmach::main(),
        Ok(_) => return sweep::run(),
        Err(_) => compare(),
    }
    ExitCode::SUCCESS
}

fn compare() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let rounds = words.iter().find_map(|word| word.parse().ok()).unwrap_or(15);
    let names: Vec<&String> = words
        .iter()
        .filter(|word| !word.starts_with("--") && word.parse::<u64>().is_err())
        .collect();
    let is_asked = |name: &str| {
        // The empty variant of a case is measured with it.
        let name = name.trim_end_matches("-empty");
        names.is_empty() || names.iter().any(|asked| *asked == name)
    };
    let all = || cases::ALL.iter().chain(cases::MORE).filter(|case| is_asked(case.name));
    let programs = Programs::build();
    let mut taken = Taken::default();
    for round in 1..=rounds {
        for case in all() {
            eprintln!("round {round} of {rounds}: {} {}", case.name, case.number);
            for of in case.of {
                taken.add(case, *of, &programs);
            }
        }
    }
    let others = others::all(&programs, &taken, rounds, &is_asked);
    let report = report::Report { rounds, taken, others };
    println!("{}", report.table());
    report.write(&programs.target.join("peers.json"));
}
