//! Processes arriving segments as RFC 9293, 3.10.7 says, in its order, with the checks of RFC 5961.

use crate::net::simulated::tcp::buffers::InsertResult;
use crate::net::simulated::tcp::payload::Payload;
use crate::net::simulated::tcp::segment::{Flags, Segment, Seq};
use crate::net::simulated::tcp::{
    Connection, ConnectionError, Events, NEVER, Outbox, Recovery, RecoveryPhase, State,
};

/// Number of duplicate acknowledgements after which a segment counts as lost.
const FAST_RETRANSMIT: u32 = 3;

impl Connection {
    /// Processes an arriving segment. Takes the payload out of the segment.
    #[inline]
    pub(crate) fn on_segment(&mut self, now: u64, segment: &mut Segment, out: &mut Outbox) {
        self.restart_keep_alive(now);
        match self.state {
            State::Closed => {}
            State::SynSent => self.on_segment_in_syn_sent(now, segment, out),
            State::SynReceived
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck
            | State::TimeWait => self.on_segment_synchronized(now, segment, out),
        }
        self.send_pending(now, out);
    }

    #[cold]
    fn on_segment_in_syn_sent(&mut self, now: u64, segment: &Segment, out: &mut Outbox) {
        let answers = segment.flags.has(Flags::ACK);
        if answers && segment.ack != self.sending.snd_nxt {
            out.segments.extend(Segment::reset_for(segment));
            return;
        }
        if segment.flags.has(Flags::RST) {
            if answers {
                out.counters.refused += 1;
                self.fail(ConnectionError::Refused);
            }
            return;
        }
        if !segment.flags.has(Flags::SYN) {
            return;
        }
        self.take_peer_syn(segment);
        if answers {
            self.receiving.ack_now = true;
            self.establish(now, segment.ack);
        } else {
            // Simultaneous open.
            self.state = State::SynReceived;
            self.send_syn(now, 0, out);
        }
    }

    fn on_segment_synchronized(&mut self, now: u64, segment: &mut Segment, out: &mut Outbox) {
        if !self.is_acceptable(segment) {
            return self.on_unacceptable(now, segment, out);
        }
        if segment.flags.has(Flags::RST) {
            return self.on_reset(segment, out);
        }
        if segment.flags.has(Flags::SYN) {
            return self.on_unexpected_syn(now, segment, out);
        }
        if !segment.flags.has(Flags::ACK) || !self.on_ack(now, segment, out) {
            return;
        }
        let fin = segment.flags.has(Flags::FIN);
        let end = segment.seq + segment.payload.len() as u32;
        let fits = segment.payload.is_empty()
            || self.on_payload(now, segment.seq, std::mem::take(&mut segment.payload), out);
        if fin && fits && self.state != State::Closed {
            self.receiving.peer_fin = Some(end);
            self.receiving.ack_now = true;
            if self.state == State::TimeWait {
                self.start_time_wait(now);
            }
        }
        if self.receiving.peer_fin == Some(self.receiving.rcv_nxt) && !self.receiving.ended {
            self.end_stream(now);
        }
    }

    /// Whether the segment is acceptable. As on Linux, from `rcv_wup` instead of `rcv_nxt` on, so that an
    /// acknowledgement that was overtaken is still processed.
    fn is_acceptable(&self, segment: &Segment) -> bool {
        let receiving = &self.receiving;
        let window_end = receiving.rcv_adv.max(receiving.rcv_nxt);
        !segment.end().before(receiving.rcv_wup) && !segment.seq.after(window_end)
    }

    #[cold]
    fn on_unacceptable(&mut self, now: u64, segment: &Segment, out: &mut Outbox) {
        if segment.flags.has(Flags::RST) {
            return;
        }
        if segment.flags.has(Flags::SYN) {
            return self.on_unexpected_syn(now, segment, out);
        }
        if segment.len() > 0 {
            out.counters.duplicates += 1;
        }
        if self.state == State::TimeWait && segment.flags.has(Flags::FIN) {
            self.start_time_wait(now);
        }
        self.receiving.ack_now = true;
    }

    /// A reset is accepted only with exactly the expected number. For any other number, a challenge ACK is sent (RFC 5961).
    #[cold]
    fn on_reset(&mut self, segment: &Segment, out: &mut Outbox) {
        if segment.seq != self.receiving.rcv_nxt {
            self.receiving.ack_now = self.state != State::SynReceived;
            return;
        }
        match self.state {
            State::SynReceived if self.passive => self.close_now(),
            State::SynReceived => {
                out.counters.refused += 1;
                self.fail(ConnectionError::Refused);
            }
            State::CloseWait => {
                out.counters.resets += 1;
                self.fail(ConnectionError::BrokenPipe);
            }
            State::Established | State::FinWait1 | State::FinWait2 => {
                out.counters.resets += 1;
                self.fail(ConnectionError::Reset);
            }
            // Both ends have sent all their data.
            State::Closing | State::LastAck | State::TimeWait => self.close_now(),
            State::SynSent | State::Closed => {}
        }
    }

    /// A SYN on a synchronized connection: the peer missed the answer, or it has restarted.
    #[cold]
    fn on_unexpected_syn(&mut self, now: u64, segment: &Segment, out: &mut Outbox) {
        let repeated = segment.seq + 1 == self.receiving.rcv_nxt;
        let opening = repeated && !self.sending.syn_acked;
        if opening && !segment.flags.has(Flags::ACK) {
            if self.config.retransmit {
                self.retransmit_first(now, out);
            }
        } else if opening {
            // Simultaneous open: this segment is the SYN+ACK that answers the own SYN.
            if self.acknowledges_syn(segment) {
                self.on_syn_ack(now, segment, out);
                self.receiving.ack_now = true;
            }
        } else {
            self.receiving.ack_now = true;
        }
    }

    fn acknowledges_syn(&self, segment: &Segment) -> bool {
        segment.ack.after(self.sending.snd_una) && !segment.ack.after(self.sending.snd_nxt)
    }

    /// The segment acknowledges the SYN, and the FIN too if it followed at once.
    #[cold]
    fn on_syn_ack(&mut self, now: u64, segment: &Segment, out: &mut Outbox) {
        self.establish(now, segment.ack);
        if segment.ack.after(self.sending.snd_una) {
            self.on_new_ack(now, segment.ack, out);
        }
        self.update_window(segment);
    }

    /// Completes the handshake.
    #[cold]
    fn establish(&mut self, now: u64, ack: Seq) {
        self.sending.snd_una = self.iss_irs.0 + 1;
        self.sending.snd_sml = self.sending.snd_una;
        self.sending.syn_acked = true;
        self.finish_rtt_probe(now, ack);
        self.rtt.on_established(&self.config);
        self.recovery = Recovery { round: self.recovery.round, ..Recovery::default() };
        self.deadlines.retransmit = NEVER;
        self.deadlines.lifetime = NEVER;
        if self.state == State::FinWait1 {
            // It was closed during the handshake.
            self.limit_orphan(now);
            if self.in_flight() > 0 && self.config.retransmit {
                self.deadlines.retransmit = now.saturating_add(self.rtt.rto(&self.config));
            }
        } else {
            self.state = State::Established;
        }
        self.events.add(Events::ESTABLISHED);
        self.events.add(Events::WRITABLE);
        self.restart_keep_alive(now);
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
        if segment.ack.after(self.sending.snd_nxt) {
            self.receiving.ack_now = true;
            return false;
        }
        self.recovery.probes = 0;
        if segment.ack.after(self.sending.snd_una) {
            self.on_new_ack(now, segment.ack, out);
            self.update_window(segment);
        } else {
            let same_window = segment.window == self.sending.snd_wnd;
            self.update_window(segment);
            if segment.ack == self.sending.snd_una
                && segment.is_pure_ack()
                && same_window
                && self.in_flight() > 0
            {
                self.on_duplicate_ack(now, out);
            }
        }
        true
    }

    fn update_window(&mut self, segment: &Segment) {
        let sending = &mut self.sending;
        let newer = sending.snd_wl1.before(segment.seq)
            || (sending.snd_wl1 == segment.seq && !segment.ack.before(sending.snd_wl2));
        if newer {
            sending.snd_wnd = segment.window;
            sending.max_snd_wnd = sending.max_snd_wnd.max(segment.window);
            sending.snd_wl1 = segment.seq;
            sending.snd_wl2 = segment.ack;
        }
    }

    #[inline]
    fn on_new_ack(&mut self, now: u64, ack: Seq, out: &mut Outbox) {
        let sending = &mut self.sending;
        let advanced = ack.since(sending.snd_una) as usize;
        let bytes = advanced.min(sending.buffer.sent());
        let fin_arrived = advanced > bytes;
        sending.buffer.acknowledge(bytes);
        sending.snd_una = ack;
        self.finish_rtt_probe(now, ack);
        self.rtt.reset_backoff();
        self.recovery.retries = 0;
        self.deadlines.retransmit = if self.in_flight() > 0 && self.config.retransmit {
            now.saturating_add(self.rtt.rto(&self.config))
        } else {
            NEVER
        };
        self.recovery.duplicate_acks = 0;
        match self.recovery.phase {
            RecoveryPhase::Fast { until } if ack.before(until) => {
                self.retransmit(now, ack, out);
            }
            RecoveryPhase::Timeout { until, next } if ack.before(until) => {
                let mut next = next.max(ack);
                for _ in 0..2 {
                    if next.before(until) {
                        next = self.retransmit(now, next, out);
                    }
                }
                self.recovery.phase = RecoveryPhase::Timeout { until, next };
            }
            RecoveryPhase::Open | RecoveryPhase::Fast { .. } | RecoveryPhase::Timeout { .. } => {
                self.recovery.phase = RecoveryPhase::Open;
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
        if self.sending.writer_waiting && room > 0 && room >= held / 2 {
            self.sending.writer_waiting = false;
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
            && matches!(self.recovery.phase, RecoveryPhase::Open)
            && self.config.retransmit
        {
            self.recovery.phase = RecoveryPhase::Fast { until: self.sending.snd_nxt };
            self.retransmit_first(now, out);
        }
    }

    /// Processes payload. Returns false if it did not fit into the window; in that case, a FIN behind it is ignored.
    fn on_payload(&mut self, now: u64, seq: Seq, mut payload: Payload, out: &mut Outbox) -> bool {
        match self.state {
            State::Established | State::FinWait1 | State::FinWait2 => {}
            // After the peer's FIN there can be no new data.
            State::CloseWait | State::Closing | State::LastAck | State::TimeWait => {
                out.counters.duplicates += 1;
                self.receiving.ack_now = true;
                return true;
            }
            State::SynSent | State::SynReceived | State::Closed => return true,
        }
        let end = seq + payload.len() as u32;
        if self.orphan && end.after(self.receiving.rcv_nxt) {
            // No process can read the payload.
            self.abort(out);
            return true;
        }
        let receiving = &mut self.receiving;
        let window_end = receiving.rcv_adv.max(receiving.rcv_nxt);
        let fits = !end.after(window_end);
        if !fits {
            payload.truncate(window_end.since(seq) as usize);
            receiving.ack_now = true;
        }
        let offset = i64::from(seq.0.wrapping_sub(receiving.rcv_nxt.0).cast_signed());
        match receiving.buffer.insert(offset, payload) {
            InsertResult::InOrder { bytes, filled } => {
                receiving.rcv_nxt = receiving.rcv_nxt + bytes as u32;
                out.counters.delivered += bytes as u64;
                self.events.add(Events::READABLE);
                if filled > 0 || self.receiving.buffer.has_gap() {
                    self.receiving.ack_now = true;
                } else {
                    self.schedule_ack(now);
                }
            }
            InsertResult::Ahead => {
                out.counters.out_of_order += 1;
                receiving.ack_now = true;
            }
            InsertResult::Duplicate => {
                out.counters.duplicates += 1;
                receiving.ack_now = true;
            }
        }
        fits
    }

    /// Acknowledges every second full segment at once, others after a delay or with data.
    fn schedule_ack(&mut self, now: u64) {
        let owed = self.receiving.rcv_nxt.since(self.receiving.rcv_wup);
        if owed > self.sending.mss || self.config.delayed_ack == 0 || self.quick_ack {
            self.receiving.ack_now = true;
        } else if self.deadlines.delayed_ack == NEVER {
            self.deadlines.delayed_ack = now.saturating_add(self.config.delayed_ack);
        }
    }

    /// Processes the peer's FIN, once all data before it is received.
    #[cold]
    fn end_stream(&mut self, now: u64) {
        self.receiving.rcv_nxt = self.receiving.rcv_nxt + 1;
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
    fn finish_rtt_probe(&mut self, now: u64, ack: Seq) {
        if let Some((end, sent)) = self.rtt_probe
            && !ack.before(end)
        {
            self.rtt_probe = None;
            self.rtt.add_sample(now - sent, &self.config);
        }
    }
}
