//! Tests code that draws randomness once per thread. std and some crates do so at a time that
//! depends on state that outlives a run. This must not change other draws. Each seed is run twice,
//! in two processes and after other seeds.
#![allow(clippy::disallowed_types, reason = "the order of std's maps is what is tested")]

use std::collections::HashMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use regex::Regex;
use simmach::prelude::*;
use simmach::task::{spawn, yield_now};
use simmach::time::sleep;

/// Puts a number into the trace by sleeping for that number of nanoseconds.
async fn shows(number: u64) {
    sleep((number % 1_000_000).nanos()).await;
}

/// A regex has caches by thread number, which differs from run to run. So it creates maps only in
/// some runs.
fn uses_a_static_regex() {
    static WORDS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^\w+\s+\d{2,3}\s").unwrap());
    assert!(WORDS.is_match("seed 100 "));
}

/// Like the regex: creates a map in one of four calls, while a run makes three calls.
fn makes_a_map_now_and_then() {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    if CALLS.fetch_add(1, Ordering::Relaxed).is_multiple_of(4) {
        order_of_a_map();
    }
}

fn order_of_a_map() -> u64 {
    let map: HashMap<u64, ()> = (0..30).map(|key| (key, ())).collect();
    map.keys().fold(0, |order, key| order.wrapping_mul(31).wrapping_add(*key))
}

fn entropy() -> u64 {
    rand::random::<u64>() ^ uuid::Uuid::new_v4().as_u64_pair().0
}

/// Draws a number on drop, and sends it.
struct DrawsWhenDropped(fn(), fn() -> u64, Option<futures::channel::oneshot::Sender<u64>>);

impl Drop for DrawsWhenDropped {
    fn drop(&mut self) {
        (self.0)();
        if let Some(sender) = self.2.take() {
            // The receiver may be gone.
            let _ = sender.send((self.1)());
        }
    }
}

/// Draws in the body, in a spawned task, and in the destructor of an aborted task.
async fn everywhere(before: fn(), draw: fn() -> u64) {
    before();
    shows(draw()).await;
    let spawned = spawn(async move {
        before();
        draw()
    });
    shows(spawned.await.unwrap()).await;
    let (sender, receiver) = futures::channel::oneshot::channel();
    let dropped = DrawsWhenDropped(before, draw, Some(sender));
    let owner = spawn(async move {
        let _dropped = dropped;
        std::future::pending::<()>().await;
    });
    yield_now().await;
    owner.abort();
    shows(receiver.await.unwrap()).await;
}

#[sim_test(seeds = 40, check = true)]
async fn regex_shifts_no_entropy() {
    everywhere(uses_a_static_regex, entropy).await;
}

#[sim_test(seeds = 40, check = true)]
async fn map_shifts_no_entropy() {
    everywhere(makes_a_map_now_and_then, entropy).await;
}

/// The orders of maps that are made in another poll.
#[cfg(target_os = "linux")]
async fn orders_of_maps(before: fn()) {
    before();
    yield_now().await;
    shows(order_of_a_map()).await;
    let spawned = spawn(async move {
        let order = order_of_a_map();
        before();
        yield_now().await;
        order.wrapping_add(order_of_a_map())
    });
    shows(spawned.await.unwrap()).await;
    let (sender, receiver) = futures::channel::oneshot::channel();
    let dropped = DrawsWhenDropped(|| {}, order_of_a_map, Some(sender));
    let owner = spawn(async move {
        let _dropped = dropped;
        before();
        std::future::pending::<()>().await;
    });
    yield_now().await;
    owner.abort();
    shows(receiver.await.unwrap()).await;
}

#[cfg(target_os = "linux")]
#[sim_test(seeds = 40, check = true)]
async fn regex_keeps_the_order_of_maps_in_other_polls() {
    orders_of_maps(uses_a_static_regex).await;
}

#[cfg(target_os = "linux")]
#[sim_test(seeds = 40, check = true)]
async fn map_keeps_the_order_of_maps_in_other_polls() {
    orders_of_maps(makes_a_map_now_and_then).await;
}
