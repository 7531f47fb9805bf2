//! Tests of the text of reports.

use crate::engine::ids::MachineId;
use crate::engine::log::{Level, LogLine};
use crate::engine::record::effects::{Effect, Fault};
use crate::report::console::*;

fn outcome() -> Outcome {
    let mut failure = Failure::new(FailureKind::Panic, "assertion failed\n  left: 0\n right: 1");
    failure.machine = Some("mover.botnet".to_owned());
    failure.task = Some("the task spawned at tests/chaos.rs:31:1".to_owned());
    failure.cause = Some("connecting to cl.internal:443 (10.0.0.1:443)".to_owned());
    failure.location = Some("tests/chaos.rs:40:5".to_owned());
    failure.at = 104_200_000_000;
    failure.waiting =
        vec!["cl.internal: the task spawned at src/cl.rs:9 waits for an accept".to_owned()];
    let mut outcome = Outcome::without_a_run(417, Verdict::Failed(failure));
    outcome.virtual_nanos = 104_200_000_000;
    outcome.polls = 26_285;
    outcome.clock_advances = 5;
    outcome.sockets = 1364;
    outcome.machines = vec!["cl.internal".to_owned(), "mover.botnet".to_owned()];
    outcome.effects.add(Effect::PowerOff, 1);
    outcome.faults = vec![Fault {
        at: 62_350_000_000,
        effect: Effect::PowerOff,
        machine: Some(MachineId(0)),
        text: "loses power".to_owned(),
    }];
    outcome.log = (0..42)
        .map(|n| LogLine {
            at: n * 35_000_000,
            machine: MachineId((n % 2) as u32),
            level: Level::Info,
            target: (n > 0).then(|| "shop".into()),
            text: format!("line {n}"),
        })
        .collect();
    outcome
}

fn report(outcome: &Outcome) -> RunReport<'_> {
    RunReport {
        test: "nothing_is_lost",
        outcome,
        passed: 417,
        rerun: Rerun::Same,
        notes: String::new(),
        replay: None,
        output: b"hello\nworld\n",
        seed_source: None,
        log_lines: 40,
        command: "SIMMACH_SEED=417 cargo test -p shop --test chaos -- --exact nothing_is_lost"
            .to_owned(),
    }
}

#[test]
fn report_has_all_parts() {
    let mut outcome = outcome();
    outcome.log.truncate(3);
    let expected = "\
nothing_is_lost failed with seed 417 (417 seeds passed before this seed)

  assertion failed
    left: 0
   right: 1
  failed call: connecting to cl.internal:443 (10.0.0.1:443)
  panic at tests/chaos.rs:40:5, on mover.botnet, in the task spawned at tests/chaos.rs:31:1, at 1 min 44.200 s

  Simulated 104.2 s in 26,285 polls: 5 clock advances, 1,364 sockets.

  Blocked tasks:
    cl.internal: the task spawned at src/cl.rs:9 waits for an accept

  Effects: 1 power-off
      1 min 02.350 s  cl.internal: loses power

  Log:
    + 0000 ms  cl.internal   line 0
    + 0035 ms  mover.botnet   INFO shop: line 1
    + 0035 ms  cl.internal    INFO shop: line 2

  Output:
    hello
    world

  Run it again:
    SIMMACH_SEED=417 cargo test -p shop --test chaos -- --exact nothing_is_lost
";
    assert_eq!(report(&outcome).text(Style::PLAIN), expected);
}

#[test]
fn log_too_long_is_cut_at_the_start() {
    let outcome = outcome();
    let text = report(&outcome).text(Style::PLAIN);
    assert!(
        text.contains(
            "  Log, last 40 of 42 lines, from 0.070 s:\n    \
             … 2 earlier lines not shown (SIMMACH_LOG_LINES=all shows all lines; RUST_LOG=warn,my_crate=debug records fewer)\n    \
             + 0035 ms  cl.internal    INFO shop: line 2\n"
        ),
        "{text}"
    );
    assert!(text.contains("line 41\n") && !text.contains("line 1\n"));
    for log_lines in [42, usize::MAX] {
        let text = RunReport { log_lines, ..report(&outcome) }.text(Style::PLAIN);
        assert!(text.contains("  Log:\n    + 0000 ms  cl.internal   line 0\n"), "{text}");
    }
    let text = RunReport { log_lines: 1, ..report(&outcome) }.text(Style::PLAIN);
    assert!(
        text.contains("Log, last 1 of 42 lines, from 1.435 s:\n    … 41 earlier lines not shown"),
        "{text}"
    );
}

#[test]
fn broken_run_is_not_called_a_failure() {
    let outcome = Outcome::without_a_run(0, Verdict::Broken("no room on /dev/shm".to_owned()));
    let text =
        RunReport { rerun: Rerun::NotTried, output: b"", ..report(&outcome) }.text(Style::PLAIN);
    assert!(
        text.starts_with("nothing_is_lost could not be run (seed 0)\n\n  no room on /dev/shm\n"),
        "{text}"
    );
}

#[test]
fn rerun_that_differs_is_not_reproducible() {
    let outcome = outcome();
    for rerun in [Rerun::Passed, Rerun::Other("a deadlock".to_owned())] {
        let text = RunReport { rerun, ..report(&outcome) }.text(Style::PLAIN);
        assert!(text.contains("NOT REPRODUCIBLE"), "{text}");
    }
}

#[test]
fn output_is_cut_at_a_character_boundary() {
    let outcome = outcome();
    let output = "é".repeat(MAX_OUTPUT).into_bytes();
    let text = RunReport { output: &output[1..], ..report(&outcome) }.text(Style::PLAIN);
    assert!(text.contains("Output, last 8 KiB:"));
}

#[test]
fn groups_list_failures_by_kind() {
    let kinds = [
        Group { seed: 3, seeds: 12, text: "boom\npanic at a:1:1, at 1.000 s".to_owned() },
        Group { seed: 9, seeds: 1, text: "stall".to_owned() },
    ];
    assert_eq!(
        groups("t", 1000, &kinds, Style::PLAIN),
        "t: 13 of 1,000 seeds failed, in 2 ways\n\n  12 seeds, the lowest is 3\n    boom\n    panic at a:1:1, at 1.000 s\n  seed 9\n    stall\n\n"
    );
}

#[test]
fn missing_runtime_has_advice() {
    let message =
        "there is no reactor running, must be called from the context of a Tokio 1.x runtime";
    let outcome =
        Outcome::without_a_run(0, Verdict::Failed(Failure::new(FailureKind::Panic, message)));
    let text = report(&outcome).text(Style::PLAIN);
    assert!(text.contains("`runtime = native`") && text.contains("sim.run_on"), "{text}");
}

#[test]
fn logger_error_has_advice() {
    let advises = |message: &str| {
        let failure = Failure::new(FailureKind::Panic, message);
        let outcome = Outcome::without_a_run(0, Verdict::Failed(failure));
        report(&outcome).text(Style::PLAIN).contains("Call `try_init`")
    };
    for message in [
        "env_logger::init should not be called after logger initialized: SetLoggerError(())",
        "Unable to install global subscriber: SetLoggerError(())",
        "failed to set global default subscriber: SetGlobalDefaultError(\"a global default trace dispatcher has already been set\")",
        "the service a ended with an error: attempted to set a logger after the logging system was already initialized",
    ] {
        assert!(advises(message), "{message}");
    }
    assert!(!advises("visit 1 comes after visit 1"));
}
