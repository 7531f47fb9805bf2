//! Arriving segments: RFC 9293, 3.10.7, in its order, with the checks of RFC 5961.

use crate::net::simulated::tcp::buffers::Inserted;
use crate::net::simulated::tcp::payload::Payload;
use crate::net::simulated::tcp::segment::{Flags, Segment, Seq};
use crate::net::simulated::tcp::{
    Connection, ConnectionError, Events, NEVER, Outbox, Phase, Recovery, State,
};

/// Number of duplicate acknowledgements after which a segment counts as lost.
const FAST_RETRANSMIT: u32 = 3;

impl Connection {
    /// Processes an arriving segment. Takes its payload out of it.
    #[inline]
    pub(crate) fn on_segment(&mut self, now: u64, segment: &mut Segment, out: &mut Outbox) {
        self.heard(now);
        match self.state {
            State::Closed => {}
            State::SynSent => self.in_syn_sent(now, segment, out),
            State::SynReceived
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck
            | State::TimeWait => self.in_synchronised(now, segment, out),
        }
        self.send_pending(now, out);
    }

    #[cold]
    fn in_syn_sent(&mut self, now: u64, segment: &Segment, out: &mut Outbox) {
        let answers = segment.flags.has(Flags::ACK);
        if answers && segment.ack != self.sending.nxt {
            out.segments.extend(Segment::reset_for(segment));
            return;
        }
        if segment.flags.has(Flags::RST) {
            if answers {
                out.tally.refused += 1;
                self.fail(ConnectionError::Refused);
            }
            return;
        }
        if !segment.flags.has(Flags::SYN) {
            return;
        }
        self.synchronise(segment);
        if answers {
            self.receiving.ack_now = true;
            self.establish(now, segment.ack);
        } else {
            // Simultaneous open.
            self.state = State::SynReceived;
            self.send_syn(now, 0, out);
        }
    }

    fn in_synchronised(&mut self, now: u64, segment: &mut Segment, out: &mut Outbox) {
        if !self.is_acceptable(segment) {
            return self.unacceptable(now, segment, out);
        }
        if segment.flags.has(Flags::RST) {
            return self.on_reset(segment, out);
        }
        if segment.flags.has(Flags::SYN) {
            return self.on_stray_syn(now, segment, out);
        }
        if !segment.flags.has(Flags::ACK) || !self.on_ack(now, segment, out) {
            return;
        }
        let fin = segment.flags.has(Flags::FIN);
        let end = segment.seq + segment.payload.len() as u32;
        let whole = segment.payload.is_empty()
            || self.on_payload(now, segment.seq, std::mem::take(&mut segment.payload), out);
        if fin && whole && self.state != State::Closed {
            self.receiving.fin = Some(end);
            self.receiving.ack_now = true;
            if self.state == State::TimeWait {
                self.start_time_wait(now);
            }
        }
        if self.receiving.fin == Some(self.receiving.nxt) && !self.receiving.ended {
            self.end_stream(now);
        }
    }

    /// Whether the segment is acceptable. As on Linux, from `rcv_wup` instead of `rcv_nxt` on, so that an acknowledgement that was
    /// overtaken is still processed.
    fn is_acceptable(&self, segment: &Segment) -> bool {
        let receiving = &self.receiving;
        let edge = receiving.edge.max(receiving.nxt);
        !segment.end().before(receiving.acked) && !segment.seq.after(edge)
    }

    #[cold]
    fn unacceptable(&mut self, now: u64, segment: &Segment, out: &mut Outbox) {
        if segment.flags.has(Flags::RST) {
            return;
        }
        if segment.flags.has(Flags::SYN) {
            return self.on_stray_syn(now, segment, out);
        }
        if segment.len() > 0 {
            out.tally.duplicates += 1;
        }
        if self.state == State::TimeWait && segment.flags.has(Flags::FIN) {
            self.start_time_wait(now);
        }
        self.receiving.ack_now = true;
    }

    /// A reset is accepted only with exactly the expected number; for any other, a challenge ACK is sent (RFC 5961).
    #[cold]
    fn on_reset(&mut self, segment: &Segment, out: &mut Outbox) {
        if segment.seq != self.receiving.nxt {
            self.receiving.ack_now = self.state != State::SynReceived;
            return;
        }
        match self.state {
            State::SynReceived if self.passive => self.close_now(),
            State::SynReceived => {
                out.tally.refused += 1;
                self.fail(ConnectionError::Refused);
            }
            State::CloseWait => {
                out.tally.resets += 1;
                self.fail(ConnectionError::BrokenPipe);
            }
            State::Established | State::FinWait1 | State::FinWait2 => {
                out.tally.resets += 1;
                self.fail(ConnectionError::Reset);
            }
            // Both ends have sent all their data.
            State::Closing | State::LastAck | State::TimeWait => self.close_now(),
            State::SynSent | State::Closed => {}
        }
    }

    /// A SYN on a synchronised connection: the peer missed the answer, or it has restarted.
    #[cold]
    fn on_stray_syn(&mut self, now: u64, segment: &Segment, out: &mut Outbox) {
        let repeated = segment.seq + 1 == self.receiving.nxt;
        let opening = repeated && !self.sending.syn_acked;
        if opening && !segment.flags.has(Flags::ACK) {
            if self.config.retransmit {
                self.send_head_again(now, out);
            }
        } else if opening {
            // Simultaneous open, and this is the SYN+ACK to the own SYN.
            if self.acknowledges_syn(segment) {
                self.on_syn_ack(now, segment, out);
                self.receiving.ack_now = true;
            }
        } else {
            self.receiving.ack_now = true;
        }
    }

    fn acknowledges_syn(&self, segment: &Segment) -> bool {
        segment.ack.after(self.sending.una) && !segment.ack.after(self.sending.nxt)
    }

    /// The SYN is acknowledged, and the FIN too if it followed at once.
    #[cold]
    fn on_syn_ack(&mut self, now: u64, segment: &Segment, out: &mut Outbox) {
        self.establish(now, segment.ack);
        if segment.ack.after(self.sending.una) {
            self.on_new_ack(now, segment.ack, out);
        }
        self.take_window(segment);
    }

    /// Completes the handshake.
    #[cold]
    fn establish(&mut self, now: u64, ack: Seq) {
        self.sending.una = self.first.0 + 1;
        self.sending.small = self.sending.una;
        self.sending.syn_acked = true;
        self.measure(now, ack);
        self.trip.established(&self.config);
        self.recovery = Recovery { round: self.recovery.round, ..Recovery::default() };
        self.deadlines.retransmit = NEVER;
        self.deadlines.life = NEVER;
        if self.state == State::FinWait1 {
            // It was closed during the handshake.
            self.bound_orphan(now);
            if self.in_flight() > 0 && self.config.retransmit {
                self.deadlines.retransmit = now.saturating_add(self.trip.rto(&self.config));
            }
        } else {
            self.state = State::Established;
        }
        self.events.add(Events::ESTABLISHED);
        self.events.add(Events::WRITABLE);
        self.heard(now);
    }

    /// Processes the acknowledgement. Returns false if the segment must be dropped.
    fn on_ack(&mut self, now: u64, segment: &Segment, out: &mut Outbox) -> bool {
        if !self.sending.syn_acked {
            if !self.acknowledges_syn(segment) {
                out.segments.extend(Segment::reset_for(segment));
                return false;
            }
            self.on_syn_ack(now, segment, out);
            return true;
        }
        if segment.ack.after(self.sending.nxt) {
            self.receiving.ack_now = true;
            return false;
        }
        self.recovery.probes = 0;
        if segment.ack.after(self.sending.una) {
            self.on_new_ack(now, segment.ack, out);
            self.take_window(segment);
        } else {
            let same_window = segment.window == self.sending.window;
            self.take_window(segment);
            if segment.ack == self.sending.una
                && segment.is_pure_ack()
                && same_window
                && self.in_flight() > 0
            {
                self.on_duplicate_ack(now, out);
            }
        }
        true
    }

    fn take_window(&mut self, segment: &Segment) {
        let sending = &mut self.sending;
        let newer = sending.wl1.before(segment.seq)
            || (sending.wl1 == segment.seq && !segment.ack.before(sending.wl2));
        if newer {
            sending.window = segment.window;
            sending.max_window = sending.max_window.max(segment.window);
            sending.wl1 = segment.seq;
            sending.wl2 = segment.ack;
        }
    }

    #[inline]
    fn on_new_ack(&mut self, now: u64, ack: Seq, out: &mut Outbox) {
        let sending = &mut self.sending;
        let advanced = ack.since(sending.una) as usize;
        let bytes = advanced.min(sending.buffer.sent());
        let fin_arrived = advanced > bytes;
        sending.buffer.acknowledge(bytes);
        sending.una = ack;
        self.measure(now, ack);
        self.trip.answered();
        self.recovery.retries = 0;
        self.deadlines.retransmit = if self.in_flight() > 0 && self.config.retransmit {
            now.saturating_add(self.trip.rto(&self.config))
        } else {
            NEVER
        };
        self.recovery.duplicate_acks = 0;
        match self.recovery.phase {
            Phase::Fast { until } if ack.before(until) => {
                self.send_again(now, ack, out);
            }
            Phase::Timeout { until, next } if ack.before(until) => {
                let mut next = next.max(ack);
                for _ in 0..2 {
                    if next.before(until) {
                        next = self.send_again(now, next, out);
                    }
                }
                self.recovery.phase = Phase::Timeout { until, next };
            }
            Phase::Open | Phase::Fast { .. } | Phase::Timeout { .. } => {
                self.recovery.phase = Phase::Open;
            }
        }
        self.wake_writer();
        if fin_arrived {
            self.on_fin_acknowledged(now);
        }
    }

    /// Wakes a waiting writer once a third of the send buffer is free, as on Linux.
    fn wake_writer(&mut self) {
        let held = self.sending.buffer.len();
        let room = self.config.send_buffer.saturating_sub(held);
        if self.sending.blocked && room > 0 && room >= held / 2 {
            self.sending.blocked = false;
            self.events.add(Events::WRITABLE);
        }
    }

    #[cold]
    fn on_fin_acknowledged(&mut self, now: u64) {
        match self.state {
            State::FinWait1 => {
                self.state = State::FinWait2;
                self.arm_fin_wait(now);
            }
            State::Closing => self.start_time_wait(now),
            State::LastAck => self.close_now(),
            State::SynSent
            | State::SynReceived
            | State::Established
            | State::FinWait2
            | State::CloseWait
            | State::TimeWait
            | State::Closed => {}
        }
    }

    #[cold]
    fn on_duplicate_ack(&mut self, now: u64, out: &mut Outbox) {
        self.recovery.duplicate_acks += 1;
        if self.recovery.duplicate_acks == FAST_RETRANSMIT
            && matches!(self.recovery.phase, Phase::Open)
            && self.config.retransmit
        {
            self.recovery.phase = Phase::Fast { until: self.sending.nxt };
            self.send_head_again(now, out);
        }
    }

    /// Processes payload. Returns false if it did not fit into the window: then a FIN behind it is ignored.
    fn on_payload(&mut self, now: u64, seq: Seq, mut payload: Payload, out: &mut Outbox) -> bool {
        match self.state {
            State::Established | State::FinWait1 | State::FinWait2 => {}
            // After the peer's FIN there can be no new data.
            State::CloseWait | State::Closing | State::LastAck | State::TimeWait => {
                out.tally.duplicates += 1;
                self.receiving.ack_now = true;
                return true;
            }
            State::SynSent | State::SynReceived | State::Closed => return true,
        }
        let end = seq + payload.len() as u32;
        if self.orphan && end.after(self.receiving.nxt) {
            // No process can read it.
            self.abort(out);
            return true;
        }
        let receiving = &mut self.receiving;
        let edge = receiving.edge.max(receiving.nxt);
        let whole = !end.after(edge);
        if !whole {
            payload.truncate(edge.since(seq) as usize);
            receiving.ack_now = true;
        }
        let offset = i64::from(seq.0.wrapping_sub(receiving.nxt.0).cast_signed());
        match receiving.buffer.insert(offset, payload) {
            Inserted::InOrder { bytes, filled } => {
                receiving.nxt = receiving.nxt + bytes as u32;
                out.tally.delivered += bytes as u64;
                self.events.add(Events::READABLE);
                if filled > 0 || self.receiving.buffer.has_gap() {
                    self.receiving.ack_now = true;
                } else {
                    self.owe_ack(now);
                }
            }
            Inserted::Ahead => {
                out.tally.out_of_order += 1;
                receiving.ack_now = true;
            }
            Inserted::Duplicate => {
                out.tally.duplicates += 1;
                receiving.ack_now = true;
            }
        }
        whole
    }

    /// Acknowledges every second full segment at once, others after a delay or with data.
    fn owe_ack(&mut self, now: u64) {
        let owed = self.receiving.nxt.since(self.receiving.acked);
        if owed > self.sending.mss || self.config.delayed_ack == 0 || self.quick_ack {
            self.receiving.ack_now = true;
        } else if self.deadlines.delayed_ack == NEVER {
            self.deadlines.delayed_ack = now.saturating_add(self.config.delayed_ack);
        }
    }

    /// Processes the peer's FIN, once all data before it is received.
    #[cold]
    fn end_stream(&mut self, now: u64) {
        self.receiving.nxt = self.receiving.nxt + 1;
        self.receiving.ended = true;
        self.receiving.ack_now = true;
        self.events.add(Events::READABLE);
        match self.state {
            State::Established => self.state = State::CloseWait,
            State::FinWait1 => self.state = State::Closing,
            State::FinWait2 => self.start_time_wait(now),
            State::SynSent
            | State::SynReceived
            | State::CloseWait
            | State::Closing
            | State::LastAck
            | State::TimeWait
            | State::Closed => {}
        }
    }

    /// Completes a round-trip measurement if its segment is acknowledged.
    fn measure(&mut self, now: u64, ack: Seq) {
        if let Some((end, sent)) = self.timing
            && !ack.before(end)
        {
            self.timing = None;
            self.trip.measured(now - sent, &self.config);
        }
    }
}
