//! Tests that panics in tokio's tasks fail the run, unless the program catches them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures::FutureExt;
use simmach::prelude::*;
use tokio::task::{JoinSet, LocalSet, spawn_blocking, spawn_local};

async fn task_panics() {
    tokio::spawn(async {
        tokio::time::sleep(10.millis()).await;
        panic!("a task panics");
    });
    std::future::pending().await
}

async fn local_task_panics() {
    let local = LocalSet::new();
    local.spawn_local(async { panic!("a local task panics") });
    local.run_until(std::future::pending()).await
}

async fn blocking_task_panics() {
    spawn_blocking(|| panic!("a blocking task panics"));
    std::future::pending().await
}

async fn wait() {
    tokio::time::sleep(1.secs()).await;
}

#[sim_test(seeds = 5, machines("server.zone" => task_panics), expect_failure)]
async fn panic_of_a_task_fails_the_run() {
    wait().await;
}

#[sim_test(seeds = 5, machines("server.zone" => local_task_panics), expect_failure)]
async fn panic_of_a_local_task_fails_the_run() {
    wait().await;
}

#[sim_test(seeds = 5, machines("server.zone" => blocking_task_panics), expect_failure)]
async fn panic_of_a_blocking_task_fails_the_run() {
    wait().await;
}

#[sim_test(seeds = 5, expect_failure)]
async fn panic_of_the_bodys_task_fails_the_run() {
    let mut tasks = JoinSet::new();
    tasks.spawn(async { panic!("a task of the body panics") });
    wait().await;
}

/// The process crashes and is started again, as its policy says.
#[sim_test(
    seeds = 20,
    check = true,
    topology = Topology::new()
        .machine("server.zone", task_panics)
        .on_exit("server.zone", OnExit::Restart(100.millis())),
)]
async fn policy_tolerates_panics_of_tasks() {
    wait().await;
}

fn fails(text: &str) {
    panic!("{text}");
}

#[sim_test(seeds = 20, check = true)]
async fn caught_panics_do_not_fail_the_run() -> Result {
    // By code of the program, of a crate, and in the main future.
    let own = tokio::spawn(async { catch_unwind(|| fails("in a closure")).is_err() });
    let of_crate = AssertUnwindSafe(async { fails("in a future") }).catch_unwind();
    let of_crate = tokio::spawn(async { of_crate.await.is_err() });
    let blocking = spawn_blocking(|| catch_unwind(|| fails("on a thread")).is_err());
    let local = LocalSet::new();
    let local = local.run_until(async {
        spawn_local(async { catch_unwind(|| fails("in a local task")).is_err() }).await
    });
    assert!(own.await? && of_crate.await? && blocking.await? && local.await?);
    assert!(catch_unwind(|| fails("in the main future")).is_err());
    Ok(())
}
