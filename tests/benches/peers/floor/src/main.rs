//! The floor: the cases written by hand, as a bare loop. The loop takes events from a heap by time,
//! and copies each message in and out. There are no tasks, wakers, connections or trace: the floor
//! does only what every simulation must do.

#[path = "../../common/measure.rs"]
mod measure;
#[path = "../../common/sizes.rs"]
mod sizes;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::black_box;

use measure::{Counting, measured};
use sizes::*;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MESSAGE: usize = 64;
const CHUNK: usize = 64 * 1024;
const MILLI: u64 = 1_000_000;

fn main() {
    let (case, n) = measure::case();
    match case.as_str() {
        "a" => measured(|| round_trips(ROUND_TRIPS, 0)),
        "a-latency" => measured(|| round_trips(ROUND_TRIPS, 100_000)),
        "b" => measured(|| sleepers(n, 1, SECONDS * 1_000 * MILLI)),
        "b2" => measured(|| sleepers(SLEEPERS, SECONDS * 100, 10 * MILLI)),
        "c" => measured(requests),
        "d" => measured(|| runs(0)),
        "d-latency" => measured(|| runs(100_000)),
        "e" => measured(|| ring(RING, PASSES)),
        "g" => measured(bulk),
        "h" => measured(|| ring(n, PASSES)),
        other => panic!("no such case: {other}"),
    }
}

/// Events by (time, sequence number), each with the slot of a message.
#[derive(Default)]
struct Events {
    heap: BinaryHeap<Reverse<(u64, u64, u32)>>,
    now: u64,
    sequence: u64,
    random: u64,
}

impl Events {
    fn put(&mut self, delay: u64, slot: u32) {
        self.sequence += 1;
        self.heap.push(Reverse((self.now + delay, self.sequence, slot)));
    }

    fn take(&mut self) -> Option<u32> {
        let Reverse((at, _, slot)) = self.heap.pop()?;
        self.now = at;
        Some(slot)
    }

    /// A random delay around `mean`.
    fn drawn(&mut self, mean: u64) -> u64 {
        self.random = self.random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        if mean == 0 { 0 } else { mean / 2 + (self.random >> 33) % mean }
    }
}

fn round_trips(count: u64, latency: u64) {
    let mut events = Events::default();
    let (mut wire, mut inbox) = ([[1u8; MESSAGE]; 2], [[0u8; MESSAGE]; 2]);
    events.put(latency, 0);
    let mut left = 2 * count;
    while let Some(slot) = events.take() {
        inbox[slot as usize].copy_from_slice(black_box(&wire[slot as usize]));
        left -= 1;
        if left == 0 {
            break;
        }
        let other = 1 - slot;
        wire[other as usize].copy_from_slice(black_box(&inbox[slot as usize]));
        let delay = events.drawn(latency);
        events.put(delay, other);
    }
    black_box(inbox);
}

fn sleepers(count: u64, times: u64, pause: u64) {
    let mut events = Events::default();
    let mut left = vec![times; count as usize];
    (0..count).for_each(|slot| events.put(pause, slot as u32));
    while let Some(slot) = events.take() {
        left[slot as usize] -= 1;
        if left[slot as usize] > 0 {
            events.put(pause, slot);
        }
    }
}

fn requests() {
    let mut events = Events::default();
    let clients = CLIENTS as usize;
    let (mut wire, mut inbox) = (vec![[1u8; MESSAGE]; clients], [0u8; MESSAGE]);
    // Three events a request: there, back, and the pause.
    let mut left = vec![3 * REQUESTS; clients];
    (0..clients).for_each(|slot| events.put(0, slot as u32));
    while let Some(slot) = events.take() {
        let (wire, left) = (&mut wire[slot as usize], &mut left[slot as usize]);
        *left -= 1;
        match *left {
            0 => {}
            left if left % 3 == 0 => events.put(10 * MILLI, slot),
            _ => {
                inbox.copy_from_slice(black_box(wire));
                wire.copy_from_slice(black_box(&inbox));
                let delay = events.drawn(100_000);
                events.put(delay, slot);
            }
        }
    }
}

fn runs(latency: u64) {
    for _ in 0..RUNS {
        let run = std::thread::spawn(move || round_trips(FEW, latency));
        run.join().expect("it does not panic");
    }
}

fn ring(machines: u64, passes: u64) {
    let mut events = Events::default();
    let mut inbox = vec![[0u8; MESSAGE]; machines as usize];
    let mut wire = [1u8; MESSAGE];
    events.put(100_000, 0);
    for _ in 0..passes {
        let slot = events.take().expect("one is on its way");
        inbox[slot as usize].copy_from_slice(black_box(&wire));
        wire.copy_from_slice(black_box(&inbox[slot as usize]));
        let delay = events.drawn(100_000);
        events.put(delay, (slot + 1) % machines as u32);
    }
    black_box(inbox);
}

fn bulk() {
    let mut events = Events::default();
    let (sent, mut wire, mut inbox) = (vec![7u8; CHUNK], vec![0u8; CHUNK], vec![0u8; CHUNK]);
    for _ in 0..BULK / CHUNK as u64 {
        wire.copy_from_slice(black_box(&sent));
        events.put(100_000, 0);
        black_box(events.take());
        inbox.copy_from_slice(black_box(&wire));
    }
    black_box(inbox);
}
