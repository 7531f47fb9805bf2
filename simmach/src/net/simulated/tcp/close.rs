//! How a connection ends: half of it, all of it, at once.

use crate::net::simulated::tcp::{Connection, NEVER, Output, State};

impl Connection {
    /// No more will be written: a FIN follows what was. False when there is nothing to shut.
    pub(crate) fn shutdown(&mut self, now: u64, out: &mut Output) -> bool {
        self.state = match self.state {
            State::Established => State::FinWait1,
            State::CloseWait => State::LastAck,
            State::FinWait1
            | State::FinWait2
            | State::Closing
            | State::LastAck
            | State::TimeWait => return true,
            State::SynSent | State::SynReceived | State::Closed => return false,
        };
        self.sending.fin_queued = true;
        self.output(now, out);
        true
    }

    /// The socket is dropped. What was written still goes out and a FIN follows; unread bytes, or `reset`
    /// (`SO_LINGER` 0), make it a reset.
    pub(crate) fn close(&mut self, now: u64, reset: bool, out: &mut Output) {
        self.orphan = true;
        match self.state {
            State::SynSent => self.close_now(),
            State::SynReceived if self.passive || reset => self.abort(out),
            // Both ends opened at once, and nothing can have been written: the FIN need not wait for an acknowledgement of
            // the SYN (RFC 9293, 3.10.4).
            State::SynReceived => {
                self.state = State::FinWait1;
                self.sending.fin_queued = true;
                self.output(now, out);
                self.bound_orphan(now);
            }
            State::Established | State::FinWait1 | State::FinWait2 | State::CloseWait => {
                if reset || self.receiving.buffer.len() > 0 {
                    self.abort(out);
                } else {
                    self.shutdown(now, out);
                    self.arm_fin_wait(now);
                    self.bound_orphan(now);
                }
            }
            State::Closing | State::LastAck if reset || self.receiving.buffer.len() > 0 => {
                self.abort(out);
            }
            State::Closing | State::LastAck => self.bound_orphan(now),
            State::TimeWait | State::Closed => {}
        }
        self.receiving.buffer.clear();
        self.deadlines.keep_alive = NEVER;
    }

    /// Ends it with a reset.
    pub(crate) fn abort(&mut self, out: &mut Output) {
        match self.state {
            State::SynReceived
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck => self.send_reset(out),
            State::SynSent | State::TimeWait | State::Closed => {}
        }
        self.close_now();
    }

    /// Without retransmission nothing else would end an orphan whose FIN was lost.
    pub(super) fn bound_orphan(&mut self, now: u64) {
        if !self.config.retransmit && self.state != State::Closed {
            self.deadlines.life =
                self.deadlines.life.min(now.saturating_add(self.config.fin_timeout));
        }
    }
}
