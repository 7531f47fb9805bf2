//! Tests of `tracing` and `log` records in a run's log, with the default filter.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::subscriber::NoSubscriber;

use crate::engine::log::{Level, LogLine};
use crate::run::tests::*;

fn keep() -> Keep {
    Keep { log: true, ..Keep::default() }
}

fn kept(spec: impl FnOnce() -> Spec + Send + 'static) -> Vec<LogLine> {
    let outcome = run_spec(spec, 0, Overlay::default(), keep(), Arc::default());
    assert_eq!(outcome.verdict, Verdict::Passed);
    outcome.log
}

fn shown(lines: &[LogLine]) -> Vec<(u64, u32, Level, &str, &str)> {
    let shown = lines.iter().map(|line| {
        let target = line.target.as_deref().unwrap_or("none");
        (line.at / 1_000_000, line.machine.0, line.level, target, line.text.as_str())
    });
    shown.collect()
}

struct Says;

impl Drop for Says {
    fn drop(&mut self) {
        ::log::error!(target: "end", "dropped");
        tracing::error!(target: "end", "dropped");
    }
}

/// The records come from a service, a task that it spawns, a destructor, and a client.
#[test]
fn records_have_time_machine_level_and_target() {
    async fn serve() {
        let _says = Says;
        tracing::info!(target: "shop", answer = 42, name = "x", "hello");
        ::log::info!(target: "shop", answer = 42, name = "x"; "hello");
        spawn(async {
            sleep(5.millis()).await;
            tracing::warn!(target: "shop::cart", "slow");
            ::log::warn!(target: "shop::cart", "slow");
        });
        signal::stopped().await;
    }
    let lines = kept(|| {
        let spec = SpecBuilder::new().identical_hardware();
        spec.machine("a", serve).machine("b", idles).body(async |sim: Sim| {
            sleep(10.millis()).await;
            sim.run_on("b", async { tracing::info!("own module") }).await?;
            ::log::info!("own module");
            sim.stop("a", GRACE).await?;
            sim.log("by the test");
            Result::<()>::Ok(())
        })
    });
    async fn idles() {
        std::future::pending().await
    }
    let own = module_path!();
    assert_eq!(
        shown(&lines),
        [
            (0, 0, Level::Info, "shop", "hello answer=42 name=\"x\""),
            (0, 0, Level::Info, "shop", "hello answer=42 name=\"x\""),
            (5, 0, Level::Warn, "shop::cart", "slow"),
            (5, 0, Level::Warn, "shop::cart", "slow"),
            (10, 1, Level::Info, own, "own module"),
            (10, 2, Level::Info, own, "own module"),
            (10, 0, Level::Error, "end", "dropped"),
            (10, 0, Level::Error, "end", "dropped"),
            (10, 0, Level::Fault, "none", "service stopped"),
            (10, 2, Level::Info, "none", "by the test"),
        ]
    );
}

/// A value that counts how often it is formatted.
struct Counted<'a>(&'a AtomicU64);

impl fmt::Debug for Counted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fetch_add(1, Ordering::Relaxed);
        f.write_str("counted")
    }
}

/// Records that the filter disables are never formatted; others are in every run.
#[test]
fn records_are_formatted_by_the_filter_alone() {
    static FORMATTED: AtomicU64 = AtomicU64::new(0);
    static INFO: AtomicU64 = AtomicU64::new(0);
    let spec = || {
        SpecBuilder::new().body(async |_| {
            for _ in 0..3 {
                tracing::debug!(value = ?Counted(&FORMATTED), "{:?}", Counted(&FORMATTED));
                tracing::trace!(target: "h2", "{:?}", Counted(&FORMATTED));
                ::log::debug!("{:?}", Counted(&FORMATTED));
                let _span = tracing::info_span!("span", value = ?Counted(&FORMATTED)).entered();
                tracing::info!("{:?}", Counted(&INFO));
                ::log::info!("{:?}", Counted(&INFO));
            }
        })
    };
    let lines = kept(spec);
    assert_eq!(lines.iter().map(|line| &*line.text).collect::<Vec<_>>(), ["counted"; 6]);
    assert_eq!(INFO.load(Ordering::Relaxed), 6);
    pass(spec);
    assert_eq!(INFO.load(Ordering::Relaxed), 12, "as often where no log is kept");
    assert_eq!(FORMATTED.load(Ordering::Relaxed), 0);
}

/// A value whose formatting has an effect.
struct Does(fn());

impl fmt::Debug for Does {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0)();
        f.write_str("done")
    }
}

impl fmt::Display for Does {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Does {}

/// Logs a record whose argument has an effect.
type Way = fn(fn());

/// Every kind of record argument that may have an effect.
const WAYS: [Way; 15] = [
    |act| tracing::info!("{:?}", Does(act)),
    |act| tracing::warn!(value = ?Does(act), "a text"),
    |act| tracing::error!(value = %Does(act)),
    |act| tracing::info!(value = &Does(act) as &dyn std::error::Error),
    |act| {
        tracing::info!(
            value = {
                act();
                7
            }
        )
    },
    |act| {
        tracing::info!(
            value = {
                act();
                "seven"
            },
            "{}",
            7
        )
    },
    |act| {
        if tracing::enabled!(tracing::Level::INFO) {
            act()
        }
    },
    |act| ::log::info!("{}", Does(act)),
    |act| ::log::warn!("{:>9?}", Does(act)),
    |act| ::log::error!(target: "own", value:? = Does(act); "a text"),
    |act| ::log::error!(value:% = Does(act), other = 7; "a text"),
    |act| ::log::info!(value = { act(); 7 }; "a text"),
    |act| {
        if ::log::log_enabled!(::log::Level::Info) {
            act()
        }
    },
    |act| Sim::current().log(Does(act)),
    |act| Sim::current().log(format_args!("{:?}", Does(act))),
];

/// Logs when it is dropped.
struct Logs(Way, fn());

impl Drop for Logs {
    fn drop(&mut self) {
        (self.0)(self.1);
    }
}

/// Runs `act` in a record's argument, at one of several places of the test.
fn ran(way: Way, act: fn(), place: usize, keep: Keep) -> Outcome {
    let spec = move || {
        let shows = async || sleep((crate::rand::random() % 1_000_000).nanos()).await;
        SpecBuilder::new().body(async move |_| {
            let logs = move || async move { way(act) };
            match place {
                0 => logs().await,
                1 => drop(spawn(async move {
                    logs().await;
                    shows().await
                })),
                _ => drop(Logs(way, act)),
            }
            shows().await;
            sleep(1.secs()).await;
        })
    };
    run_spec(spec, 5, Overlay::default(), keep, Arc::default())
}

#[test]
fn arguments_of_records_draw_whether_kept_or_not() {
    for (nth, way) in WAYS.into_iter().enumerate() {
        for place in 0..3 {
            let hash = |act: fn(), keep| ran(way, act, place, keep).trace_hash;
            let (rests, draws): (fn(), fn()) = (|| {}, || _ = crate::rand::random());
            let quiet = hash(rests, Keep::default());
            let [silent, kept] = [Keep::default(), keep()].map(|keep| hash(draws, keep));
            assert_eq!(silent, kept, "way {nth}, place {place}");
            assert_ne!(silent, quiet, "way {nth}, place {place}: nothing was drawn");
        }
    }
}

#[test]
fn arguments_of_records_panic_whether_kept_or_not() {
    for (nth, way) in WAYS.into_iter().enumerate() {
        for place in 0..3 {
            let message = |keep| match ran(way, || panic!("by an argument"), place, keep).verdict {
                Verdict::Failed(failure) => failure.message,
                other => panic!("way {nth}, place {place}: {other:?}"),
            };
            assert_eq!(message(Keep::default()), message(keep()), "way {nth}, place {place}");
            assert!(message(keep()).contains("by an argument"), "{}", message(keep()));
        }
    }
}

/// A value whose formatting fails does not panic, whether the log is kept or not.
#[test]
fn arguments_of_records_that_fail_are_shown_as_such() {
    struct Fails;
    impl fmt::Display for Fails {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Err(fmt::Error)
        }
    }
    let spec = || {
        SpecBuilder::new().body(async |_| {
            tracing::info!("{}", Fails);
            tracing::info!(value = %Fails, "a text");
            ::log::info!("{}", Fails);
            ::log::info!(value:% = Fails; "a text");
        })
    };
    pass(spec);
    let lines = kept(spec);
    assert_eq!(lines.len(), 4);
    let failed = "<a value that could not be formatted>";
    assert!(lines.iter().all(|line| line.text.ends_with(failed)), "{lines:?}");
}

/// Installing a logger fails in every run, and the records are still kept.
#[test]
fn custom_loggers_are_refused_in_every_run() {
    struct Own;
    impl ::log::Log for Own {
        fn enabled(&self, _: &::log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, _: &::log::Record<'_>) {}
        fn flush(&self) {}
    }
    for _ in 0..2 {
        let lines = kept(|| {
            let tries = async || {
                assert!(::log::set_logger(&Own).is_err());
                assert!(tracing::subscriber::set_global_default(NoSubscriber::new()).is_err());
                tracing::info!("tracing");
                std::future::pending::<()>().await
            };
            SpecBuilder::new().machine("a{1..=3}", tries).body(async |_| ())
        });
        assert_eq!(lines.iter().map(|line| &*line.text).collect::<Vec<_>>(), ["tracing"; 3]);
    }
}

/// A scoped subscriber gets the records of its scope.
#[test]
fn scoped_subscriber_takes_its_records() {
    let lines = kept(|| {
        SpecBuilder::new().body(async |_| {
            tracing::info!("before");
            tracing::subscriber::with_default(NoSubscriber::new(), || tracing::info!("within"));
            tracing::info!("after");
        })
    });
    assert_eq!(lines.iter().map(|line| &*line.text).collect::<Vec<_>>(), ["before", "after"]);
}

/// Logging must not change the run.
#[test]
fn records_do_not_change_a_run() {
    let hash = |says: bool, keep: Keep| {
        let spec = move || {
            SpecBuilder::new().machine("a", obeys).body(async move |_| {
                for _ in 0..10 {
                    if says {
                        tracing::info!("tracing");
                        ::log::info!("log");
                        ::log::trace!("log");
                    }
                    sleep(1.millis()).await;
                    crate::rand::random();
                }
            })
        };
        run_spec(spec, 5, Overlay::default(), keep, Arc::default()).trace_hash
    };
    let quiet = hash(false, Keep::default());
    for (says, keep) in [(true, keep()), (true, Keep::default()), (false, keep())] {
        assert_eq!(hash(says, keep), quiet);
    }
    // Outside of a run it goes nowhere.
    ::log::error!("outside");
    tracing::error!("outside");
}

#[test]
fn record_is_shown_as_its_message_and_its_fields() {
    let lines = kept(|| {
        SpecBuilder::new().body(async |_| {
            tracing::info!(message = "a text");
            tracing::info!(only = 3);
            tracing::info!(before = 1, "formatted {}", 2);
            tracing::info!(name = "x", message = "a text");
            ::log::info!("");
        })
    });
    let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["a text", "only=3", "formatted 2 before=1", "a text name=\"x\"", ""]);
}
