//! Ctrl-C and SIGTERM: what was being run is said, and nothing is left behind.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::Once;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::harness::command;
use crate::harness::progress::{self, Standing};
use crate::harness::seeds::shrinking::{self, Best};
use crate::harness::workers::pool::Pool;
use crate::harness::workers::{launch, leave};
use crate::report::numbers::count;
use crate::report::story;

/// Watches for both, from the first sweep on.
pub(crate) fn watch(pool: &'static Pool) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Without it a signal ends this process as it would any other; the workers see that by their sockets.
        let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else {
            return;
        };
        let _ = crate::harness::spawn("signals", move || {
            if let Some(signal) = signals.forever().next() {
                end(pool, signal);
            }
        });
    });
}

fn end(pool: &Pool, signal: i32) {
    progress::clear();
    let text = story(pool, signal);
    // Nobody is left to tell when standard error is gone.
    let _ = io::stderr().write_all(text.as_bytes());
    launch::end_all();
    pool.delete_folder();
    leave::leave(128 + signal);
}

fn story(pool: &Pool, signal: i32) -> String {
    let name = if signal == SIGINT { "Ctrl-C (SIGINT)" } else { "SIGTERM" };
    let running = pool.running();
    let mut text =
        format!("\nsimmach: ended by {name} while running {}", count(running.len() as u64, "seed"));
    text.push_str(if running.is_empty() { "\n" } else { ":\n" });
    for (test, seed) in running {
        let _ =
            writeln!(text, "  {}, seed {seed}\n    {}", test.path(), command::again(test, seed));
    }
    for Standing { test, passed, failed } in progress::standings() {
        let passed = count(passed, "seed");
        let failed = match failed {
            0 => "none failed".to_owned(),
            n => format!("{} failed", count(n, "seed")),
        };
        let _ = writeln!(text, "  {test}: {passed} passed before it, {failed}");
    }
    for Best { test, token, size } in shrinking::best_so_far() {
        let _ = writeln!(
            text,
            "  {}, seed {}, was being shrunk; so far to {}\n    {}",
            test.path(),
            token.seed,
            story::size(&size),
            command::replay(test, &token.to_string())
        );
    }
    text
}
