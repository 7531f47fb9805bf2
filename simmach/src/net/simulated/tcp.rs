//! One end of a TCP connection as a state machine: segments, times and calls go in; segments, wake-ups and the next
//! deadline come out. It knows nothing of the engine, of hosts or of links.
//!
//! Modelled: RFC 9293's states and every transition of them; RFC 6298 time-outs; delayed and piggybacked
//! acknowledgements; Nagle's rule as Linux has it (Minshall); windows with scaling, back-pressure and zero-window
//! probes; fast retransmit with NewReno's partial acknowledgements; RFC 5961's checks of RST and SYN; orphans,
//! TIME-WAIT, keep-alive; `SO_LINGER` 0. Not modelled: congestion control (a sender fills the window), SACK, time
//! stamps, urgent data, fast open, path MTU discovery.

pub(crate) mod buffers;
mod close;
pub(crate) mod config;
mod input;
mod output;
pub(crate) mod payload;
mod pieces;
mod rtt;
pub(crate) mod segment;
mod timers;

#[cfg(test)]
pub(crate) mod rig;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use crate::net::simulated::tcp::buffers::{ReceiveBuffer, SendBuffer};
use crate::net::simulated::tcp::config::TcpConfig;
use crate::net::simulated::tcp::payload::{Arena, Payload};
use crate::net::simulated::tcp::rtt::RoundTrip;
use crate::net::simulated::tcp::segment::{Flags, Segment, Seq, SynOptions};

/// The states of RFC 9293. LISTEN is a listener's, not a connection's.
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

/// Why a connection ended other than by FINs. It is told once; after that a read ends and a write breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Refused,
    Reset,
    BrokenPipe,
    TimedOut,
}

/// What a call found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    /// So many bytes were moved; zero from a read is the end of the stream.
    Bytes(usize),
    /// Nothing yet.
    Wait,
    Failed(Failure),
}

/// What has happened since it was last asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Events(u8);

impl Events {
    /// There is something to read: bytes, the end, or an error.
    pub(crate) const READABLE: Events = Events(1);
    /// There is room to write, or an error.
    pub(crate) const WRITABLE: Events = Events(2);
    /// The handshake is over.
    pub(crate) const ESTABLISHED: Events = Events(4);
    /// The state is now CLOSED.
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

/// What a connection gives out: segments to send, and what is worth counting.
#[derive(Default)]
pub(crate) struct Output {
    pub(crate) segments: Vec<Segment>,
    pub(crate) arena: Arena,
    pub(crate) tally: Tally,
}

/// What took effect in connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Segments sent again.
    pub(crate) retransmissions: u64,
    /// Segments that brought nothing new.
    pub(crate) duplicates: u64,
    /// Segments that came ahead of a gap.
    pub(crate) out_of_order: u64,
    /// Connections reset by their peer.
    pub(crate) resets: u64,
    /// Connects that were refused.
    pub(crate) refused: u64,
    /// Connections given up.
    pub(crate) timed_out: u64,
    /// Bytes that became ready to be read.
    pub(crate) delivered: u64,
}

/// One end of a connection.
pub(crate) struct Connection {
    config: Rc<TcpConfig>,
    state: State,
    /// Accepted by a listener, not opened by a connect.
    passive: bool,
    /// No process holds it any more.
    orphan: bool,
    nodelay: bool,
    /// Whatever comes is acknowledged at once (`TCP_QUICKACK`).
    quick_ack: bool,
    /// The first numbers: its own, and the peer's.
    first: (Seq, Seq),
    failure: Option<Failure>,
    events: Events,
    sending: Sending,
    receiving: Receiving,
    trip: RoundTrip,
    /// What is being measured: acknowledged beyond this, sent then.
    timing: Option<(Seq, u64)>,
    recovery: Recovery,
    deadlines: Deadlines,
}

struct Sending {
    buffer: SendBuffer,
    /// The oldest number not acknowledged, and the next to be sent.
    una: Seq,
    nxt: Seq,
    /// The peer's window, as told with the segment (`wl1`, `wl2`); and the largest it ever told.
    window: u32,
    max_window: u32,
    wl1: Seq,
    wl2: Seq,
    mss: u32,
    /// The most bytes in one segment: more than the MSS where no fault can tell.
    largest: u32,
    /// The end of the last segment that was not full.
    small: Seq,
    syn_acked: bool,
    fin_queued: bool,
    fin_sent: bool,
    /// A write found no room.
    blocked: bool,
}

struct Receiving {
    buffer: ReceiveBuffer,
    nxt: Seq,
    /// What was last acknowledged, and the end of the largest window ever told.
    acked: Seq,
    edge: Seq,
    /// What windows are scaled by; `None` when the peer does not scale.
    scale: Option<u8>,
    /// Where the peer's FIN lies, once it came.
    fin: Option<Seq>,
    /// The FIN was reached: the stream has ended.
    ended: bool,
    /// An acknowledgement must go out now.
    ack_now: bool,
    /// The number of the last acknowledgement that went alone, and how often it went before.
    lone_ack: (Seq, u32),
}

/// What is known of losses.
#[derive(Default)]
struct Recovery {
    duplicate_acks: u32,
    phase: Phase,
    /// How many recoveries there were: no number is sent twice in one of them, so that with its sequence number it
    /// names a transmission.
    round: u32,
    /// How often the segment that is waited for was sent again, and when it first was.
    retries: u32,
    since: u64,
    /// Probes that were not answered, and how often the wait for the next one was doubled.
    probes: u32,
    probe_backoff: u32,
}

/// Whether segments are being sent again, and until which number is acknowledged.
#[derive(Clone, Copy, Default)]
enum Phase {
    #[default]
    Open,
    /// After three duplicate acknowledgements: what an acknowledgement stops at was lost (RFC 6582).
    Fast { until: Seq },
    /// After a time-out: all that was on its way counts as lost, and goes again from `next` on, two segments for each
    /// acknowledgement.
    Timeout { until: Seq, next: Seq },
}

/// What is due when.
struct Deadlines {
    retransmit: u64,
    delayed_ack: u64,
    persist: u64,
    /// The end of TIME-WAIT, of an orphan's FIN-WAIT-2, of a handshake without retransmission.
    life: u64,
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
            life: NEVER,
            keep_alive: NEVER,
        }
    }
}

impl Sending {
    /// By how much `len` bytes are more than full segments. A division takes long, and most are less than one.
    fn partial(&self, len: u32) -> u32 {
        if len < self.mss { len } else { len % self.mss }
    }
}

impl Connection {
    /// Opens: a SYN goes out.
    pub(crate) fn connect(
        config: Rc<TcpConfig>,
        mss: u16,
        iss: Seq,
        now: u64,
        out: &mut Output,
    ) -> Self {
        let mut connection = Self::new(config, mss, iss, State::SynSent);
        connection.send_syn(now, 0, out);
        connection.arm_handshake(now);
        connection
    }

    /// Answers a SYN that came to a listener: a SYN+ACK goes out.
    pub(crate) fn accept(
        config: Rc<TcpConfig>,
        mss: u16,
        iss: Seq,
        syn: &Segment,
        now: u64,
        out: &mut Output,
    ) -> Self {
        let mut connection = Self::new(config, mss, iss, State::SynReceived);
        connection.passive = true;
        connection.synchronise(syn);
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
            first: (iss, Seq(0)),
            failure: None,
            events: Events::default(),
            sending: Sending {
                buffer: SendBuffer::default(),
                una: iss,
                nxt: iss,
                window: 0,
                max_window: 0,
                wl1: Seq(0),
                wl2: Seq(0),
                mss,
                largest: mss,
                small: iss,
                syn_acked: false,
                fin_queued: false,
                fin_sent: false,
                blocked: false,
            },
            receiving: Receiving {
                buffer: ReceiveBuffer::default(),
                nxt: Seq(0),
                acked: Seq(0),
                edge: Seq(0),
                scale: Some(config.window_scale()),
                fin: None,
                ended: false,
                ack_now: false,
                lone_ack: (Seq(0), 0),
            },
            trip: RoundTrip::new(&config),
            timing: None,
            recovery: Recovery::default(),
            deadlines: Deadlines::default(),
            config,
        }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// What has happened since the last call.
    pub(crate) fn take_events(&mut self) -> Events {
        std::mem::take(&mut self.events)
    }

    /// When [`on_timer`](Self::on_timer) is wanted next.
    pub(crate) fn deadline(&self) -> Option<u64> {
        let Deadlines { retransmit, delayed_ack, persist, life, keep_alive } = self.deadlines;
        let next = retransmit.min(delayed_ack).min(persist).min(life).min(keep_alive);
        (next != NEVER).then_some(next)
    }

    /// Writes as much of `data` as there is room for.
    #[inline]
    pub(crate) fn write(&mut self, now: u64, data: &[u8], out: &mut Output) -> Ready {
        match self.can_write() {
            Ready::Bytes(_) if data.is_empty() => Ready::Bytes(0),
            Ready::Bytes(room) => {
                let len = room.min(data.len());
                self.sending.buffer.push(out.arena.copy(&data[..len]));
                self.output(now, out);
                Ready::Bytes(len)
            }
            // Whoever found no room waits for it, with nothing to write too.
            Ready::Wait if data.is_empty() && !self.sending.blocked => Ready::Bytes(0),
            Ready::Wait => {
                self.sending.blocked = true;
                Ready::Wait
            }
            Ready::Failed(failure) => {
                self.failure = None;
                Ready::Failed(failure)
            }
        }
    }

    /// Whether a write would find room: how many bytes, or why not.
    pub(crate) fn can_write(&self) -> Ready {
        if let Some(failure) = self.failure {
            return Ready::Failed(failure);
        }
        match self.state {
            State::SynSent | State::SynReceived => Ready::Wait,
            State::Established | State::CloseWait => {
                match self.config.send_buffer.saturating_sub(self.sending.buffer.len()) {
                    0 => Ready::Wait,
                    room => Ready::Bytes(room),
                }
            }
            State::FinWait1
            | State::FinWait2
            | State::Closing
            | State::LastAck
            | State::TimeWait
            | State::Closed => Ready::Failed(Failure::BrokenPipe),
        }
    }

    /// Notes that a writer waits for room.
    pub(crate) fn want_write(&mut self) {
        self.sending.blocked = true;
    }

    /// Reads into `into`; with `peek`, the bytes stay.
    #[cfg(test)]
    pub(crate) fn read(
        &mut self,
        now: u64,
        into: &mut [u8],
        peek: bool,
        out: &mut Output,
    ) -> Ready {
        self.read_up_to(now, into.len(), |_| into, peek, out)
    }

    /// Reads into what `into` gives for so many bytes, at most `room`: asked for only where there are some. With `peek`, the
    /// bytes stay. Without room it waits all the same, as `recv` does.
    #[inline]
    pub(crate) fn read_up_to<'a>(
        &mut self,
        now: u64,
        room: usize,
        into: impl FnOnce(usize) -> &'a mut [u8],
        peek: bool,
        out: &mut Output,
    ) -> Ready {
        match self.can_read() {
            Ready::Bytes(0) => Ready::Bytes(0),
            Ready::Bytes(_) if room == 0 => Ready::Bytes(0),
            Ready::Bytes(bytes) => {
                let copied = self.receiving.buffer.read(into(bytes.min(room)), peek);
                if !peek {
                    self.room_was_made(now, out);
                }
                Ready::Bytes(copied)
            }
            Ready::Wait => Ready::Wait,
            Ready::Failed(failure) => {
                self.failure = None;
                Ready::Failed(failure)
            }
        }
    }

    /// Whether a read would find something: how many bytes, zero for the end.
    pub(crate) fn can_read(&self) -> Ready {
        match (self.receiving.buffer.len(), self.failure) {
            // As on Linux: nothing that comes behind the end is a reader's concern.
            (0, _) if self.receiving.ended => Ready::Bytes(0),
            (0, Some(failure)) => Ready::Failed(failure),
            (0, None) => match self.state {
                State::Closed => Ready::Bytes(0),
                State::SynSent
                | State::SynReceived
                | State::Established
                | State::FinWait1
                | State::FinWait2
                | State::CloseWait
                | State::Closing
                | State::LastAck
                | State::TimeWait => Ready::Wait,
            },
            (bytes, _) => Ready::Bytes(bytes),
        }
    }

    /// The most bytes in one segment.
    pub(crate) fn mss(&self) -> u16 {
        self.sending.mss.clamp(1, u32::from(u16::MAX)) as u16
    }

    pub(crate) fn nodelay(&self) -> bool {
        self.nodelay
    }

    /// Sets `TCP_NODELAY`; what Nagle's rule held back goes out.
    pub(crate) fn set_nodelay(&mut self, on: bool, now: u64, out: &mut Output) {
        self.nodelay = on;
        if on {
            self.output(now, out);
        }
    }

    pub(crate) fn quick_ack(&self) -> bool {
        self.quick_ack
    }

    /// Sets `TCP_QUICKACK`; an acknowledgement that waits goes out.
    pub(crate) fn set_quick_ack(&mut self, on: bool, now: u64, out: &mut Output) {
        self.quick_ack = on;
        if on && self.deadlines.delayed_ack != NEVER {
            self.receiving.ack_now = true;
            self.output(now, out);
        }
    }

    /// Whether a large write may travel as one segment of up to 64 KiB, as with segmentation offload.
    pub(crate) fn set_offload(&mut self, on: bool) {
        let mss = self.sending.mss;
        self.sending.largest = if on { mss * (64 * 1024 / mss).max(1) } else { mss };
    }

    /// Whether all that the peer will ever say is here, and whether nothing more can be said to it.
    pub(crate) fn closed(&self) -> (bool, bool) {
        let over = self.state == State::Closed;
        let shut = matches!(self.can_write(), Ready::Failed(_));
        (over || self.receiving.ended, over || shut)
    }

    /// Why it ended, if that was not yet told; it is told with this.
    pub(crate) fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    /// Bytes to be read, and bytes not yet acknowledged: the queues that `ss` shows.
    pub(crate) fn queues(&self) -> (usize, usize) {
        (self.receiving.buffer.len(), self.sending.buffer.len())
    }

    /// The number the peer is waiting for next, for a SYN that would take over a TIME-WAIT.
    pub(crate) fn receive_next(&self) -> Seq {
        self.receiving.nxt
    }

    /// The first numbers: its own, and the peer's.
    pub(crate) fn first(&self) -> (Seq, Seq) {
        self.first
    }

    /// Takes the peer's first number and options from its SYN.
    fn synchronise(&mut self, syn: &Segment) {
        self.first.1 = syn.seq;
        let receiving = &mut self.receiving;
        receiving.nxt = syn.seq + 1;
        receiving.acked = receiving.nxt;
        receiving.edge = receiving.nxt;
        let options = syn.options.unwrap_or(SynOptions { mss: 536, window_scale: None });
        if options.window_scale.is_none() {
            receiving.scale = None;
        }
        let sending = &mut self.sending;
        sending.mss = sending.mss.min(u32::from(options.mss)).max(1);
        sending.largest = sending.mss;
        sending.window = syn.window;
        sending.max_window = syn.window;
        sending.wl1 = syn.seq;
        sending.wl2 = syn.ack;
    }

    fn in_flight(&self) -> u32 {
        self.sending.nxt.since(self.sending.una)
    }

    #[cold]
    fn fail(&mut self, failure: Failure) {
        self.failure = Some(failure);
        self.close_now();
    }

    /// The end: nothing more is sent, what came can still be read.
    #[cold]
    fn close_now(&mut self) {
        self.state = State::Closed;
        self.sending.buffer.clear();
        self.sending.una = self.sending.nxt;
        self.deadlines = Deadlines::default();
        self.receiving.ack_now = false;
        self.events.add(Events(Events::READABLE.0 | Events::WRITABLE.0 | Events::CLOSED.0));
    }

    fn segment(&self, seq: Seq, flags: Flags, payload: Payload) -> Segment {
        Segment {
            seq,
            ack: self.receiving.nxt,
            window: 0,
            flags,
            options: None,
            transmission: 0,
            payload,
        }
    }
}
