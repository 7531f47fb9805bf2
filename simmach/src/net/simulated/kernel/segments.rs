//! Arriving segments and timers of TCP connections. Calls of handles are in `streams`.

use crate::engine::draws::address::Address;
use crate::engine::time::timer_info::TimerInfo;
use crate::engine::{Action, Effect, TimerKey};
use crate::net::simulated::address::{Bound, Endpoint};
use crate::net::simulated::kernel::socket::{Holder, IpOptions, Socket, SocketTimer};
use crate::net::simulated::kernel::wakers::Waiters;
use crate::net::simulated::kernel::{Kernel, key_of, with_kernel};
use crate::net::simulated::key::SocketKey;
use crate::net::simulated::link::order::FlowOrder;
use crate::net::simulated::link::packet::{Body, Packet};
use crate::net::simulated::link::packet_draws::PacketAddress;
use crate::net::simulated::tcp::payload::Payload;
use crate::net::simulated::tcp::segment::{Flags, Segment, Seq};
use crate::net::simulated::tcp::{Connection, Events, State};

/// Maximum segment size on loopback in bytes.
const LOOPBACK_MSS: u16 = 65_495;
/// Length of IPv4 and TCP headers without options, in bytes.
const TCP_HEADERS: u16 = 40;

impl Kernel {
    /// Handles an arriving segment: the packet in `slot`.
    pub(super) fn on_segment(
        &mut self,
        from: Endpoint,
        to: Endpoint,
        flow: u64,
        sender: SocketKey,
        receiver: SocketKey,
        packet: u32,
    ) {
        let found = self.find_socket(from, to, receiver);
        let Body::Tcp { segment, .. } = &mut self.wire.packets.remove(packet).body else { return };
        if let Some(slot) = found {
            let socket = &mut self.sockets[slot];
            let connection = &mut socket.connection;
            let opens = segment.flags.has(Flags::SYN) && !segment.flags.has(Flags::ACK);
            let taken_over = connection.state() == State::TimeWait
                && opens
                && segment.seq.after(connection.rcv_nxt());
            if !taken_over {
                socket.peer = sender;
                let delivered = self.outbox.counters.delivered;
                connection.on_segment(self.engine.clock.now(), segment, &mut self.outbox);
                segment.payload = Payload::EMPTY;
                // Only new data counts as progress, so that a run in which two ends repeat old segments forever stalls.
                if self.outbox.counters.delivered > delivered {
                    self.engine.note_progress();
                }
                return self.flush_connection(slot);
            }
        }
        let segment = std::mem::replace(segment, Segment::EMPTY);
        if let Some(slot) = found {
            self.on_closed(slot);
        }
        if self.accept_syn(from, to, flow, sender, &segment) {
            return;
        }
        let path = self.wire.links.path(to.host, from.host);
        self.send_reset_for(path, (to, from), flow ^ 1, &segment);
    }

    /// Passes a SYN to the listener, if there is one. A full listener drops it, and the peer retransmits.
    #[cold]
    fn accept_syn(
        &mut self,
        from: Endpoint,
        to: Endpoint,
        flow: u64,
        sender: SocketKey,
        segment: &Segment,
    ) -> bool {
        let opens = segment.flags.has(Flags::SYN)
            && !segment.flags.has(Flags::ACK)
            && !segment.flags.has(Flags::RST);
        if !opens {
            return false;
        }
        let Some(key) = self.hosts[to.host as usize].tcp.receiver_of(to.port, to.net, from) else {
            return false;
        };
        let Some(listener) = self.listeners.get_mut(key.slot as usize) else { return false };
        if listener.half_open as usize + listener.queue.len() > listener.backlog as usize {
            self.wire.stats.dropped += 1;
            self.engine.count_effect(Effect::PacketDropped, 1);
            return true;
        }
        listener.half_open += 1;
        let v4_mapped = listener.bound == Bound::Any6 && !to.net.is_v6();
        let options = listener.options;
        let iss = self.initial_sequence(to, from);
        let mss = self.mss(to, from);
        let config = options.apply(self.config_of(to.host));
        let connection = Connection::accept(
            config,
            mss,
            iss,
            segment,
            self.engine.clock.now(),
            &mut self.outbox,
        );
        let slot = self.insert_socket(to, from, flow ^ 1, Holder::HalfOpen(key), connection);
        self.sockets[slot].peer = sender;
        let socket = &mut self.sockets[slot];
        (socket.v4_mapped, socket.reuse, socket.linger) =
            (v4_mapped, options.shares_port(), options.linger);
        socket.ip = options.ip;
        self.flush_connection(slot);
        true
    }

    /// Completes an operation on a connection: sends its segments, wakes tasks, arms its timer, removes it if it is
    /// closed.
    pub(super) fn flush_connection(&mut self, slot: usize) {
        if !self.outbox.segments.is_empty() {
            self.send_segments(slot);
        }
        let events = self.sockets[slot].connection.take_events();
        if !events.is_empty() {
            self.on_events(slot, events);
        }
        let Some(socket) = self.sockets.get_mut(slot) else { return };
        let (due, armed) = (socket.connection.deadline().unwrap_or(u64::MAX), socket.timer.at);
        // If a deadline moves later, the timer is not moved: it fires early and is then armed again. Moving the timer with
        // every segment would cost more.
        if armed <= due && due != u64::MAX || armed == due {
            return;
        }
        if armed != u64::MAX {
            self.engine.cancel(socket.timer.key);
            socket.timer.at = u64::MAX;
        }
        if due != u64::MAX {
            let call = Action::Call(timer_fired, slot as u64, u64::from(socket.serial));
            let key = self.engine.arm_again(socket.timer.key, due, call);
            socket.timer = SocketTimer { key, at: due };
        }
    }

    fn send_segments(&mut self, slot: usize) {
        for nth in 0..self.outbox.segments.len() {
            self.send_segment(slot, nth);
        }
        self.outbox.segments.clear();
        let retransmissions = self.outbox.counters.retransmissions;
        if retransmissions != self.reported.0 {
            self.engine.count_effect(Effect::Retransmission, retransmissions - self.reported.0);
            self.reported.0 = retransmissions;
        }
    }

    #[inline]
    fn send_segment(&mut self, slot: usize, nth: usize) {
        let Socket { local, remote, flow, path, peer, serial, ref connection, .. } =
            self.sockets[slot];
        let (sender, mss, first) = (key_of(slot, serial), connection.mss(), connection.iss_irs());
        let segment = &mut self.outbox.segments[nth];
        let draw = PacketAddress::of_segment(flow, first, segment);
        let payload = std::mem::take(&mut segment.payload);
        let segment = Segment { payload, ..*segment };
        let body = Body::Tcp { sender, receiver: peer, mss, segment };
        let mut order = self.sockets[slot].order;
        self.wire.transmit(Packet { path, from: local, to: remote, draw, body }, &mut order);
        self.sockets[slot].order = order;
    }

    fn on_events(&mut self, slot: usize, events: Events) {
        let socket = &mut self.sockets[slot];
        // As in a kernel, an event clears a socket's "not ready" mark in both directions.
        if std::mem::take(&mut socket.not_readable) {
            socket.reading.wake(&self.engine, &mut self.wakes);
        }
        if std::mem::take(&mut socket.not_writable) {
            socket.writing.wake(&self.engine, &mut self.wakes);
        }
        if events.has(Events::READABLE) {
            socket.reading.wake(&self.engine, &mut self.wakes);
        }
        if events.has(Events::WRITABLE) {
            socket.writing.wake(&self.engine, &mut self.wakes);
        }
        if events.has(Events::ESTABLISHED) {
            self.engine.note_progress();
            let whole = self.wire.allows_offload(socket.path);
            socket.connection.set_offload(whole);
            if let Holder::HalfOpen(listener) = socket.holder {
                socket.holder = Holder::Queued(listener);
                let key = key_of(slot, socket.serial);
                if let Ok(listener) = self.listener(listener) {
                    listener.half_open -= 1;
                    listener.queue.push_back(key);
                    let mut accepting = std::mem::take(&mut listener.accepting);
                    accepting.wake(&self.engine, &mut self.wakes);
                }
            }
        }
        if events.has(Events::CLOSED) {
            let resets = self.outbox.counters.resets;
            if resets != self.reported.1 {
                self.engine.count_effect(Effect::Reset, resets - self.reported.1);
                self.reported.1 = resets;
            }
            self.on_closed(slot);
        }
    }

    /// Handles a connection in CLOSED: frees its port, and its socket if no process or listener holds it.
    #[cold]
    fn on_closed(&mut self, slot: usize) {
        self.unregister(slot);
        match self.sockets[slot].holder {
            Holder::Kernel => self.remove_socket(slot),
            Holder::HalfOpen(listener) => {
                if let Ok(listener) = self.listener(listener) {
                    listener.half_open -= 1;
                }
                self.remove_socket(slot);
            }
            Holder::Process(_) | Holder::Queued(_) => {}
        }
    }

    pub(super) fn insert_socket(
        &mut self,
        local: Endpoint,
        remote: Endpoint,
        flow: u64,
        holder: Holder,
        connection: Connection,
    ) -> usize {
        let serial = self.next_serial();
        let path = self.wire.links.path(local.host, remote.host);
        let slot = self.sockets.insert(Socket {
            serial,
            holder,
            local,
            remote,
            flow,
            path,
            v4_mapped: false,
            reuse: false,
            peer: SocketKey::NONE,
            registered: true,
            connection,
            timer: SocketTimer::NONE,
            order: FlowOrder::default(),
            linger: None,
            ip: IpOptions::DEFAULT,
            not_readable: false,
            not_writable: false,
            reading: Waiters::default(),
            writing: Waiters::default(),
        });
        let host = &mut self.hosts[local.host as usize];
        host.tcp.take(local.port);
        host.connections.insert((local.port, remote), key_of(slot, serial));
        slot
    }

    fn unregister(&mut self, slot: usize) {
        let socket = &mut self.sockets[slot];
        if std::mem::replace(&mut socket.registered, false) {
            let host = &mut self.hosts[socket.local.host as usize];
            host.connections.remove(&(socket.local.port, socket.remote));
            host.tcp.release(socket.local.port);
        }
    }

    /// Removes a socket without sending anything.
    #[cold]
    pub(super) fn remove_socket(&mut self, slot: usize) {
        self.unregister(slot);
        let mut socket = self.sockets.remove(slot);
        if socket.timer.is_armed() {
            self.engine.cancel(socket.timer.key);
        }
        self.wakes.discard(&mut socket.reading);
        self.wakes.discard(&mut socket.writing);
    }

    fn find_socket(&self, from: Endpoint, to: Endpoint, hint: SocketKey) -> Option<usize> {
        let known = self.sockets.get(hint.slot as usize);
        if known.is_some_and(|socket| socket.serial == hint.serial && socket.registered) {
            return Some(hint.slot as usize);
        }
        let host = &self.hosts[to.host as usize];
        host.connections.get(&(to.port, from)).map(|key| key.slot as usize)
    }

    /// Maximum segment size between two endpoints: the machine's configuration, limited by the path's MTU.
    pub(super) fn mss(&self, local: Endpoint, remote: Endpoint) -> u16 {
        if remote.net.is_loopback() {
            return LOOPBACK_MSS - if remote.net.is_v6() { 20 } else { 0 };
        }
        let room = self.wire.links.mtu(local.host, remote.host).saturating_sub(TCP_HEADERS);
        let mss = self.config_of(local.host).mss.min(room);
        if remote.net.is_v6() { mss.saturating_sub(20).max(64) } else { mss }
    }

    /// Initial sequence number as in RFC 6528 and Linux: drawn for the addresses and ports, plus a clock with ticks of
    /// 64 ns, so that a new connection between the same ports starts above the old one.
    pub(super) fn initial_sequence(&self, local: Endpoint, remote: Endpoint) -> Seq {
        let name_hash = |endpoint: Endpoint| self.hosts[endpoint.host as usize].name_hash;
        let ports = u64::from(local.port) << 16 | u64::from(remote.port);
        let endpoints = ports | (local.net as u64) << 32;
        let drawn = self.engine.word(Address::initial_sequence(
            name_hash(local),
            name_hash(remote),
            endpoints,
        ));
        Seq((drawn.unwrap_or(0) as u32).wrapping_add((self.engine.clock.now() / 64) as u32))
    }

    fn on_timer(&mut self, slot: usize, serial: u32) {
        let Some(socket) = self.sockets.get_mut(slot) else { return };
        if socket.serial != serial {
            return;
        }
        socket.timer = SocketTimer::NONE;
        let timed_out = self.outbox.counters.timed_out;
        socket.connection.on_timer(self.engine.clock.now(), &mut self.outbox);
        if self.outbox.counters.timed_out > timed_out && self.is_awaited(&self.sockets[slot]) {
            // The process learns of the timeout and goes on.
            self.engine.note_process_change();
        }
        self.flush_connection(slot);
    }

    /// Whether a process holds the socket and a task waits on it.
    fn is_awaited(&self, socket: &Socket) -> bool {
        matches!(socket.holder, Holder::Process(_))
            && (socket.reading.has_live_task(&self.engine)
                || socket.writing.has_live_task(&self.engine))
    }

    /// Whether some connection will time out while a task waits on it.
    fn prevents_stall(&self) -> bool {
        let mut sockets = self.sockets.iter();
        sockets.any(|(_, socket)| socket.connection.will_time_out() && self.is_awaited(socket))
    }

    /// Describes the timer of a connection.
    fn describe_timer(&self, key: TimerKey) -> Option<String> {
        let own =
            |(_, socket): &(usize, &Socket)| socket.timer.is_armed() && socket.timer.key == key;
        let (_, socket) = self.sockets.iter().find(own)?;
        let (what, host) = (socket.connection.describe_next_deadline(), socket.local.host);
        let (from, to) = (self.wire.name(host), self.describe_endpoint(socket.remote));
        Some(format!("{what} of the connection from {from} to {to}"))
    }
}

/// Describes the network's timers to the engine, for runs without progress.
pub(super) const TIMER_INFO: TimerInfo = TimerInfo {
    prevents_stall: || with_kernel(|kernel| kernel.prevents_stall()).unwrap_or(false),
    describe: |key| with_kernel(|kernel| kernel.describe_timer(key)).flatten(),
};

fn timer_fired(slot: u64, serial: u64) {
    with_kernel(|kernel| kernel.on_timer(slot as usize, serial as u32));
}
