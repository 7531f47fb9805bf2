//! Handles Ctrl-C and SIGTERM: reports what was running, ends the workers and deletes their
//! folders.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::Once;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::harness::command;
use crate::harness::progress::{self, TestProgress};
use crate::harness::seeds::shrinking::{self, BestSoFar};
use crate::harness::workers::pool::Pool;
use crate::harness::workers::{exit_now, launch};
use crate::report::numbers::count;
use crate::report::story;

/// Installs the signal handlers once, before the first sweep.
pub(crate) fn watch(pool: &'static Pool) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Without handlers a signal ends this process as usual, and the workers end when their sockets close.
        let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else {
            return;
        };
        let _ = crate::harness::spawn("signals", move || {
            if let Some(signal) = signals.forever().next() {
                exit(pool, signal);
            }
        });
    });
}

fn exit(pool: &Pool, signal: i32) {
    progress::clear();
    let text = report(pool, signal);
    // The error is ignored, since standard error may be closed.
    let _ = io::stderr().write_all(text.as_bytes());
    launch::end_all();
    pool.delete_folder();
    exit_now::exit_now(128 + signal);
}

fn report(pool: &Pool, signal: i32) -> String {
    let name = if signal == SIGINT { "Ctrl-C (SIGINT)" } else { "SIGTERM" };
    let running = pool.running();
    let mut text = format!(
        "\nsimmach: interrupted by {name} while running {}",
        count(running.len() as u64, "seed")
    );
    text.push_str(if running.is_empty() { "\n" } else { ":\n" });
    for (test, seed) in running {
        let _ =
            writeln!(text, "  {}, seed {seed}\n    {}", test.path(), command::run_seed(test, seed));
    }
    for TestProgress { test, passed, failed } in progress::tests_in_progress() {
        let passed = count(passed, "seed");
        let failed = match failed {
            0 => "none failed".to_owned(),
            n => format!("{} failed", count(n, "seed")),
        };
        let _ = writeln!(text, "  {test}: {passed} passed, {failed}");
    }
    for BestSoFar { test, token, size } in shrinking::best_so_far() {
        let _ = writeln!(
            text,
            "  {}, seed {}: interrupted while shrinking; the smallest failing run so far: {}\n    {}",
            test.path(),
            token.seed,
            story::size(&size),
            command::replay(test, &token.to_string())
        );
    }
    text
}
