//! The timers of a connection: retransmission, zero-window probes, keep-alive, delayed
//! acknowledgements and lifetimes.

use crate::net::simulated::tcp::config::nanos;
use crate::net::simulated::tcp::{
    Connection, ConnectionError, Deadlines, NEVER, Outbox, Recovery, RecoveryPhase, State,
};

impl Connection {
    /// Whether the connection times out if nothing arrives from the peer. Keep-alive and answered
    /// zero-window probes do not count, since they can continue forever.
    pub(crate) fn will_time_out(&self) -> bool {
        match self.state {
            State::SynSent => true,
            State::SynReceived
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck => {
                let resends = self.in_flight() > 0 && self.deadlines.retransmit != NEVER;
                let probes = self.recovery.probes > 0 && self.deadlines.persist != NEVER;
                resends || probes
            }
            State::TimeWait | State::Closed => false,
        }
    }

    /// Describes the next deadline.
    pub(crate) fn describe_next_deadline(&self) -> &'static str {
        let Deadlines { retransmit, delayed_ack, persist, lifetime, keep_alive } = self.deadlines;
        let all = [
            (retransmit, "a retransmission"),
            (delayed_ack, "a delayed acknowledgement"),
            (persist, "a zero-window probe"),
            (lifetime, if self.state == State::SynSent { "the timeout" } else { "the end" }),
            (keep_alive, "a keep-alive probe"),
        ];
        all.into_iter().min_by_key(|(at, _)| *at).map_or("nothing", |(_, what)| what)
    }

    /// Handles all deadlines up to `now`.
    pub(crate) fn on_timer(&mut self, now: u64, out: &mut Outbox) {
        let due = |deadline: &mut u64| {
            let due = *deadline <= now;
            if due {
                *deadline = NEVER;
            }
            due
        };
        let Deadlines { retransmit, delayed_ack, persist, lifetime, keep_alive } =
            &mut self.deadlines;
        let (retransmit, delayed_ack, persist, lifetime, keep_alive) =
            (due(retransmit), due(delayed_ack), due(persist), due(lifetime), due(keep_alive));
        if lifetime {
            self.on_lifetime_end(out);
        }
        if retransmit {
            self.on_retransmit_timer(now, out);
        }
        if persist {
            self.on_persist_timer(now, out);
        }
        if keep_alive {
            self.on_keep_alive_timer(now, out);
        }
        if delayed_ack {
            self.receiving.ack_now = self.state != State::Closed;
        }
        self.send_pending(now, out);
    }

    /// Arms the timer of the handshake: retransmission, or without it the connect timeout.
    pub(super) fn arm_handshake(&mut self, now: u64) {
        if self.config.retransmit {
            self.deadlines.retransmit = now.saturating_add(self.rtt.rto(&self.config));
        } else {
            self.deadlines.lifetime = now.saturating_add(self.config.connect_timeout);
        }
    }

    /// Restarts the keep-alive timer after a segment from the peer.
    pub(super) fn restart_keep_alive(&mut self, now: u64) {
        let Some(keep_alive) = self.config.keep_alive else {
            return;
        };
        match self.state {
            State::Established | State::FinWait2 | State::CloseWait => {
                self.recovery.probes = 0;
                self.deadlines.keep_alive = now.saturating_add(nanos(keep_alive.idle));
            }
            State::SynSent
            | State::SynReceived
            | State::FinWait1
            | State::Closing
            | State::LastAck
            | State::TimeWait
            | State::Closed => self.deadlines.keep_alive = NEVER,
        }
    }

    #[cold]
    pub(super) fn start_time_wait(&mut self, now: u64) {
        self.state = State::TimeWait;
        self.deadlines = Deadlines {
            lifetime: now.saturating_add(self.config.time_wait),
            ..Deadlines::default()
        };
    }

    /// Limits how long an orphan waits for the peer's FIN in FIN-WAIT-2.
    pub(super) fn arm_fin_wait(&mut self, now: u64) {
        if self.orphan && self.state == State::FinWait2 {
            self.deadlines.lifetime = now.saturating_add(self.config.fin_timeout);
        }
    }

    #[cold]
    fn on_lifetime_end(&mut self, out: &mut Outbox) {
        match self.state {
            State::SynSent => {
                out.counters.timed_out += 1;
                self.fail(ConnectionError::TimedOut);
            }
            State::SynReceived
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck
            | State::TimeWait => self.close_now(),
            State::Closed => {}
        }
    }

    #[cold]
    fn on_retransmit_timer(&mut self, now: u64, out: &mut Outbox) {
        if self.in_flight() == 0 {
            return;
        }
        let given_up = match self.state {
            State::SynSent => self.recovery.retries >= self.config.syn_retries,
            State::SynReceived => self.recovery.retries >= self.config.syn_ack_retries,
            State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck => {
                let retries =
                    if self.orphan { self.config.orphan_retries } else { self.config.data_retries };
                let Recovery { retries: before, first_retry_at, .. } = self.recovery;
                before > 0 && now - first_retry_at >= self.config.retry_span(retries)
            }
            State::TimeWait | State::Closed => return,
        };
        if given_up {
            out.counters.timed_out += 1;
            return self.fail(ConnectionError::TimedOut);
        }
        if self.recovery.retries == 0 {
            self.recovery.first_retry_at = now;
        }
        self.recovery.retries += 1;
        self.recovery.duplicate_acks = 0;
        self.rtt.back_off();
        let next = self.retransmit_first(now, out);
        self.recovery.phase = RecoveryPhase::Timeout { until: self.sending.snd_nxt, next };
        self.deadlines.retransmit = now.saturating_add(self.rtt.rto(&self.config));
    }

    #[cold]
    fn on_persist_timer(&mut self, now: u64, out: &mut Outbox) {
        if self.has_exhausted_probes() {
            out.counters.timed_out += 1;
            return self.fail(ConnectionError::TimedOut);
        }
        self.probe(now, out);
        if self.in_flight() == 0 {
            self.recovery.probes += 1;
            self.recovery.probe_backoff += 1;
            self.deadlines.persist = now.saturating_add(self.probe_interval());
        }
    }

    fn probe_interval(&self) -> u64 {
        let wait = self.rtt.rto(&self.config) << self.recovery.probe_backoff.min(10);
        wait.min(self.config.rto_max)
    }

    /// Whether the connection is given up. As in Linux's `tcp_probe_timer`, an orphan is given up even if its probes are
    /// answered, once their interval has reached the maximum. Otherwise, a peer that never reads would keep it forever.
    fn has_exhausted_probes(&self) -> bool {
        let most = if self.orphan { self.config.orphan_retries } else { self.config.data_retries };
        let slowest = self.orphan && self.probe_interval() == self.config.rto_max;
        self.recovery.probes >= most || slowest
    }

    #[cold]
    fn on_keep_alive_timer(&mut self, now: u64, out: &mut Outbox) {
        let Some(keep_alive) = self.config.keep_alive else {
            return;
        };
        if self.in_flight() > 0 || self.deadlines.persist != NEVER {
            // Retransmissions or zero-window probes are already in progress.
            self.deadlines.keep_alive = now.saturating_add(nanos(keep_alive.idle));
        } else if self.recovery.probes >= keep_alive.probes {
            out.counters.timed_out += 1;
            self.fail(ConnectionError::TimedOut);
        } else {
            self.send_probe(self.recovery.probes, out);
            self.recovery.probes += 1;
            self.deadlines.keep_alive = now.saturating_add(nanos(keep_alive.interval));
        }
    }
}
