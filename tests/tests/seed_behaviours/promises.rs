//! What waits for something to come: a task's result, a deadline.

use std::io;

use simmach::net::TcpListener;
use simmach::prelude::*;
use simmach::task::spawn;
use simmach::time::{Instant, sleep, timeout};

#[sim_test(seeds = 5)]
async fn a_promise_has_a_result() -> Result {
    let promise = spawn(async {
        sleep(1.secs()).await;
        5
    });
    assert_eq!(promise.await?, 5);
    Ok(())
}

#[sim_test(seeds = 5)]
async fn a_promise_has_an_error() {
    let failed = spawn(async { Err::<(), _>(io::ErrorKind::NotFound) });
    assert_eq!(failed.await.expect("it has not panicked"), Err(io::ErrorKind::NotFound));
    let panicked = spawn(async { assert!(Instant::now().elapsed() > 1.secs(), "out of luck") });
    let error = panicked.await.expect_err("it has panicked");
    assert!(error.is_panic() && error.to_string().contains("out of luck"), "{error}");
}

/// At the deadline, neither earlier nor later.
#[sim_test(seeds = 5)]
async fn a_promise_times_out() -> Result {
    let began = Instant::now();
    let never = spawn(std::future::pending::<()>());
    assert!(timeout(3.secs(), never).await.is_err());
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    assert!(timeout(2.secs(), listener.accept()).await.is_err());
    assert_eq!(began.elapsed(), 5.secs());
    Ok(())
}

/// Who waits for it hears of it now, not when it would have been kept.
#[sim_test(seeds = 5)]
async fn a_promise_is_cancelled() {
    let began = Instant::now();
    let promise = spawn(sleep(100.secs()));
    promise.abort();
    assert!(promise.await.expect_err("it is cancelled").is_cancelled());
    assert_eq!(began.elapsed(), Duration::ZERO);
}
