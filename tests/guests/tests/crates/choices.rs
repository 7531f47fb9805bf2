//! Tests that random choices of tokio and futures are a function of the run, in guests and in
//! native processes. In native processes, `StreamMap` is an exception.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use futures::StreamExt;
use simmach::prelude::*;
use simmach::program::{Program, Scenario};
use tokio_stream::StreamMap;

async fn select_of_tokio() -> usize {
    tokio::select! {
        () = async {} => 0,
        () = async {} => 1,
        () = async {} => 2,
        () = async {} => 3,
    }
}

async fn select_of_futures() -> usize {
    let branch = || Box::pin(futures::FutureExt::fuse(async {}));
    let (mut first, mut second, mut third) = (branch(), branch(), branch());
    futures::select! {
        () = first => 0,
        () = second => 1,
        () = third => 2,
    }
}

async fn stream_map() -> usize {
    let streams = (0..4_usize).map(|n| (n, futures::stream::iter([n])));
    let mut map: StreamMap<_, _> = streams.collect();
    map.next().await.map_or(0, |(key, _)| key)
}

/// Returns which receiver of a watch channel was woken first.
async fn watch() -> usize {
    let (send, receive) = tokio::sync::watch::channel(());
    let receivers = (0..4_usize).map(|n| {
        let mut receive = receive.clone();
        Box::pin(async move {
            receive.changed().await.expect("the sender lives");
            n
        })
    });
    let mut receivers: futures::stream::FuturesUnordered<_> = receivers.collect();
    assert!(futures::poll!(receivers.next()).is_pending());
    send.send_replace(());
    receivers.next().await.unwrap_or(0)
}

fn program(
    choose: impl AsyncFn() -> usize + Copy + Send + Sync + 'static,
    is_native: bool,
) -> Program {
    Program::new(move || {
        let body = async move |sim: Sim| {
            let mut choices = String::new();
            for _ in 0..24 {
                choices.push_str(&choose().await.to_string());
            }
            sim.fail("choices", choices);
        };
        let scenario = Scenario::new();
        let scenario = if is_native { scenario.native() } else { scenario };
        scenario.body(body)
    })
    .log(false)
}

/// Programs that run beside each other in one process share tokio's counters.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[track_caller]
fn is_a_function_of_the_run(
    choose: impl AsyncFn() -> usize + Copy + Send + Sync + 'static,
    kinds: &[bool],
) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for is_native in kinds.iter().copied() {
        let program = program(choose, is_native);
        let choices = |seed: u64| program.run(seed).failure().unwrap_or_default().to_owned();
        let first: Vec<String> = (0..10).map(choices).collect();
        let again: Vec<String> = (0..10).rev().map(choices).collect();
        assert!(first.iter().eq(again.iter().rev()), "{first:#?} {again:#?}");
        let different: BTreeSet<&String> = first.iter().collect();
        assert!(different.len() >= 9, "native: {is_native}: {first:#?}");
    }
}

#[test]
fn select_of_tokio_is_a_function_of_the_run() {
    is_a_function_of_the_run(select_of_tokio, &[false, true]);
}

#[test]
fn select_of_futures_is_a_function_of_the_run() {
    is_a_function_of_the_run(select_of_futures, &[false, true]);
}

#[test]
fn stream_map_is_a_function_of_the_run() {
    is_a_function_of_the_run(stream_map, &[false]);
}

#[test]
fn watch_is_a_function_of_the_run() {
    is_a_function_of_the_run(watch, &[false, true]);
}
