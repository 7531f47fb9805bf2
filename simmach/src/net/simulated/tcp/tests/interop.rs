//! Tests this TCP against smoltcp's, with real IP packets over a link that loses, duplicates and
//! reorders them. Every byte must arrive in both directions, and both ends must close in order.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{
    HardwareAddress, IpAddress, IpCidr, IpProtocol, Ipv4Packet, TcpOption, TcpPacket,
};

use crate::net::simulated::link::packet_capture::octets;
use crate::net::simulated::tcp::config::TcpConfig;
use crate::net::simulated::tcp::payload::Payload;
use crate::net::simulated::tcp::segment::{Flags, Segment, Seq, SynOptions};
use crate::net::simulated::tcp::{CallResult, Connection, Outbox, State};

const MS: u64 = 1_000_000;
const MSS: u16 = 1460;
const PORT: u16 = 443;
const FROM: u16 = 50_000;
/// Maximum number of turns in which no byte is read. No case needs nearly as many.
const MOST_IDLE_TURNS: u32 = 200_000;

#[derive(Clone, Debug)]
struct Case {
    seed: u64,
    loss: f64,
    duplication: f64,
    least: u64,
    spread: u64,
    /// Whether this TCP connects; otherwise it accepts.
    connects: bool,
    /// Which end waits to shut down until it has read everything.
    waits: [bool; 2],
    bytes: [usize; 2],
    buffers: [usize; 2],
    iss: u32,
}

/// A few cases, in every run of the tests.
#[test]
fn transfers_with_smoltcp_are_complete() {
    (0..400).for_each(transfer);
}

#[test]
#[ignore = "takes 10 s"]
fn transfers_with_smoltcp_are_complete_ten_thousand_times() {
    (0..10_000).for_each(transfer);
}

fn transfer(seed: u64) {
    let mut dice = Rng::with_seed(seed);
    let lossy = !seed.is_multiple_of(4);
    let case = Case {
        seed,
        loss: if lossy { dice.f64() * 0.3 } else { 0.0 },
        duplication: if seed.is_multiple_of(3) { dice.f64() * 0.2 } else { 0.0 },
        least: dice.u64(..100) * MS,
        // Each packet has its own latency, so packets overtake each other.
        spread: if seed.is_multiple_of(5) { 0 } else { dice.u64(..100) * MS },
        connects: seed.is_multiple_of(2),
        // smoltcp 0.12 disarms its retransmission timer with any acknowledgement once it has received a FIN. So with
        // losses it must shut down first; without losses either may, or both at once.
        waits: if lossy {
            [true, false]
        } else {
            [[true, false], [false, true], [false; 2]][dice.u64(..3) as usize]
        },
        bytes: [dice.u64(..20_000) as usize, dice.u64(..20_000) as usize],
        buffers: [1_000 + dice.u64(..60_000) as usize, 1_000 + dice.u64(..60_000) as usize],
        iss: if seed.is_multiple_of(7) {
            u32::MAX - dice.u64(..20_000) as u32
        } else {
            dice.u32(..)
        },
    };
    let mut world = World::new(case, dice);
    world.run();
}

/// State of one end's program.
#[derive(Debug, Default)]
struct Program {
    written: usize,
    read: Vec<u8>,
    ended: bool,
    closed: bool,
}

struct World {
    case: Case,
    dice: Rng,
    now: u64,
    nth: u64,
    /// Packets in flight: whether to smoltcp, and their bytes.
    wire: BTreeMap<(u64, u64), (bool, Vec<u8>)>,
    ours: Option<Connection>,
    outbox: Outbox,
    scale: (u8, u8),
    own: Program,
    interface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    device: Queue,
    other: Program,
}

impl World {
    fn new(case: Case, dice: Rng) -> Self {
        let mut device = Queue::default();
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = case.seed;
        let mut interface = Interface::new(config, &mut device, Instant::ZERO);
        interface.update_ip_addrs(|all| {
            all.push(IpCidr::new(IpAddress::v4(10, 0, 0, 2), 24)).expect("room for an address");
        });
        let buffer = |len| tcp::SocketBuffer::new(vec![0; len]);
        let mut socket = tcp::Socket::new(buffer(case.buffers[0]), buffer(case.buffers[1]));
        let (mut ours, mut outbox) = (None, Outbox::default());
        if case.connects {
            socket.listen(PORT).expect("it is closed");
            let config = Rc::new(config_of(&case));
            ours = Some(Connection::connect(config, MSS, Seq(case.iss), 0, &mut outbox));
        } else {
            let remote = (IpAddress::v4(10, 0, 0, 1), PORT);
            socket.connect(interface.context(), remote, FROM).expect("it is closed");
        }
        let mut sockets = SocketSet::new(Vec::new());
        let handle = sockets.add(socket);
        Self {
            case,
            dice,
            now: 0,
            nth: 0,
            wire: BTreeMap::new(),
            ours,
            outbox,
            scale: (0, 0),
            own: Program::default(),
            interface,
            sockets,
            handle,
            device,
            other: Program::default(),
        }
    }

    fn run(&mut self) {
        let (mut read, mut idle_turns) = (0, 0);
        loop {
            self.ours_acts();
            self.other_acts();
            let read_by_now = self.own.read.len() + self.other.read.len();
            idle_turns = if read_by_now > read { 0 } else { idle_turns + 1 };
            read = read_by_now;
            assert!(idle_turns < MOST_IDLE_TURNS, "it never comes to rest: {}", self.describe());
            if self.is_over() {
                break;
            }
            let Some(at) = self.next_event() else { panic!("it hangs: {}", self.describe()) };
            self.pass_until(at);
        }
        for (program, other) in [(&self.own, 1), (&self.other, 0)] {
            assert_eq!(program.read.len(), self.case.bytes[other], "{}", self.describe());
            let right =
                program.read.iter().enumerate().all(|(at, byte)| *byte == content(other, at));
            assert!(right, "wrong bytes: {}", self.describe());
        }
        self.assert_nothing_is_left();
    }

    /// The time of the next event: a timer of either TCP, or a packet.
    fn next_event(&mut self) -> Option<u64> {
        let deadline = self.ours.as_ref().and_then(Connection::deadline);
        let packet = self.wire.keys().next().map(|(at, _)| *at);
        let poll = self.interface.poll_at(self.instant(), &self.sockets);
        let poll = poll.map(|at| (at.total_micros() as u64 * 1_000).max(self.now));
        [deadline, packet, poll].into_iter().flatten().min()
    }

    fn pass_until(&mut self, at: u64) {
        // smoltcp counts in microseconds.
        self.now = self.now.max(at.next_multiple_of(1_000));
        while let Some(entry) = self.wire.first_entry()
            && entry.key().0 <= self.now
        {
            let (to_other, octets) = entry.remove();
            if to_other {
                self.device.arrived.push_back(octets);
            } else {
                self.arrives(&octets);
            }
        }
        if let Some(ours) = &mut self.ours
            && ours.deadline().is_some_and(|at| at <= self.now)
        {
            ours.on_timer(self.now, &mut self.outbox);
        }
    }

    /// After TIME-WAIT, neither TCP has any connection, timer, byte or packet.
    fn assert_nothing_is_left(&mut self) {
        let mut turns = 0;
        while let Some(at) = self.next_event() {
            self.pass_until(at);
            self.ours_acts();
            self.other_acts();
            turns += 1;
            assert!(turns < MOST_IDLE_TURNS, "not idle: {}", self.describe());
        }
        let ours = self.ours.as_ref().expect("it was opened");
        assert_eq!((ours.state(), ours.queues()), (State::Closed, (0, 0)), "{}", self.describe());
        let other = self.sockets.get::<tcp::Socket<'_>>(self.handle);
        let queues = (other.recv_queue(), other.send_queue());
        assert_eq!((other.state(), queues), (tcp::State::Closed, (0, 0)), "{}", self.describe());
        assert!(self.device.arrived.is_empty() && self.wire.is_empty(), "{}", self.describe());
    }

    /// Whether both ends have written and read everything.
    fn is_over(&mut self) -> bool {
        let ours = self.ours.as_ref().map(Connection::state);
        let other = self.sockets.get::<tcp::Socket<'_>>(self.handle).state();
        matches!(ours, Some(State::Closed | State::TimeWait))
            && matches!(other, tcp::State::Closed | tcp::State::TimeWait)
    }

    fn ours_acts(&mut self) {
        let (now, bytes) = (self.now, self.case.bytes[0]);
        if let Some(ours) = &mut self.ours {
            let (own, out) = (&mut self.own, &mut self.outbox);
            while !own.ended {
                let mut into = [0; 777];
                match ours.read(now, &mut into, false, out) {
                    CallResult::Bytes(0) => own.ended = true,
                    CallResult::Bytes(n) => own.read.extend_from_slice(&into[..n]),
                    CallResult::Wait => break,
                    CallResult::Failed(why) => panic!("it failed ({why:?}): {}", self.describe()),
                }
            }
            while own.written < bytes {
                let more = own.written..bytes.min(own.written + 1_000);
                let chunk: Vec<u8> = more.map(|at| content(0, at)).collect();
                match ours.write(now, &chunk, out) {
                    CallResult::Bytes(n) => own.written += n,
                    CallResult::Wait => break,
                    CallResult::Failed(why) => panic!("it failed ({why:?}): {}", self.describe()),
                }
            }
            let may_shut = own.ended || !self.case.waits[0];
            if may_shut
                && own.written == bytes
                && matches!(ours.state(), State::Established | State::CloseWait)
            {
                ours.shutdown(now, out);
            }
            if own.ended && own.written == bytes && !own.closed {
                own.closed = true;
                ours.close(now, false, out);
            }
        }
        for segment in std::mem::take(&mut self.outbox.segments) {
            assert!(!segment.flags.has(Flags::RST) || self.all_was_said(), "{}", self.describe());
            let scale = if segment.flags.has(Flags::SYN) { 0 } else { self.scale.0 };
            let octets = octets::tcp(self.here(), self.there(), 0, &segment, scale);
            self.send(true, octets);
        }
    }

    fn other_acts(&mut self) {
        let (now, bytes) = (self.instant(), self.case.bytes[1]);
        self.interface.poll(now, &mut self.device, &mut self.sockets);
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(self.handle);
        let other = &mut self.other;
        while socket.can_recv() {
            let more = socket.recv(|data| (data.len(), data.to_vec())).expect("it can");
            other.read.extend(more);
        }
        other.ended |= !socket.may_recv() && socket.state() != tcp::State::SynSent;
        while other.written < bytes && socket.can_send() {
            let more = other.written..bytes.min(other.written + 1_000);
            let chunk: Vec<u8> = more.map(|at| content(1, at)).collect();
            other.written += socket.send_slice(&chunk).expect("it can");
        }
        let may_close = other.ended || !self.case.waits[1];
        if may_close && other.written == bytes && socket.may_send() && !other.closed {
            other.closed = true;
            socket.close();
        }
        self.interface.poll(now, &mut self.device, &mut self.sockets);
        for octets in std::mem::take(&mut self.device.sent) {
            self.send(false, octets);
        }
    }

    fn send(&mut self, to_other: bool, octets: Vec<u8>) {
        let copies = 1 + u32::from(self.dice.f64() < self.case.duplication);
        for _ in 0..copies {
            if self.dice.f64() < self.case.loss {
                continue;
            }
            let spread = (self.dice.f64() * self.case.spread as f64) as u64;
            self.nth += 1;
            let at = self.now + self.case.least + spread;
            self.wire.insert((at, self.nth), (to_other, octets.clone()));
        }
    }

    /// Delivers a packet of smoltcp, parsed with smoltcp's own parser.
    fn arrives(&mut self, octets: &[u8]) {
        let mut segment = parse(octets, self.scale.1);
        let reset = segment.flags.has(Flags::RST);
        assert!(!reset || self.all_was_said(), "it was reset: {}", self.describe());
        if let Some(SynOptions { window_scale: Some(theirs), .. }) = segment.options {
            self.scale = (config_of(&self.case).window_scale(), theirs);
        }
        match &mut self.ours {
            Some(ours) => ours.on_segment(self.now, &mut segment, &mut self.outbox),
            None if segment.flags.has(Flags::SYN) => {
                let config = Rc::new(config_of(&self.case));
                let (iss, out) = (Seq(self.case.iss), &mut self.outbox);
                self.ours = Some(Connection::accept(config, MSS, iss, &segment, self.now, out));
            }
            None => {}
        }
    }

    fn all_was_said(&self) -> bool {
        self.own.ended
            && self.other.ended
            && self.own.read.len() == self.case.bytes[1]
            && self.other.read.len() == self.case.bytes[0]
    }

    fn here(&self) -> SocketAddr {
        ([10, 0, 0, 1], if self.case.connects { FROM } else { PORT }).into()
    }

    fn there(&self) -> SocketAddr {
        ([10, 0, 0, 2], if self.case.connects { PORT } else { FROM }).into()
    }

    fn instant(&self) -> Instant {
        Instant::from_micros((self.now / 1_000) as i64)
    }

    fn describe(&self) -> String {
        let ours = self.ours.as_ref().map(Connection::state);
        let socket = self.sockets.get::<tcp::Socket<'_>>(self.handle);
        let count = |program: &Program| (program.written, program.read.len(), program.ended);
        format!(
            "at {:?}: {ours:?} {:?}, {:?} {:?}, {:?}",
            Duration::from_nanos(self.now),
            count(&self.own),
            socket.state(),
            count(&self.other),
            self.case
        )
    }
}

/// Parameters for a link that loses half of all packets.
fn config_of(case: &Case) -> TcpConfig {
    TcpConfig::new()
        // The window holds all data: smoltcp 0.12 does not probe a zero window whose update was lost.
        .receive_buffer(case.bytes[1].max(case.buffers[1]))
        .send_buffer(case.buffers[0])
        .syn_retries(40)
        .syn_ack_retries(40)
        .data_retries(60)
        .orphan_retries(60)
}

fn content(end: usize, at: usize) -> u8 {
    (at.wrapping_mul(2_654_435_761) >> 7) as u8 ^ (end as u8 * 0x55)
}

fn parse(octets: &[u8], scale: u8) -> Segment {
    let ip = Ipv4Packet::new_checked(octets).expect("an IP packet");
    assert!(ip.verify_checksum() && ip.next_header() == IpProtocol::Tcp);
    let (from, to) = (ip.src_addr().into(), ip.dst_addr().into());
    let packet = TcpPacket::new_checked(ip.payload()).expect("a TCP segment");
    assert!(packet.verify_checksum(&from, &to));
    let mut flags = Flags::default();
    for (set, flag) in [
        (packet.fin(), Flags::FIN),
        (packet.syn(), Flags::SYN),
        (packet.rst(), Flags::RST),
        (packet.psh(), Flags::PSH),
        (packet.ack(), Flags::ACK),
    ] {
        if set {
            flags = flags.with(flag);
        }
    }
    let mut said = SynOptions { mss: 536, window_scale: None };
    let mut rest = packet.options();
    while !rest.is_empty() {
        let (next, option) = TcpOption::parse(rest).expect("an option");
        match option {
            TcpOption::MaxSegmentSize(mss) => said.mss = mss,
            TcpOption::WindowScale(scale) => said.window_scale = Some(scale),
            TcpOption::EndOfList => break,
            _ => {}
        }
        rest = next;
    }
    let scale = if packet.syn() { 0 } else { scale };
    Segment {
        seq: Seq(packet.seq_number().0 as u32),
        ack: Seq(packet.ack_number().0 as u32),
        window: u32::from(packet.window_len()) << scale,
        flags,
        options: packet.syn().then_some(said),
        transmission: 0,
        payload: Payload::from(packet.payload()),
    }
}

/// smoltcp's device: received and sent packets.
#[derive(Default)]
struct Queue {
    arrived: VecDeque<Vec<u8>>,
    sent: Vec<Vec<u8>>,
}

struct Received(Vec<u8>);

struct Sends<'a>(&'a mut Vec<Vec<u8>>);

impl Device for Queue {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sends<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Sends<'_>)> {
        let octets = self.arrived.pop_front()?;
        Some((Received(octets), Sends(&mut self.sent)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sends<'_>> {
        Some(Sends(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 1500;
        capabilities
    }
}

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Sends<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut octets = vec![0; len];
        let result = f(&mut octets);
        self.0.push(octets);
        result
    }
}
