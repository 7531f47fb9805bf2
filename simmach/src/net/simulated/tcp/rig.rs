//! The test rig of TCP: timed scripts against one end of a connection, like those of packetdrill.
//!
//! Each line is one step: a time in milliseconds, then what happens. `>` is a segment that must be
//! sent at exactly that time, and `<` is a segment that arrives. Other steps are calls and their
//! expected results. Sequence numbers are relative. Both ends start just below the largest sequence
//! number, so that every script passes the wraparound.
//!
//! ```text
//! 0    >  SYN 0
//! 50   <  SYN+ACK 0 ack 1
//! 50   >  ACK 1 ack 1
//! 60   write hello
//! 60   >  PSH+ACK 1 ack 1 'hello'
//! ```

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::rc::Rc;

use crate::net::simulated::tcp::config::TcpConfig;
use crate::net::simulated::tcp::payload::Payload;
use crate::net::simulated::tcp::segment::{Flags, Segment, Seq, SynOptions};
use crate::net::simulated::tcp::{CallResult, Connection, ConnectionError, Outbox, State};

const OURS: Seq = Seq(u32::MAX - 2);
const THEIRS: Seq = Seq(u32::MAX - 1);
const MS: u64 = 1_000_000;

/// Runs a script against a connection that is opened at time 0.
pub(super) fn client(config: &TcpConfig, script: &str) {
    let mut outbox = Outbox::default();
    let connection = Connection::connect(Rc::new(config.clone()), config.mss, OURS, 0, &mut outbox);
    Script::new(connection, outbox).run(script);
}

/// Runs a script against a connection that is accepted at time 0, from the peer's `SYN 0`.
pub(super) fn server(config: &TcpConfig, script: &str) {
    let mut outbox = Outbox::default();
    let syn = parse("SYN 0", THEIRS, OURS).0;
    let config = Rc::new(config.clone());
    let mss = config.mss;
    let connection = Connection::accept(config, mss, OURS, &syn, 0, &mut outbox);
    Script::new(connection, outbox).run(script);
}

struct Script {
    connection: Connection,
    outbox: Outbox,
    now: u64,
    sent: VecDeque<(u64, Segment)>,
    line: String,
}

impl Script {
    fn new(connection: Connection, outbox: Outbox) -> Self {
        Self { connection, outbox, now: 0, sent: VecDeque::new(), line: String::new() }
    }

    fn run(mut self, script: &str) {
        self.collect();
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.line = line.to_owned();
            let (at, step) = line.split_once(char::is_whitespace).expect("a time and a step");
            let at = (at.parse::<f64>().expect("a time in milliseconds") * MS as f64) as u64;
            self.pass_until(at);
            self.step(step.trim());
            self.collect();
        }
        self.line = "the end".to_owned();
        assert!(self.sent.is_empty(), "sent without being expected: {}", self.pending());
    }

    fn pass_until(&mut self, at: u64) {
        while let Some(deadline) = self.connection.deadline().filter(|deadline| *deadline <= at) {
            self.now = self.now.max(deadline);
            self.connection.on_timer(self.now, &mut self.outbox);
            self.collect();
        }
        self.now = at;
    }

    /// Executes one step of a script. This function is long because it is the table of the script's verbs.
    fn step(&mut self, step: &str) {
        let (verb, rest) = step.split_once(' ').unwrap_or((step, ""));
        let (now, out) = (self.now, &mut self.outbox);
        match verb {
            ">" => self.expect(rest.trim()),
            "<" => {
                let (mut segment, _) = parse(rest.trim(), THEIRS, OURS);
                self.connection.on_segment(now, &mut segment, out);
            }
            "nothing" => {
                assert!(self.sent.is_empty(), "{}: sent {}", self.line, self.pending());
            }
            "write" => {
                let data = contents(rest);
                let ready = self.connection.write(now, &data, out);
                assert_eq!(ready, CallResult::Bytes(data.len()), "{}", self.line);
            }
            "full" => {
                assert_eq!(
                    self.connection.write(now, b"x", out),
                    CallResult::Wait,
                    "{}",
                    self.line
                );
            }
            "read" => {
                let expected = contents(rest);
                let mut into = vec![0; expected.len()];
                let ready = self.connection.read(now, &mut into, false, out);
                assert_eq!(ready, CallResult::Bytes(expected.len()), "{}", self.line);
                assert_eq!(into, expected, "{}", self.line);
            }
            "wait" => {
                let ready = self.connection.read(now, &mut [0; 8], false, out);
                assert_eq!(ready, CallResult::Wait, "{}", self.line);
            }
            "eof" => {
                let ready = self.connection.read(now, &mut [0; 8], false, out);
                assert_eq!(ready, CallResult::Bytes(0), "{}", self.line);
            }
            "read-fails" | "write-fails" => {
                let expected = match rest {
                    "Refused" => ConnectionError::Refused,
                    "Reset" => ConnectionError::Reset,
                    "BrokenPipe" => ConnectionError::BrokenPipe,
                    "TimedOut" => ConnectionError::TimedOut,
                    other => panic!("no failure {other}"),
                };
                let ready = if verb == "read-fails" {
                    self.connection.read(now, &mut [0; 8], false, out)
                } else {
                    self.connection.write(now, b"x", out)
                };
                assert_eq!(ready, CallResult::Failed(expected), "{}", self.line);
            }
            "shutdown" => assert!(self.connection.shutdown(now, out), "{}", self.line),
            "close" => self.connection.close(now, false, out),
            "close-hard" => self.connection.close(now, true, out),
            "nodelay" => self.connection.set_nodelay(true, now, out),
            "quickack" => self.connection.set_quick_ack(true, now, out),
            "quickack-off" => self.connection.set_quick_ack(false, now, out),
            "state" => assert_eq!(self.connection.state(), state(rest), "{}", self.line),
            "writable" => assert!(
                self.connection.take_events().has(super::Events::WRITABLE),
                "{}: no such event",
                self.line
            ),
            "quiet" => assert_eq!(self.connection.deadline(), None, "{}", self.line),
            other => panic!("no step {other}"),
        }
    }

    fn expect(&mut self, text: &str) {
        let (expected, window) = parse(text, OURS, THEIRS);
        let Some((at, sent)) = self.sent.pop_front() else {
            panic!("{}: nothing was sent", self.line);
        };
        assert_eq!(at, self.now, "{}: sent {} at {} ms", self.line, show(&sent), at as f64 / 1e6);
        let mut seen = sent.clone();
        seen.transmission = expected.transmission;
        seen.options = expected.options;
        if window.is_none() {
            seen.window = expected.window;
        }
        if !expected.flags.has(Flags::PSH) && seen.flags.has(Flags::PSH) {
            seen.flags =
                if seen.flags.has(Flags::FIN) { Flags::FIN.with(Flags::ACK) } else { Flags::ACK };
        }
        assert_eq!(show(&seen), show(&expected), "{}: sent {}", self.line, show(&sent));
    }

    fn collect(&mut self) {
        let now = self.now;
        self.sent.extend(self.outbox.segments.drain(..).map(|segment| (now, segment)));
    }

    fn pending(&self) -> String {
        self.sent.iter().fold(String::new(), |mut text, (at, segment)| {
            let _ = write!(text, "\n  {} {}", *at as f64 / 1e6, show(segment));
            text
        })
    }
}

fn show(segment: &Segment) -> String {
    let ack = if segment.flags.has(Flags::ACK) { segment.ack.since(THEIRS) } else { 0 };
    format!(
        "{} {} ack {ack} win {} {:?}",
        segment.flags,
        segment.seq.since(OURS),
        segment.window,
        String::from_utf8_lossy(&segment.payload)
    )
}

/// Parses `FLAGS seq [ack n] [win n] ['payload' | len n] [bare]`. Numbers are relative to `base`, acknowledgements to
/// `other`.
fn parse(text: &str, base: Seq, other: Seq) -> (Segment, Option<u32>) {
    let mut words = text.split_whitespace();
    let flags = words.next().expect("flags").split('+').fold(Flags::default(), |flags, name| {
        flags.with(match name {
            "SYN" => Flags::SYN,
            "ACK" => Flags::ACK,
            "FIN" => Flags::FIN,
            "RST" => Flags::RST,
            "PSH" => Flags::PSH,
            other => panic!("no flag {other}"),
        })
    });
    let number = |word: Option<&str>| -> i64 {
        word.expect("a number").parse().unwrap_or_else(|_| panic!("no number in {text}"))
    };
    let seq = Seq(base.0.wrapping_add(number(words.next()) as u32));
    let (mut ack, mut window, mut payload) = (Seq(0), None, Payload::EMPTY);
    let mut options = Some(SynOptions { mss: 1000, window_scale: Some(0) });
    while let Some(word) = words.next() {
        match word {
            "ack" => ack = Seq(other.0.wrapping_add(number(words.next()) as u32)),
            "win" => window = Some(number(words.next()) as u32),
            "len" => payload = filler(number(words.next()) as usize).into(),
            "bare" => options = None,
            quoted => payload = Payload::from(quoted.trim_matches('\'').as_bytes()),
        }
    }
    let segment = Segment {
        seq,
        ack,
        window: window.unwrap_or(60_000),
        flags,
        options: options.filter(|_| flags.has(Flags::SYN)),
        transmission: 0,
        payload,
    };
    (segment, window)
}

/// Parses `hello`, or `*1000` for 1,000 bytes.
fn contents(text: &str) -> Vec<u8> {
    match text.trim().strip_prefix('*') {
        Some(len) => filler(len.parse().expect("a number of bytes")),
        None => text.trim().as_bytes().to_vec(),
    }
}

fn filler(len: usize) -> Vec<u8> {
    vec![b'.'; len]
}

fn state(name: &str) -> State {
    match name {
        "SynSent" => State::SynSent,
        "SynReceived" => State::SynReceived,
        "Established" => State::Established,
        "FinWait1" => State::FinWait1,
        "FinWait2" => State::FinWait2,
        "CloseWait" => State::CloseWait,
        "Closing" => State::Closing,
        "LastAck" => State::LastAck,
        "TimeWait" => State::TimeWait,
        "Closed" => State::Closed,
        other => panic!("no state {other}"),
    }
}
