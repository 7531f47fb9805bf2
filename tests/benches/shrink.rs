//! Measures how well programs with a planted bug are shrunk. Prints the table in this folder's
//! README.
//!
//! `cargo bench --bench shrink -- 30` uses 30 base seeds, and `-- 2,7,19` uses these three. A
//! further word selects the programs whose names contain it, and shows the runs that are not
//! minimal.

#[path = "../tests/planted/inventory.rs"]
mod inventory;

use simmach::prelude::*;
use simmach_tests::planted::{self, Planted};

use inventory::{DOUBLED_ITEM, LOST_ITEM};

/// Distance from one base seed to the next.
const SEEDS_PER_BASE: u64 = 100_000;

/// Maximum number of runs of the shrinker.
const RUNS: u64 = 2_000;

struct Row {
    base: u64,
    seeds: u64,
    before: (u64, u64),
    after: (u64, u64),
    is_minimal: bool,
    runs: u64,
    took: Duration,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let numbers = |word: &String| word.split(',').map(|number| number.parse().ok()).collect();
    let bases: Vec<u64> = match words.iter().find_map(numbers).unwrap_or_else(|| vec![30]) {
        many if many.len() == 1 => (0..many[0]).collect(),
        these => these,
    };
    let part = words.iter().find(|word| numbers(word).is_none());
    println!("| program | minimal | seeds to find | faults | steps | runs | time | slowest |");
    println!("|---|---|---|---|---|---|---|---|");
    for planted in planted::ALL.iter().chain(&[LOST_ITEM, DOUBLED_ITEM]) {
        if part.is_some_and(|part| !planted.name.contains(part.as_str())) {
            continue;
        }
        let rows: Vec<Row> =
            bases.iter().filter_map(|base| row(planted, *base, part.is_some())).collect();
        print(planted, bases.len(), &rows);
    }
}

fn row(planted: &Planted, base: u64, show_larger: bool) -> Option<Row> {
    let program = planted.program().log(false);
    let first = base * SEEDS_PER_BASE;
    let mut from = first;
    let seed = loop {
        let seed = program.find(from..first + SEEDS_PER_BASE)?;
        if planted.is_bug(program.run(seed).failure_key()) {
            break seed;
        }
        from = seed + 1;
    };
    let smaller = program.shrink(seed, RUNS)?;
    let (before, after, minimum) = (smaller.before(), smaller.after(), planted.minimum);
    let is_minimal = planted.is_bug(smaller.report().failure_key())
        && after.machines <= minimum.machines
        && after.faults <= minimum.faults
        && after.steps <= minimum.steps
        && after.reorderings <= minimum.reorderings;
    if show_larger && !is_minimal {
        println!("base {base}, seed {seed}: {before:?}\n -> {after:?}\n{}", smaller.story());
    }
    Some(Row {
        base,
        seeds: seed - first + 1,
        before: (before.faults, before.steps),
        after: (after.faults, after.steps),
        is_minimal,
        runs: smaller.runs(),
        took: smaller.took(),
    })
}

fn print(planted: &Planted, bases: usize, rows: &[Row]) {
    let range = |of: &dyn Fn(&Row) -> u64| {
        let mut all: Vec<u64> = rows.iter().map(of).collect();
        all.sort_unstable();
        match (all.first(), all.get(all.len() / 2), all.last()) {
            (Some(least), Some(median), Some(most)) => format!("{median} ({least}–{most})"),
            _ => String::new(),
        }
    };
    let minimal = rows.iter().filter(|row| row.is_minimal).count();
    let times = range(&|row| row.took.as_millis() as u64);
    println!(
        "| {} | {minimal} of {bases} | {} | {} → {} | {} → {} | {} | {times} ms | {} |",
        planted.name,
        range(&|row| row.seeds),
        range(&|row| row.before.0),
        range(&|row| row.after.0),
        range(&|row| row.before.1),
        range(&|row| row.after.1),
        range(&|row| row.runs),
        rows.iter().max_by_key(|row| row.took).map_or(0, |row| row.base),
    );
}
