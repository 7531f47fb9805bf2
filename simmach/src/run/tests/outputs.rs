//! Tests of task outputs that panic when they are dropped. The panic is only logged.

use crate::engine::log::Level;
use crate::run::tests::*;
use crate::task::{JoinSet, spawn_blocking};

struct Bomb(&'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

fn kept(body: impl AsyncFnOnce() + Send + 'static) -> Vec<String> {
    let spec = move || SpecBuilder::new().client("api").body(async move |_| body().await);
    let keep = Keep { log: true, ..Keep::default() };
    let ran = run_spec(spec, 0, Overlay::default(), keep, Arc::default());
    assert_eq!(ran.verdict, Verdict::Passed);
    let lines = ran.log.into_iter().filter(|line| line.level == Level::Error);
    lines.map(|line| line.text).collect()
}

#[test]
fn output_panic_in_its_destructor_is_logged() {
    let lines = kept(async || {
        let (after, before) = (spawn(async { Bomb("after") }), spawn(async { Bomb("before") }));
        drop(before);
        let blocking = spawn_blocking(|| Bomb("blocking"));
        let mut set = JoinSet::new();
        set.spawn(async { Bomb("in a set") });
        sleep(1.secs()).await;
        drop(after);
        drop(blocking);
        drop(set);
        sleep(1.secs()).await;
    });
    let place = format!("the destructor of a task's output panicked at {}:", file!());
    assert!(lines.iter().all(|line| line.starts_with(&place)), "{lines:?}");
    let words: Vec<_> = lines.iter().filter_map(|line| line.rsplit(": ").next()).collect();
    assert_eq!(words, ["before", "after", "blocking", "in a set"]);
}

/// A panic payload that panics when it is dropped, with a payload that does so, too.
#[test]
fn panic_payload_may_panic() {
    let lines = kept(async || {
        struct Payload;
        impl Drop for Payload {
            fn drop(&mut self) {
                std::panic::panic_any(Bomb("in its turn"));
            }
        }
        struct Output;
        impl Drop for Output {
            fn drop(&mut self) {
                std::panic::panic_any(Payload);
            }
        }
        let handle = spawn(async { Output });
        sleep(1.secs()).await;
        drop(handle);
        sleep(1.secs()).await;
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[test]
fn panic_payload_of_a_detached_task_may_panic() {
    let failure = fail(|| {
        SpecBuilder::new().body(async |_| {
            drop(spawn(async { std::panic::panic_any(Bomb("once more")) }));
            sleep(1.secs()).await;
        })
    });
    assert_eq!(failure.kind, FailureKind::Panic);
    assert!(failure.location.unwrap().starts_with(file!()));
}

/// The destructors of a completed future and of its output both panic.
#[test]
fn future_and_output_may_both_panic() {
    struct Both(#[allow(dead_code, reason = "it is held to be dropped")] Bomb);
    impl Future for Both {
        type Output = Bomb;

        fn poll(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Bomb> {
            std::task::Poll::Ready(Bomb("the output"))
        }
    }
    let lines = kept(async || {
        let error = spawn(Both(Bomb("the future"))).await.err().unwrap();
        assert!(error.to_string().ends_with("the future"), "{error}");
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].ends_with("the output"), "{lines:?}");
}

/// A panic of the task itself fails the run: aborted, detached or in a set.
#[test]
fn future_panic_in_its_destructor_fails_the_run() {
    for detached in [false, true] {
        let failure = fail(move || {
            SpecBuilder::new().body(async move |_| {
                let mut set = JoinSet::new();
                let hold = async {
                    let _bomb = Bomb("held");
                    std::future::pending::<()>().await;
                };
                if detached {
                    let handle = spawn(hold);
                    sleep(1.secs()).await;
                    handle.abort();
                } else {
                    set.spawn(hold);
                    sleep(1.secs()).await;
                    drop(set);
                }
                sleep(1.secs()).await;
            })
        });
        assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Panic, "held"));
        assert!(failure.location.unwrap().starts_with(file!()));
    }
}
