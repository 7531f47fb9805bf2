//! Tests of waiting for tasks and deadlines.

use std::io;

use simmach::net::TcpListener;
use simmach::prelude::*;
use simmach::task::spawn;
use simmach::time::{Instant, sleep, timeout};

#[sim_test(seeds = 5)]
async fn task_returns_a_result() -> Result {
    let task = spawn(async {
        sleep(1.secs()).await;
        5
    });
    assert_eq!(task.await?, 5);
    Ok(())
}

#[sim_test(seeds = 5)]
async fn task_returns_an_error_or_panics() {
    let failed = spawn(async { Err::<(), _>(io::ErrorKind::NotFound) });
    assert_eq!(failed.await.expect("the task should not panic"), Err(io::ErrorKind::NotFound));
    let panicked = spawn(async { assert!(Instant::now().elapsed() > 1.secs(), "out of luck") });
    let error = panicked.await.expect_err("the task should panic");
    assert!(error.is_panic() && error.to_string().contains("out of luck"), "{error}");
}

/// A timeout ends at its deadline, neither earlier nor later.
#[sim_test(seeds = 5)]
async fn task_times_out() -> Result {
    let began = Instant::now();
    let never = spawn(std::future::pending::<()>());
    assert!(timeout(3.secs(), never).await.is_err());
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    assert!(timeout(2.secs(), listener.accept()).await.is_err());
    assert_eq!(began.elapsed(), 5.secs());
    Ok(())
}

/// A task that waits for an aborted task is woken at once.
#[sim_test(seeds = 5)]
async fn task_is_aborted() {
    let began = Instant::now();
    let task = spawn(sleep(100.secs()));
    task.abort();
    assert!(task.await.expect_err("the task should be cancelled").is_cancelled());
    assert_eq!(began.elapsed(), Duration::ZERO);
}
