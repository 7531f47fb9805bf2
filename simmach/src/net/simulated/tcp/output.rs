//! Sends segments: data and FIN within the window, acknowledgements, probes and retransmissions.

use crate::net::simulated::tcp::payload::Payload;
use crate::net::simulated::tcp::segment::{Flags, Segment, Seq, SynOptions};
use crate::net::simulated::tcp::{Connection, NEVER, Outbox, State};

/// A window of at least this many full segments does not need window updates.
const WINDOW_UPDATE_SEGMENTS: u32 = 16;

impl Connection {
    /// Sends everything that may be sent now, and an acknowledgement if one is due.
    #[inline]
    pub(super) fn send_pending(&mut self, now: u64, out: &mut Outbox) {
        match self.state {
            State::Established
            | State::FinWait1
            | State::CloseWait
            | State::Closing
            | State::LastAck => {
                if self.has_unsent() {
                    self.send_new_segments(now, out);
                } else {
                    self.disarm_persist();
                }
            }
            State::SynSent
            | State::SynReceived
            | State::FinWait2
            | State::TimeWait
            | State::Closed => {}
        }
        if self.receiving.ack_now {
            self.send_ack(out);
        }
    }

    #[inline]
    fn send_new_segments(&mut self, now: u64, out: &mut Outbox) {
        while self.has_unsent()
            && let Some((len, fin)) = self.next_segment()
        {
            let sending = &mut self.sending;
            let seq = sending.snd_nxt;
            let payload = sending.buffer.send_next(len as usize, &mut out.arena);
            sending.snd_nxt = seq + len + u32::from(fin);
            sending.fin_sent |= fin;
            if sending.partial_len(len) > 0 {
                sending.snd_sml = sending.snd_nxt;
            }
            if self.rtt_probe.is_none() {
                self.rtt_probe = Some((self.sending.snd_nxt, now));
            }
            self.push_segment(seq, payload, fin, 0, out);
            if self.config.retransmit && self.deadlines.retransmit == NEVER {
                self.deadlines.retransmit = now.saturating_add(self.rtt.rto(&self.config));
            }
        }
        self.arm_persist(now);
    }

    /// Length of the next new segment, and whether it carries the FIN. `None` if nothing may be sent now.
    fn next_segment(&self) -> Option<(u32, bool)> {
        let sending = &self.sending;
        let unsent = sending.buffer.unsent() as u32;
        let wants_fin = sending.fin_queued && !sending.fin_sent;
        let usable = self.usable_window();
        let mut len = unsent.min(usable).min(sending.max_segment);
        if unsent > 0 && len == 0 {
            return None;
        }
        let partial = sending.partial_len(len);
        if len == unsent {
            if partial > 0 && self.is_held_by_nagle() {
                len -= partial;
                return (len > 0).then_some((len, false));
            }
            let fin = wants_fin && usable > len;
            return (len > 0 || fin).then_some((len, fin));
        }
        // Limited by the window: send full segments, or at least half the largest window (RFC 9293, 3.8.6.2.1).
        if partial > 0 && len < sending.max_snd_wnd / 2 {
            len -= partial;
        }
        (len > 0).then_some((len, false))
    }

    /// Nagle's algorithm with Minshall's modification: a small segment waits while another one is in flight.
    fn is_held_by_nagle(&self) -> bool {
        let sending = &self.sending;
        !self.nodelay && !sending.fin_queued && sending.snd_sml.after(sending.snd_una)
    }

    fn usable_window(&self) -> u32 {
        let window_end = self.sending.snd_una + self.sending.snd_wnd;
        if window_end.after(self.sending.snd_nxt) {
            window_end.since(self.sending.snd_nxt)
        } else {
            0
        }
    }

    /// Arms the persist timer if there is unsent data, nothing in flight and too small a window.
    fn arm_persist(&mut self, now: u64) {
        if !self.has_unsent() || self.in_flight() > 0 {
            self.disarm_persist();
        } else if self.deadlines.persist == NEVER {
            self.deadlines.persist = now.saturating_add(self.rtt.rto(&self.config));
        }
    }

    fn disarm_persist(&mut self) {
        self.deadlines.persist = NEVER;
        self.recovery.probe_backoff = 0;
    }

    /// Whether there are unsent bytes, or an unsent FIN.
    fn has_unsent(&self) -> bool {
        let sending = &self.sending;
        sending.buffer.unsent() > 0 || (sending.fin_queued && !sending.fin_sent)
    }

    /// Sends what fits into the window, or a window probe if nothing does.
    #[cold]
    pub(super) fn probe(&mut self, now: u64, out: &mut Outbox) {
        let sending = &mut self.sending;
        let window_end = sending.snd_una + sending.snd_wnd;
        let usable =
            if window_end.after(sending.snd_nxt) { window_end.since(sending.snd_nxt) } else { 0 };
        let len = (sending.buffer.unsent() as u32).min(usable).min(sending.mss);
        if len > 0 {
            let seq = sending.snd_nxt;
            let payload = sending.buffer.send_next(len as usize, &mut out.arena);
            sending.snd_nxt = seq + len;
            sending.snd_sml = sending.snd_nxt;
            self.push_segment(seq, payload, false, 0, out);
            if self.config.retransmit {
                self.deadlines.retransmit = now.saturating_add(self.rtt.rto(&self.config));
            }
        } else {
            self.send_probe(self.recovery.probes, out);
        }
    }

    /// Sends a probe: an empty segment with a number that is already acknowledged, which the peer answers with an ACK.
    #[cold]
    pub(super) fn send_probe(&mut self, nth: u32, out: &mut Outbox) {
        let before = Seq(self.sending.snd_una.0.wrapping_sub(1));
        self.push_segment(before, Payload::EMPTY, false, nth, out);
    }

    /// Starts a recovery: retransmits the first unacknowledged segment.
    #[cold]
    pub(super) fn retransmit_first(&mut self, now: u64, out: &mut Outbox) -> Seq {
        self.recovery.round += 1;
        self.retransmit(now, self.sending.snd_una, out)
    }

    /// Retransmits the segment that starts at `from`, and returns its end.
    #[cold]
    pub(super) fn retransmit(&mut self, now: u64, from: Seq, out: &mut Outbox) -> Seq {
        self.rtt_probe = None;
        out.counters.retransmissions += 1;
        let round = self.recovery.round;
        if !self.sending.syn_acked {
            self.send_syn(now, round, out);
            return self.sending.snd_una + 1;
        }
        match self.state {
            State::SynSent
            | State::SynReceived
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck
            | State::TimeWait
            | State::Closed => {
                let sending = &self.sending;
                let skip = (from.since(sending.snd_una) as usize).min(sending.buffer.sent());
                let len = (sending.buffer.sent() - skip).min(sending.max_segment as usize);
                let fin = sending.fin_sent && skip + len == sending.buffer.sent();
                let payload = sending.buffer.retransmit_slice(skip, len, &mut out.arena);
                self.push_segment(from, payload, fin, round, out);
                from + len as u32 + u32::from(fin)
            }
        }
    }

    /// Sends a SYN, or a SYN+ACK if the peer's SYN was received.
    #[cold]
    pub(super) fn send_syn(&mut self, now: u64, transmission: u32, out: &mut Outbox) {
        let mut flags = Flags::SYN;
        if self.state != State::SynSent {
            flags = flags.with(Flags::ACK);
        }
        let mut syn = self.segment(self.sending.snd_una, flags, Payload::EMPTY);
        syn.transmission = transmission;
        syn.window = (self.config.receive_buffer as u32).min(u32::from(u16::MAX));
        syn.options = Some(SynOptions {
            mss: self.sending.mss.min(u32::from(u16::MAX)) as u16,
            window_scale: self.receiving.rcv_wscale,
        });
        if self.state != State::SynSent {
            self.receiving.rcv_adv =
                self.receiving.rcv_adv.max(self.receiving.rcv_nxt + syn.window);
        }
        // A FIN may have been sent already.
        self.sending.snd_nxt = self.sending.snd_nxt.max(self.sending.snd_una + 1);
        if transmission == 0 {
            self.rtt_probe = Some((self.sending.snd_nxt, now));
        }
        out.segments.push(syn);
    }

    /// Sends an acknowledgement without data.
    pub(super) fn send_ack(&mut self, out: &mut Outbox) {
        let (last, times) = self.receiving.last_pure_ack;
        let again = if last == self.receiving.rcv_nxt { times.wrapping_add(1) } else { 0 };
        self.receiving.last_pure_ack = (self.receiving.rcv_nxt, again);
        self.push_segment(self.sending.snd_nxt, Payload::EMPTY, false, again, out);
    }

    #[cold]
    pub(super) fn send_reset(&mut self, out: &mut Outbox) {
        let reset = self.segment(self.sending.snd_nxt, Flags::RST.with(Flags::ACK), Payload::EMPTY);
        out.segments.push(reset);
    }

    /// Sends a segment of a synchronized connection. It acknowledges everything received.
    #[inline]
    fn push_segment(
        &mut self,
        seq: Seq,
        payload: Payload,
        fin: bool,
        transmission: u32,
        out: &mut Outbox,
    ) {
        let mut flags = Flags::ACK;
        if fin {
            flags = flags.with(Flags::FIN);
        }
        if !payload.is_empty() && self.sending.buffer.unsent() == 0 {
            flags = flags.with(Flags::PSH);
        }
        let window = self.advertised_window();
        let ack = self.receiving.rcv_nxt;
        self.receiving.rcv_wup = ack;
        self.receiving.ack_now = false;
        self.deadlines.delayed_ack = NEVER;
        // The segment is built in place, since copying a segment that was just written would stall on store forwarding.
        out.segments.push(Segment::EMPTY);
        let Some(segment) = out.segments.last_mut() else { return };
        (segment.seq, segment.ack, segment.window) = (seq, ack, window);
        (segment.flags, segment.transmission) = (flags, transmission);
        segment.payload = payload;
    }

    /// The window to advertise. Its right edge never moves back, and does not move forward by small steps (RFC 9293,
    /// 3.8.6.2.2).
    fn advertised_window(&mut self) -> u32 {
        let window_end = self.receiving.rcv_nxt + self.free_space();
        let receiving = &mut self.receiving;
        if window_end.after(receiving.rcv_adv) {
            let sliver = (self.config.receive_buffer as u32 / 2).min(self.sending.mss);
            if window_end.since(receiving.rcv_adv) >= sliver || receiving.buffer.len() == 0 {
                receiving.rcv_adv = window_end;
            }
        }
        let window = receiving.rcv_adv.since(receiving.rcv_nxt);
        let scale = receiving.rcv_wscale.unwrap_or(0);
        (window >> scale).min(u32::from(u16::MAX)) << scale
    }

    fn free_space(&self) -> u32 {
        self.config.receive_buffer.saturating_sub(self.receiving.buffer.len()) as u32
    }

    /// Sends a window update if a read has opened the window far beyond what the peer knows.
    pub(super) fn on_window_opened(&mut self, now: u64, out: &mut Outbox) {
        match self.state {
            State::Established | State::FinWait1 | State::FinWait2 => {}
            State::SynSent
            | State::SynReceived
            | State::CloseWait
            | State::Closing
            | State::LastAck
            | State::TimeWait
            | State::Closed => return,
        }
        let receiving = &self.receiving;
        let known = if receiving.rcv_adv.after(receiving.rcv_nxt) {
            receiving.rcv_adv.since(receiving.rcv_nxt)
        } else {
            0
        };
        if known >= WINDOW_UPDATE_SEGMENTS * self.sending.mss {
            return;
        }
        let free = self.free_space();
        let sliver = (self.config.receive_buffer as u32 / 2).min(self.sending.mss);
        if free >= 2 * known && free - known >= sliver {
            self.receiving.ack_now = true;
            self.send_pending(now, out);
        }
    }
}
