//! One end of a TCP connection as a state machine. Calls, segments and times go in; segments,
//! events and the next deadline come out. The state machine does not know the engine, machines or
//! links.
//!
//! These are modelled: the states and transitions of RFC 9293; retransmission timeouts (RFC 6298);
//! delayed and piggybacked acknowledgements; Nagle's algorithm with Minshall's modification, as on
//! Linux; window scaling, back-pressure and zero-window probes; fast retransmit with NewReno's
//! partial acknowledgements (RFC 6582); the checks of RST and SYN of RFC 5961; orphans, TIME-WAIT
//! and keep-alive; `SO_LINGER` 0.
//!
//! These are not modelled: congestion control (a sender fills the window), SACK, timestamps, urgent
//! data, fast open, path MTU discovery.
//!
//! Variables have the names of RFC 9293 and RFC 6298: `snd_una`, `snd_nxt`, `rcv_nxt`, `srtt`,
//! `rttvar`, `rto`. The names `rcv_wup` and `snd_sml` come from Linux, and `rcv_adv` from BSD.

pub(crate) mod buffers;
mod close;
pub(crate) mod config;
mod input;
mod output;
pub(crate) mod payload;
mod payload_queue;
mod rtt;
pub(crate) mod segment;
mod timers;

#[cfg(test)]
pub(crate) mod rig;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use crate::net::simulated::tcp::buffers::{ReceiveBuffer, SendBuffer};
use crate::net::simulated::tcp::config::{KeepAlive, TcpConfig};
use crate::net::simulated::tcp::payload::{Arena, Payload};
use crate::net::simulated::tcp::rtt::RttEstimator;
use crate::net::simulated::tcp::segment::{Flags, Segment, Seq, SynOptions};

/// States of RFC 9293. LISTEN is missing, since it is a state of listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
    Closed,
}

/// Error that ended a connection. A call returns it once; after that, reads return the end and writes `BrokenPipe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionError {
    Refused,
    Reset,
    BrokenPipe,
    TimedOut,
}

/// Result of a read or write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallResult {
    /// Number of bytes. 0 from a read is the end of the stream.
    Bytes(usize),
    /// Nothing can be read or written yet.
    Wait,
    Failed(ConnectionError),
}

/// Events since the last call of [`Connection::take_events`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Events(u8);

impl Events {
    /// A read will find bytes, the end of the stream, or an error.
    pub(crate) const READABLE: Events = Events(1);
    /// A write will find room, or an error.
    pub(crate) const WRITABLE: Events = Events(2);
    /// The handshake is complete.
    pub(crate) const ESTABLISHED: Events = Events(4);
    /// The connection is in CLOSED.
    pub(crate) const CLOSED: Events = Events(8);

    pub(crate) const fn has(self, other: Events) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn add(&mut self, other: Events) {
        self.0 |= other.0;
    }
}

/// Segments to send, and counters of connections.
#[derive(Default)]
pub(crate) struct Outbox {
    pub(crate) segments: Vec<Segment>,
    pub(crate) arena: Arena,
    pub(crate) counters: TcpCounters,
}

/// Counters of connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TcpCounters {
    /// Segments that were retransmitted.
    pub(crate) retransmissions: u64,
    /// Segments without new data.
    pub(crate) duplicates: u64,
    /// Segments that arrived before earlier data of their stream.
    pub(crate) out_of_order: u64,
    /// Connections reset by their peer.
    pub(crate) resets: u64,
    /// Connects that were refused.
    pub(crate) refused: u64,
    /// Connections that timed out.
    pub(crate) timed_out: u64,
    /// Bytes that became readable.
    pub(crate) delivered: u64,
}

/// One end of a connection.
pub(crate) struct Connection {
    config: Rc<TcpConfig>,
    state: State,
    /// Whether it was accepted by a listener.
    passive: bool,
    /// Whether no process holds it any more.
    orphan: bool,
    nodelay: bool,
    /// Whether data is acknowledged at once (`TCP_QUICKACK`).
    quick_ack: bool,
    /// Initial sequence numbers: its own (ISS), and the peer's (IRS).
    iss_irs: (Seq, Seq),
    failure: Option<ConnectionError>,
    events: Events,
    sending: Sending,
    receiving: Receiving,
    rtt: RttEstimator,
    /// Round-trip measurement in progress: the sequence number to be acknowledged, and the time it was sent.
    rtt_probe: Option<(Seq, u64)>,
    recovery: Recovery,
    deadlines: Deadlines,
}

struct Sending {
    buffer: SendBuffer,
    /// Oldest unacknowledged number.
    snd_una: Seq,
    /// Next number to send.
    snd_nxt: Seq,
    /// Send window.
    snd_wnd: u32,
    /// Largest send window so far.
    max_snd_wnd: u32,
    /// Number of the segment that last updated the window.
    snd_wl1: Seq,
    /// Acknowledgement of the segment that last updated the window.
    snd_wl2: Seq,
    mss: u32,
    /// Maximum payload of one segment. Above the MSS with segmentation offload.
    max_segment: u32,
    /// End of the last segment that was smaller than the MSS (Minshall).
    snd_sml: Seq,
    syn_acked: bool,
    fin_queued: bool,
    fin_sent: bool,
    /// Whether a writer waits for room.
    writer_waiting: bool,
}

struct Receiving {
    buffer: ReceiveBuffer,
    /// Next number expected.
    rcv_nxt: Seq,
    /// Value of `rcv_nxt` in the last acknowledgement that was sent.
    rcv_wup: Seq,
    /// Right edge of the advertised window, which never moves back.
    rcv_adv: Seq,
    /// Window scale of this end. `None` if the peer does not support scaling.
    rcv_wscale: Option<u8>,
    /// Sequence number of the peer's FIN, once received.
    peer_fin: Option<Seq>,
    /// Whether `rcv_nxt` has passed the peer's FIN: the stream has ended.
    ended: bool,
    /// Whether an acknowledgement must be sent at once.
    ack_now: bool,
    /// Number acknowledged by the last segment without data, and how often that was repeated.
    last_pure_ack: (Seq, u32),
}

/// State of loss recovery.
#[derive(Default)]
struct Recovery {
    duplicate_acks: u32,
    phase: RecoveryPhase,
    /// Number of recoveries. No number is retransmitted twice in one of them, so it identifies a transmission together
    /// with the sequence number.
    round: u32,
    /// Number of retransmissions of the first unacknowledged segment.
    retries: u32,
    /// Time of the first of them.
    first_retry_at: u64,
    /// Number of unanswered probes.
    probes: u32,
    /// Number of doublings of the persist timeout.
    probe_backoff: u32,
}

/// Phase of loss recovery. It ends when `until` is acknowledged.
#[derive(Clone, Copy, Default)]
enum RecoveryPhase {
    #[default]
    Open,
    /// Fast recovery, after three duplicate acknowledgements. A partial acknowledgement shows the next loss (RFC 6582).
    Fast { until: Seq },
    /// After a timeout: everything in flight counts as lost. It is retransmitted from `next` on, two segments for each
    /// acknowledgement.
    Timeout { until: Seq, next: Seq },
}

/// Deadlines in nanoseconds; [`NEVER`] if not armed.
struct Deadlines {
    retransmit: u64,
    delayed_ack: u64,
    persist: u64,
    /// End of TIME-WAIT, of an orphan's FIN-WAIT-2, or of a handshake without retransmission.
    lifetime: u64,
    keep_alive: u64,
}

/// A deadline that is not armed.
const NEVER: u64 = u64::MAX;

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            retransmit: NEVER,
            delayed_ack: NEVER,
            persist: NEVER,
            lifetime: NEVER,
            keep_alive: NEVER,
        }
    }
}

impl Sending {
    /// Returns the length beyond full segments. Most payloads are shorter than a segment; for these, the branch avoids a
    /// division.
    fn partial_len(&self, len: u32) -> u32 {
        if len < self.mss { len } else { len % self.mss }
    }
}

impl Connection {
    /// Opens a connection: sends a SYN.
    pub(crate) fn connect(
        config: Rc<TcpConfig>,
        mss: u16,
        iss: Seq,
        now: u64,
        out: &mut Outbox,
    ) -> Self {
        let mut connection = Self::new(config, mss, iss, State::SynSent);
        connection.send_syn(now, 0, out);
        connection.arm_handshake(now);
        connection
    }

    /// Accepts a SYN that a listener received: sends a SYN+ACK.
    pub(crate) fn accept(
        config: Rc<TcpConfig>,
        mss: u16,
        iss: Seq,
        syn: &Segment,
        now: u64,
        out: &mut Outbox,
    ) -> Self {
        let mut connection = Self::new(config, mss, iss, State::SynReceived);
        connection.passive = true;
        connection.take_peer_syn(syn);
        connection.send_syn(now, 0, out);
        connection.arm_handshake(now);
        connection
    }

    fn new(config: Rc<TcpConfig>, mss: u16, iss: Seq, state: State) -> Self {
        let mss = u32::from(mss);
        Self {
            state,
            passive: false,
            orphan: false,
            nodelay: config.nodelay,
            quick_ack: false,
            iss_irs: (iss, Seq(0)),
            failure: None,
            events: Events::default(),
            sending: Sending {
                buffer: SendBuffer::default(),
                snd_una: iss,
                snd_nxt: iss,
                snd_wnd: 0,
                max_snd_wnd: 0,
                snd_wl1: Seq(0),
                snd_wl2: Seq(0),
                mss,
                max_segment: mss,
                snd_sml: iss,
                syn_acked: false,
                fin_queued: false,
                fin_sent: false,
                writer_waiting: false,
            },
            receiving: Receiving {
                buffer: ReceiveBuffer::default(),
                rcv_nxt: Seq(0),
                rcv_wup: Seq(0),
                rcv_adv: Seq(0),
                rcv_wscale: Some(config.window_scale()),
                peer_fin: None,
                ended: false,
                ack_now: false,
                last_pure_ack: (Seq(0), 0),
            },
            rtt: RttEstimator::new(&config),
            rtt_probe: None,
            recovery: Recovery::default(),
            deadlines: Deadlines::default(),
            config,
        }
    }

    /// The smoothed round-trip time in microseconds; 0 if it was not measured.
    #[cfg_attr(
        not(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64")),
        expect(dead_code, reason = "only guests ask")
    )]
    pub(crate) fn round_trip_micros(&self) -> u32 {
        (self.rtt.srtt().unwrap_or(0) / 1_000) as u32
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Returns the events since the last call.
    pub(crate) fn take_events(&mut self) -> Events {
        std::mem::take(&mut self.events)
    }

    /// Time of the next call of [`on_timer`](Self::on_timer). `None` if no deadline is armed.
    pub(crate) fn deadline(&self) -> Option<u64> {
        let Deadlines { retransmit, delayed_ack, persist, lifetime, keep_alive } = self.deadlines;
        let next = retransmit.min(delayed_ack).min(persist).min(lifetime).min(keep_alive);
        (next != NEVER).then_some(next)
    }

    /// Writes as much of `data` as there is room for.
    #[inline]
    pub(crate) fn write(&mut self, now: u64, data: &[u8], out: &mut Outbox) -> CallResult {
        match self.can_write() {
            CallResult::Bytes(_) if data.is_empty() => CallResult::Bytes(0),
            CallResult::Bytes(room) => {
                let len = room.min(data.len());
                self.sending.buffer.push(out.arena.copy(&data[..len]));
                self.send_pending(now, out);
                CallResult::Bytes(len)
            }
            // As on Linux, an empty write waits too if an earlier write found no room.
            CallResult::Wait if data.is_empty() && !self.sending.writer_waiting => {
                CallResult::Bytes(0)
            }
            CallResult::Wait => {
                self.sending.writer_waiting = true;
                CallResult::Wait
            }
            CallResult::Failed(failure) => {
                self.failure = None;
                CallResult::Failed(failure)
            }
        }
    }

    /// Number of bytes a write has room for, or why it has none.
    pub(crate) fn can_write(&self) -> CallResult {
        if let Some(failure) = self.failure {
            return CallResult::Failed(failure);
        }
        match self.state {
            State::SynSent | State::SynReceived => CallResult::Wait,
            State::Established | State::CloseWait => {
                match self.config.send_buffer.saturating_sub(self.sending.buffer.len()) {
                    0 => CallResult::Wait,
                    room => CallResult::Bytes(room),
                }
            }
            State::FinWait1
            | State::FinWait2
            | State::Closing
            | State::LastAck
            | State::TimeWait
            | State::Closed => CallResult::Failed(ConnectionError::BrokenPipe),
        }
    }

    /// Marks that a writer waits for room.
    pub(crate) fn mark_writer_waiting(&mut self) {
        self.sending.writer_waiting = true;
    }

    /// Reads into `into`. With `peek`, the bytes stay in the buffer.
    #[cfg(test)]
    pub(crate) fn read(
        &mut self,
        now: u64,
        into: &mut [u8],
        peek: bool,
        out: &mut Outbox,
    ) -> CallResult {
        self.read_up_to(now, into.len(), |_| into, peek, out)
    }

    /// Reads up to `room` bytes into the buffer that `into` returns. It is called with the number of bytes, only if
    /// there are any. With `peek`, the bytes stay in the buffer. As with `recv`, a read of 0 bytes waits for data.
    #[inline]
    pub(crate) fn read_up_to<'a>(
        &mut self,
        now: u64,
        room: usize,
        into: impl FnOnce(usize) -> &'a mut [u8],
        peek: bool,
        out: &mut Outbox,
    ) -> CallResult {
        match self.can_read() {
            CallResult::Bytes(0) => CallResult::Bytes(0),
            CallResult::Bytes(_) if room == 0 => CallResult::Bytes(0),
            CallResult::Bytes(bytes) => {
                let copied = self.receiving.buffer.read(into(bytes.min(room)), peek);
                if !peek {
                    self.on_window_opened(now, out);
                }
                CallResult::Bytes(copied)
            }
            CallResult::Wait => CallResult::Wait,
            CallResult::Failed(failure) => {
                self.failure = None;
                CallResult::Failed(failure)
            }
        }
    }

    /// Number of bytes that a read finds; 0 is the end of the stream.
    pub(crate) fn can_read(&self) -> CallResult {
        match (self.receiving.buffer.len(), self.failure) {
            // As on Linux, an error after the end of the stream is not reported to readers.
            (0, _) if self.receiving.ended => CallResult::Bytes(0),
            (0, Some(failure)) => CallResult::Failed(failure),
            (0, None) => match self.state {
                State::Closed => CallResult::Bytes(0),
                State::SynSent
                | State::SynReceived
                | State::Established
                | State::FinWait1
                | State::FinWait2
                | State::CloseWait
                | State::Closing
                | State::LastAck
                | State::TimeWait => CallResult::Wait,
            },
            (bytes, _) => CallResult::Bytes(bytes),
        }
    }

    /// Maximum segment size.
    pub(crate) fn mss(&self) -> u16 {
        self.sending.mss.clamp(1, u32::from(u16::MAX)) as u16
    }

    pub(crate) fn nodelay(&self) -> bool {
        self.nodelay
    }

    /// Sets `TCP_NODELAY`. If on, sends what Nagle's algorithm held back.
    pub(crate) fn set_nodelay(&mut self, on: bool, now: u64, out: &mut Outbox) {
        self.nodelay = on;
        if on {
            self.send_pending(now, out);
        }
    }

    pub(crate) fn quick_ack(&self) -> bool {
        self.quick_ack
    }

    /// Sets `TCP_QUICKACK`. If on, sends a delayed acknowledgement.
    pub(crate) fn set_quick_ack(&mut self, on: bool, now: u64, out: &mut Outbox) {
        self.quick_ack = on;
        if on && self.deadlines.delayed_ack != NEVER {
            self.receiving.ack_now = true;
            self.send_pending(now, out);
        }
    }

    /// Sets segmentation offload: whether payload of up to 64 KiB may travel as one segment.
    pub(crate) fn set_offload(&mut self, on: bool) {
        let mss = self.sending.mss;
        self.sending.max_segment = if on { mss * (64 * 1024 / mss).max(1) } else { mss };
    }

    /// Whether the read direction, and the write direction, is closed.
    pub(crate) fn closed(&self) -> (bool, bool) {
        let over = self.state == State::Closed;
        let shut = matches!(self.can_write(), CallResult::Failed(_));
        (over || self.receiving.ended, over || shut)
    }

    /// The connection's keep-alive parameters, if it sends probes.
    pub(crate) fn keep_alive(&self) -> Option<KeepAlive> {
        self.config.keep_alive
    }

    /// Sets the keep-alive parameters of this connection alone.
    pub(crate) fn set_keep_alive(&mut self, keep_alive: Option<KeepAlive>, now: u64) {
        Rc::make_mut(&mut self.config).keep_alive = keep_alive;
        self.restart_keep_alive(now);
    }

    /// Whether the connection has an error that was not returned yet.
    pub(crate) fn has_error(&self) -> bool {
        self.failure.is_some()
    }

    /// Returns and clears the connection's error.
    pub(crate) fn take_error(&mut self) -> Option<ConnectionError> {
        self.failure.take()
    }

    /// Bytes to be read, and bytes not acknowledged: the queues that `ss` shows.
    pub(crate) fn queues(&self) -> (usize, usize) {
        (self.receiving.buffer.len(), self.sending.buffer.len())
    }

    /// Next number expected from the peer. A SYN above it may replace a connection in TIME-WAIT.
    pub(crate) fn rcv_nxt(&self) -> Seq {
        self.receiving.rcv_nxt
    }

    /// Initial sequence numbers: its own (ISS), and the peer's (IRS).
    pub(crate) fn iss_irs(&self) -> (Seq, Seq) {
        self.iss_irs
    }

    /// Takes the peer's initial sequence number and options from its SYN.
    fn take_peer_syn(&mut self, syn: &Segment) {
        self.iss_irs.1 = syn.seq;
        let receiving = &mut self.receiving;
        receiving.rcv_nxt = syn.seq + 1;
        receiving.rcv_wup = receiving.rcv_nxt;
        receiving.rcv_adv = receiving.rcv_nxt;
        let options = syn.options.unwrap_or(SynOptions { mss: 536, window_scale: None });
        if options.window_scale.is_none() {
            receiving.rcv_wscale = None;
        }
        let sending = &mut self.sending;
        sending.mss = sending.mss.min(u32::from(options.mss)).max(1);
        sending.max_segment = sending.mss;
        sending.snd_wnd = syn.window;
        sending.max_snd_wnd = syn.window;
        sending.snd_wl1 = syn.seq;
        sending.snd_wl2 = syn.ack;
    }

    fn in_flight(&self) -> u32 {
        self.sending.snd_nxt.since(self.sending.snd_una)
    }

    #[cold]
    fn fail(&mut self, failure: ConnectionError) {
        self.failure = Some(failure);
        self.close_now();
    }

    /// Enters CLOSED. Nothing more is sent; received bytes can still be read.
    #[cold]
    fn close_now(&mut self) {
        self.state = State::Closed;
        self.sending.buffer.clear();
        self.sending.snd_una = self.sending.snd_nxt;
        self.deadlines = Deadlines::default();
        self.receiving.ack_now = false;
        self.events.add(Events(Events::READABLE.0 | Events::WRITABLE.0 | Events::CLOSED.0));
    }

    fn segment(&self, seq: Seq, flags: Flags, payload: Payload) -> Segment {
        Segment {
            seq,
            ack: self.receiving.rcv_nxt,
            window: 0,
            flags,
            options: None,
            transmission: 0,
            payload,
        }
    }
}
