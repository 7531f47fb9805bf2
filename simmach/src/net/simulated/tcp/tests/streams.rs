//! Tests of two ends that a bad link joins. A stream must deliver exactly the written bytes, in
//! order, or fail. It must not deliver wrong bytes or hang silently.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;
use proptest::prelude::*;

use crate::net::simulated::tcp::config::TcpConfig;
use crate::net::simulated::tcp::segment::{Flags, Segment, Seq};
use crate::net::simulated::tcp::{CallResult, Connection, ConnectionError, Outbox, State};

const MS: u64 = 1_000_000;
/// A time in nanoseconds that is longer than any timeout of TCP.
const HANG: u64 = 5_000_000 * MS;
/// Maximum number of turns in which no byte is read. Two ends that answer each other forever would
/// take years to reach `HANG`, with more packets each time that the link duplicates one. The total
/// number of turns has no useful bound: one byte per round trip is slow, but correct.
const MOST_IDLE_TURNS: u64 = 100_000;

#[derive(Clone, Debug)]
struct Link {
    loss: f64,
    duplication: f64,
    least: u64,
    spread: u64,
}

#[derive(Clone, Debug)]
struct Case {
    seed: u64,
    link: Link,
    config: TcpConfig,
    iss: [u32; 2],
    offload: bool,
    /// Number of bytes that each end writes.
    bytes: [usize; 2],
    /// The pause of each end before a read, in nanoseconds.
    pause: [u64; 2],
}

fn cases() -> impl Strategy<Value = Case> {
    let link = (0.0..0.35_f64, 0.0..0.3_f64, 0_u64..200, 0_u64..400).prop_map(
        |(loss, duplication, least, spread)| Link {
            loss: if loss < 0.05 { 0.0 } else { loss },
            duplication: if duplication < 0.05 { 0.0 } else { duplication },
            least: least * MS,
            spread: spread * MS,
        },
    );
    let sizes = (64_u16..1500, 1_usize..5_000, 1_usize..5_000);
    let traffic = ([0_usize..20_000, 0_usize..2_000], [0_u64..200, 0_u64..50]);
    (any::<u64>(), link, sizes, any::<[u32; 2]>(), traffic, any::<[bool; 2]>()).prop_map(
        |(seed, link, (mss, send, receive), iss, (bytes, pause), [nodelay, offload])| Case {
            seed,
            config: TcpConfig::new()
                .mss(mss)
                .send_buffer(send)
                .receive_buffer(receive)
                .nodelay(nodelay),
            iss,
            offload: offload && link.loss == 0.0,
            link,
            bytes,
            pause: pause.map(|ms| ms * MS),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, max_shrink_time: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn streams_are_correct_or_fail(case in cases()) {
        let mut world = World::new(case);
        world.run();
        world.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100_000, max_shrink_time: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    #[ignore = "takes 10 s"]
    fn streams_are_correct_or_fail_a_hundred_thousand_times(case in cases()) {
        let mut world = World::new(case);
        world.run();
        world.check();
    }
}

/// Sequence numbers wrap in the middle of the stream, at each offset around the first segments.
#[test]
fn streams_cross_the_sequence_wrap_at_any_offset() {
    for before in 0..300_u32 {
        let mut world = World::new(Case {
            seed: u64::from(before),
            link: Link { loss: 0.1, duplication: 0.1, least: MS, spread: 20 * MS },
            config: TcpConfig::new().mss(64).receive_buffer(500).send_buffer(300),
            iss: [0_u32.wrapping_sub(before), 0_u32.wrapping_sub(before / 2)],
            offload: false,
            bytes: [700, 400],
            pause: [0, 0],
        });
        world.run();
        world.check();
        assert!(world.failures().is_empty(), "{before}: {:?}", world.failures());
    }
}

/// Without retransmission a lossless link still delivers everything, however it reorders and duplicates.
#[test]
fn lossless_link_needs_no_retransmission() {
    for seed in 0..200 {
        let mut world = World::new(Case {
            seed,
            link: Link { loss: 0.0, duplication: 0.2, least: MS, spread: 200 * MS },
            config: TcpConfig::new().retransmit(false).mss(100),
            iss: [1, 2],
            offload: false,
            bytes: [5_000, 3_000],
            pause: [MS, 0],
        });
        world.run();
        world.check();
        assert!(world.failures().is_empty(), "{seed}: {:?}", world.failures());
        assert_eq!(world.retransmissions(), 0);
    }
}

/// A link that delivers nothing ends in an error at both ends.
#[test]
fn dead_link_ends_in_an_error() {
    for seed in 0..20 {
        let mut world = World::new(Case {
            seed,
            link: Link { loss: 0.0, duplication: 0.0, least: MS, spread: 10 * MS },
            config: TcpConfig::new().keep_alive(Some(
                crate::net::simulated::tcp::config::KeepAlive {
                    idle: Duration::from_secs(600),
                    interval: Duration::from_secs(10),
                    probes: 3,
                },
            )),
            iss: [1, 2],
            offload: false,
            bytes: [500_000, 0],
            pause: [MS, MS],
        });
        world.dies_at = 300 * MS;
        world.run();
        assert_eq!(
            world.failures(),
            [ConnectionError::TimedOut, ConnectionError::TimedOut],
            "{seed}"
        );
    }
}

#[derive(Clone)]
enum Event {
    Arrives(usize, Segment),
    Reads(usize),
}

struct End {
    connection: Connection,
    outbox: Outbox,
    written: usize,
    read: Vec<u8>,
    ended: bool,
    closed: bool,
    failure: Option<ConnectionError>,
    may_read_at: u64,
}

struct World {
    case: Case,
    now: u64,
    dice: Rng,
    nth: u64,
    dies_at: u64,
    /// Time of the last read of a byte.
    moved_at: u64,
    /// Number of turns since then.
    idle_turns: u64,
    events: BTreeMap<(u64, u64), Event>,
    ends: Vec<End>,
}

impl World {
    fn new(case: Case) -> Self {
        let mut outbox = Outbox::default();
        let config = Rc::new(case.config.clone());
        let client =
            Connection::connect(Rc::clone(&config), config.mss, Seq(case.iss[0]), 0, &mut outbox);
        let dice = Rng::with_seed(case.seed);
        let mut world = Self {
            case,
            now: 0,
            dice,
            nth: 0,
            dies_at: u64::MAX,
            moved_at: 0,
            idle_turns: 0,
            events: BTreeMap::new(),
            ends: vec![End::new(client, outbox)],
        };
        world.flush(0);
        world
    }

    fn run(&mut self) {
        loop {
            self.idle_turns += 1;
            let rests = self.idle_turns < MOST_IDLE_TURNS;
            assert!(rests, "it never comes to rest: {}", self.describe());
            let event = self.events.keys().next().copied();
            let timer = (0..self.ends.len())
                .filter_map(|end| Some((self.ends[end].connection.deadline()?, end)))
                .min();
            match (event, timer) {
                (None, None) => break,
                (event, Some((at, end))) if event.is_none_or(|(first, _)| at <= first) => {
                    self.now = self.now.max(at);
                    let End { connection, outbox, .. } = &mut self.ends[end];
                    connection.on_timer(self.now, outbox);
                    self.run_program(end);
                }
                (Some(key), _) => {
                    self.now = key.0;
                    match self.events.remove(&key) {
                        Some(Event::Arrives(end, segment)) => self.arrives(end, segment),
                        Some(Event::Reads(end)) => self.run_program(end),
                        None => {}
                    }
                }
                (None, Some(_)) => unreachable!("a timer without an event is due first"),
            }
            assert!(self.now < self.moved_at + HANG, "it hangs: {}", self.describe());
        }
    }

    /// Whether each end has read everything, or one of them got an error.
    fn check(&self) {
        for (end, other) in [(0, 1), (1, 0)] {
            let Some(reader) = self.ends.get(end) else {
                continue;
            };
            let written = self.ends.get(other).map_or(0, |end| end.written);
            assert!(reader.read.len() <= written, "more was read than written");
            for (at, byte) in reader.read.iter().enumerate() {
                assert_eq!(*byte, content(other, at), "a wrong byte at {at}: {}", self.describe());
            }
            let complete = reader.ended && reader.read.len() == self.case.bytes[other];
            assert!(
                complete || !self.failures().is_empty() || self.was_given_up(),
                "a stream ended early without an error: {}",
                self.describe()
            );
        }
        if self.ends.len() == 1 {
            assert_eq!(self.failures(), [ConnectionError::TimedOut]);
        }
        self.check_that_nothing_is_left();
        if self.case.link.loss == 0.0 && self.dies_at == u64::MAX {
            assert!(self.failures().is_empty(), "failed without loss: {}", self.describe());
            assert!(!self.was_given_up(), "gave up without loss: {}", self.describe());
        }
    }

    /// Checks that no packet or timer remains, nor a connection that its program has closed. If a peer gave up
    /// silently, the program still holds its own end.
    fn check_that_nothing_is_left(&self) {
        assert!(self.events.is_empty(), "packets remain: {}", self.describe());
        for End { connection, outbox, closed, .. } in &self.ends {
            assert!(outbox.segments.is_empty(), "segments remain: {}", self.describe());
            assert_eq!(connection.deadline(), None, "a timer remains: {}", self.describe());
            assert!(*closed || self.was_given_up(), "it was never closed: {}", self.describe());
            let left = (connection.state(), connection.queues());
            let gone = left == (State::Closed, (0, 0));
            assert!(gone || !closed, "a connection remains: {}", self.describe());
        }
    }

    /// Whether a kernel gave up a connection that its program had closed: as on Linux, no one gets the error.
    fn was_given_up(&self) -> bool {
        self.ends.iter().any(|end| end.outbox.counters.timed_out > 0)
    }

    fn failures(&self) -> Vec<ConnectionError> {
        self.ends.iter().filter_map(|end| end.failure).collect()
    }

    fn retransmissions(&self) -> u64 {
        self.ends.iter().map(|end| end.outbox.counters.retransmissions).sum()
    }

    fn arrives(&mut self, to: usize, mut segment: Segment) {
        if to == 1 && self.ends.len() == 1 {
            if !segment.flags.has(Flags::SYN) {
                return;
            }
            let config = Rc::new(self.case.config.clone());
            let (mss, iss) = (config.mss, Seq(self.case.iss[1]));
            let mut outbox = Outbox::default();
            let server = Connection::accept(config, mss, iss, &segment, self.now, &mut outbox);
            self.ends.push(End::new(server, outbox));
            return self.run_program(1);
        }
        let End { connection, outbox, .. } = &mut self.ends[to];
        if connection.state() == State::Closed {
            outbox.segments.extend(Segment::reset_for(&segment));
        } else {
            connection.on_segment(self.now, &mut segment, outbox);
        }
        self.run_program(to);
    }

    /// Runs the program at `end`: it reads when its pause is over, writes as much as fits, and closes.
    fn run_program(&mut self, end: usize) {
        let (now, pause, bytes) = (self.now, self.case.pause[end], self.case.bytes[end]);
        let offload = self.case.offload;
        let side = &mut self.ends[end];
        if side.connection.state() == State::Established {
            side.connection.set_offload(offload);
        }
        while !side.closed && side.failure.is_none() && !side.ended && side.may_read_at <= now {
            let mut into = [0; 777];
            match side.connection.read(now, &mut into, false, &mut side.outbox) {
                CallResult::Bytes(0) => side.ended = true,
                CallResult::Bytes(n) => {
                    side.read.extend_from_slice(&into[..n]);
                    (self.moved_at, self.idle_turns) = (now, 0);
                    side.may_read_at = now + pause;
                    if pause > 0 {
                        self.nth += 1;
                        self.events.insert((now + pause, self.nth), Event::Reads(end));
                    }
                }
                CallResult::Failed(failure) => side.failure = Some(failure),
                CallResult::Wait => break,
            }
        }
        while !side.closed && side.failure.is_none() && side.written < bytes {
            let chunk: Vec<u8> =
                (side.written..bytes.min(side.written + 333)).map(|at| content(end, at)).collect();
            match side.connection.write(now, &chunk, &mut side.outbox) {
                CallResult::Bytes(n) => side.written += n,
                CallResult::Failed(failure) => side.failure = Some(failure),
                CallResult::Wait => break,
            }
        }
        let done = side.written == bytes && side.connection.state() == State::Established;
        if done || (side.written == bytes && side.connection.state() == State::CloseWait) {
            side.connection.shutdown(now, &mut side.outbox);
        }
        if !side.closed && (side.failure.is_some() || (side.ended && side.written == bytes)) {
            side.closed = true;
            side.connection.close(now, false, &mut side.outbox);
        }
        self.flush(end);
    }

    fn flush(&mut self, from: usize) {
        let to = 1 - from;
        for segment in std::mem::take(&mut self.ends[from].outbox.segments) {
            let Link { loss, duplication, least, spread } = self.case.link.clone();
            let copies = 1 + usize::from(self.dice.f64() < duplication);
            for _ in 0..copies {
                if self.dice.f64() < loss || self.now >= self.dies_at {
                    continue;
                }
                let latency = least + (self.dice.f64() * spread as f64) as u64;
                self.nth += 1;
                let key = (self.now + latency, self.nth);
                self.events.insert(key, Event::Arrives(to, segment.clone()));
            }
        }
    }

    fn describe(&self) -> String {
        let ends: Vec<_> = self
            .ends
            .iter()
            .map(|end| {
                let (state, written, read) = (end.connection.state(), end.written, end.read.len());
                let queues = end.connection.queues();
                format!(
                    "{state:?}, wrote {written}, read {read}, queues {queues:?}, {:?}",
                    end.failure
                )
            })
            .collect();
        format!("at {} ms: {ends:?}, {:?}", self.now / MS, self.case)
    }
}

impl End {
    fn new(connection: Connection, outbox: Outbox) -> Self {
        Self {
            connection,
            outbox,
            written: 0,
            read: Vec::new(),
            ended: false,
            closed: false,
            failure: None,
            may_read_at: 0,
        }
    }
}

fn content(end: usize, at: usize) -> u8 {
    (at.wrapping_mul(2_654_435_761) >> 7) as u8 ^ (end as u8 * 0x55)
}
