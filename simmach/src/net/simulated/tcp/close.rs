//! The end of a connection: shutdown, close, abort.

use crate::net::simulated::tcp::{Connection, NEVER, Outbox, State};

impl Connection {
    /// Shuts down the write direction: a FIN follows the data. Returns false if the connection is not open.
    pub(crate) fn shutdown(&mut self, now: u64, out: &mut Outbox) -> bool {
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
        self.send_pending(now, out);
        true
    }

    /// Closes a connection whose socket was dropped: a FIN follows the data. If there are unread
    /// bytes or `reset` is set (`SO_LINGER` 0), the connection is reset instead.
    pub(crate) fn close(&mut self, now: u64, reset: bool, out: &mut Outbox) {
        self.orphan = true;
        match self.state {
            State::SynSent => self.close_now(),
            State::SynReceived if self.passive || reset => self.abort(out),
            // Simultaneous open: nothing can have been written, and the FIN need not wait for an acknowledgement of the
            // SYN (RFC 9293, 3.10.4).
            State::SynReceived => {
                self.state = State::FinWait1;
                self.sending.fin_queued = true;
                self.send_pending(now, out);
                self.limit_orphan(now);
            }
            State::Established | State::FinWait1 | State::FinWait2 | State::CloseWait => {
                if reset || self.receiving.buffer.len() > 0 {
                    self.abort(out);
                } else {
                    self.shutdown(now, out);
                    self.arm_fin_wait(now);
                    self.limit_orphan(now);
                }
            }
            State::Closing | State::LastAck if reset || self.receiving.buffer.len() > 0 => {
                self.abort(out);
            }
            State::Closing | State::LastAck => self.limit_orphan(now),
            State::TimeWait | State::Closed => {}
        }
        self.receiving.buffer.clear();
        self.deadlines.keep_alive = NEVER;
    }

    /// Ends the connection with a reset.
    pub(crate) fn abort(&mut self, out: &mut Outbox) {
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

    /// Without retransmission, an orphan whose FIN was lost would never end.
    pub(super) fn limit_orphan(&mut self, now: u64) {
        if !self.config.retransmit && self.state != State::Closed {
            self.deadlines.lifetime =
                self.deadlines.lifetime.min(now.saturating_add(self.config.fin_timeout));
        }
    }
}
