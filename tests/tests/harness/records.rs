//! Tests `tracing` and `log` records in reports, and `RUST_LOG`.

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Request, client};
use hyper_util::rt::TokioIo;
use simmach::compat::hyper::Executor;
use simmach::net::{TcpListener, TcpStream};
use simmach::prelude::*;
use simmach::task::spawn;

use super::child::{Door, Ran};
use super::shrinking::token;
use super::{assert_has, assert_has_not, through_both};

/// Returns the number of lines of a report that contain `part`.
fn count(ran: &Ran, part: &str) -> usize {
    ran.text.lines().filter(|line| line.contains(part)).count()
}

#[test]
fn log_has_info_and_above_by_default() {
    through_both("logs", &[], |ran| {
        assert_has(
            ran,
            &[
                "  Log:\n",
                "+ 0000 ms  server.zone   INFO ",
                "::zoo: the service is up\n",
                "+ 0000 ms  server.zone   WARN ",
                "::zoo: the service is slow\n",
            ],
        );
        assert_has_not(ran, &["frame ", "record ", "details", "\x1b"]);
    });
}

#[test]
fn log_is_filtered_by_rust_log() {
    for (filter, frames, records, own, details) in [
        ("off,h2=debug", 100, 0, 0, 0),
        ("rustls::conn=trace", 0, 100, 0, 0),
        ("h2=debug,rustls=debug,h2::codec=off", 0, 100, 0, 0),
        ("warn", 0, 0, 1, 0),
        ("debug,h2=off,rustls=warn", 0, 0, 2, 2),
        ("debug", 100, 100, 2, 2),
        ("fixture,harness", 0, 0, 2, 2),
    ] {
        let env = [("RUST_LOG", filter), ("SIMMACH_LOG_LINES", "all")];
        through_both("logs", &env, |ran| {
            let parts =
                ["h2::codec: frame ", "rustls::conn: record ", ": the service is ", "details"];
            let shown = parts.map(|part| count(ran, part));
            assert_eq!(shown, [frames, records, own, details], "{filter}: {}", ran.text);
        });
    }
    let ran = Door::Main.run("logs", &[("RUST_LOG", "off")]);
    assert_has_not(&ran, &["  Log", "the service is"]);
}

#[test]
fn log_that_is_cut_says_how_to_see_the_rest() {
    let ran = Door::Main.run("logs", &[("RUST_LOG", "debug")]);
    let cut = "  Log, last 40 of 204 lines, from 0.000 s:\n    … 164 earlier lines not shown (SIMMACH_LOG_LINES=all";
    assert_has(&ran, &[cut]);
    assert_eq!(count(&ran, "frame ") + count(&ran, "record "), 36, "{}", ran.text);
    let ran = Door::Main.run("logs", &[("RUST_LOG", "debug"), ("SIMMACH_LOG_LINES", "10")]);
    assert_has(&ran, &["  Log, last 10 of 204 lines, ", "    … 194 earlier lines "]);
}

#[test]
fn log_directive_that_is_wrong_is_an_error() {
    for jobs in ["1", "2"] {
        for (filter, directive) in
            [("info,[conn{id=3}]=trace", "[conn{id=3}]=trace"), ("shop=loud", "shop=loud")]
        {
            through_both("passes", &[("RUST_LOG", filter), ("SIMMACH_JOBS", jobs)], |ran| {
                assert_eq!(ran.code, Some(101), "{}", ran.text);
                let named = format!("invalid directive `{directive}` in RUST_LOG=");
                assert_has(ran, &[&named, "expected directives such as `warn`"]);
            });
        }
    }
}

/// The filter is not part of the run: a token replays exactly under any.
#[test]
fn log_filter_does_not_change_a_replay() {
    let of = |filter| token(&Door::Main.run("logs", &[("RUST_LOG", filter)]));
    let given = of("trace");
    assert_eq!(given, of("off"));
    for (filter, details) in [("", 0), ("trace", 2)] {
        let env = [("SIMMACH_REPLAY", &*given), ("RUST_LOG", filter)];
        let ran = Door::Main.run("logs", &env);
        assert_has(&ran, &["Reproduced exactly."]);
        assert_eq!(count(&ran, "details"), details, "{}", ran.text);
    }
}

/// Every seed fails so, whichever machine or run of the process comes first.
#[test]
fn logger_that_is_installed_fails_every_seed_with_advice() {
    for (name, error) in [
        ("with_a_logger_of_its_own", "SetLoggerError"),
        ("with_a_subscriber_of_its_own", "SetGlobalDefaultError"),
    ] {
        for jobs in ["1", "2"] {
            through_both(name, &[("SIMMACH_JOBS", jobs)], |ran| {
                assert_eq!(ran.code, Some(101), "{}", ran.text);
                let head = format!("zoo::{name} failed with seed 0\n");
                assert_has(ran, &[&head, error, "Call `try_init` and", "on server.zone"]);
                assert_has_not(ran, &["NOT REPRODUCIBLE", "the trace differs"]);
            });
        }
    }
}

/// A run's settings of `log` do not carry over to the next run.
#[test]
fn logger_that_is_only_tried_loses_no_records() {
    for jobs in ["1", "2"] {
        through_both("with_a_logger_it_tries", &[("SIMMACH_JOBS", jobs)], |ran| {
            assert_has(ran, &["zoo::with_a_logger_it_tries failed with seed 10 "]);
            assert_eq!(count(ran, ": said before"), 1, "{}", ran.text);
            assert_has_not(ran, &["said after", "NOT REPRODUCIBLE"]);
        });
    }
}

async fn http2() -> Result {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let builder = hyper::server::conn::http2::Builder::new(Executor);
        let answer = hyper::service::service_fn(async |_| {
            tracing::info!("asked");
            Ok::<_, std::convert::Infallible>(hyper::Response::new(Empty::<Bytes>::new()))
        });
        spawn(builder.serve_connection(TokioIo::new(stream), answer));
    }
}

/// A dependency that logs much.
#[ignore = "for the test below"]
#[sim_test(seeds = 1, machines("server.zone" => http2), client = "client.zone")]
async fn asks_over_http2() -> Result {
    let stream = TcpStream::connect("server.zone:80").await?;
    let (mut sender, connection) =
        client::conn::http2::Builder::new(Executor).handshake(TokioIo::new(stream)).await?;
    spawn(connection);
    for _ in 0..20 {
        let request = Request::get("http://server.zone/").body(Empty::<Bytes>::new())?;
        sender.send_request(request).await?;
    }
    Err("look at the log".into())
}

#[test]
fn log_of_a_service_is_not_displaced_by_h2() {
    let run = |env: &[(&str, &str)]| {
        Door::Libtest.with(&["--include-ignored", "--exact", "records::asks_over_http2"], env)
    };
    let ran = run(&[]);
    assert_eq!(count(&ran, "INFO harness::records: asked"), 20, "{}", ran.text);
    assert_eq!(count(&ran, " h2::"), 0, "{}", ran.text);
    let ran = run(&[("RUST_LOG", "debug"), ("SIMMACH_LOG_LINES", "all")]);
    assert_eq!(count(&ran, "INFO harness::records: asked"), 20, "{}", ran.text);
    assert!(count(&ran, "DEBUG h2::") > 40, "{}", ran.text);
}

/// Some records have an argument that panics.
#[ignore = "for the test below"]
#[sim_test(seeds = 20, check = true)]
async fn argument_of_a_record_panics() -> Result {
    spawn(async {
        tracing::info!("drawn: {}", draw_other_than(1));
        log::info!("drawn: {}", draw_other_than(1));
    })
    .await?;
    Ok(())
}

/// Every record has an argument that draws a random number, and the next draw decides the outcome.
#[ignore = "for the test below"]
#[sim_test(seeds = 20, check = true)]
async fn argument_of_a_record_draws() -> Result {
    tracing::info!(value = simmach::rand::random(), "drawn");
    let logs = spawn(async {
        log::info!("drawn: {}", simmach::rand::random());
        draw_other_than(1)
    });
    logs.await?;
    draw_other_than(1);
    Ok(())
}

fn draw_other_than(wrong: u64) -> u64 {
    let drawn = simmach::rand::random() % 8;
    assert_ne!(drawn, wrong, "a number like another");
    drawn
}

/// The reported run is the same as in the sweep.
#[test]
fn log_arguments_are_computed_in_every_run() {
    for name in ["argument_of_a_record_panics", "argument_of_a_record_draws"] {
        for jobs in ["1", "2"] {
            let path = format!("records::{name}");
            let ran = Door::Libtest
                .with(&["--include-ignored", "--exact", &path], &[("SIMMACH_JOBS", jobs)]);
            assert_eq!(ran.code, Some(101), "{}", ran.text);
            assert_has(&ran, &["a number like another", "Reproduced in a fresh OS process."]);
            assert_has_not(&ran, &["NOT REPRODUCIBLE", "not deterministic"]);
        }
    }
}
