//! The figures of a TCP stack, with Linux's defaults.
//!
//! Modelled: buffers, the maximum segment size, time-outs and retries, delayed acknowledgements, TIME-WAIT,
//! keep-alive, the range of ephemeral ports, the length of a listener's queue. Not modelled, so without a figure
//! here: SACK, time stamps, congestion control, auto-tuned buffers, SYN cookies.

use std::ops::RangeInclusive;
use std::time::Duration;

/// How TCP behaves on the machines of a run. The defaults are those of a Linux host.
///
/// ```
/// # use std::time::Duration;
/// # use simmach::net::TcpConfig;
/// // As the machines of the article: a lost segment is never sent again.
/// let lossy = TcpConfig::new().retransmit(false);
/// // A smaller window, and a peer that is given up sooner.
/// let hasty = TcpConfig::new().receive_buffer(16 * 1024).data_retries(5);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpConfig {
    pub(crate) retransmit: bool,
    pub(crate) mss: u16,
    pub(crate) send_buffer: usize,
    pub(crate) receive_buffer: usize,
    pub(crate) rto_initial: u64,
    pub(crate) rto_min: u64,
    pub(crate) rto_max: u64,
    pub(crate) syn_retries: u32,
    pub(crate) syn_ack_retries: u32,
    pub(crate) data_retries: u32,
    pub(crate) orphan_retries: u32,
    pub(crate) connect_timeout: u64,
    pub(crate) delayed_ack: u64,
    pub(crate) time_wait: u64,
    pub(crate) fin_timeout: u64,
    pub(crate) keep_alive: Option<KeepAlive>,
    pub(crate) backlog: u32,
    pub(crate) nodelay: bool,
    pub(crate) ephemeral_ports: RangeInclusive<u16>,
}

/// When a silent connection is probed, and when it is given up: `SO_KEEPALIVE` and its three figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Silence before the first probe (Linux: 2 h).
    pub idle: Duration,
    /// Time between two probes (Linux: 75 s).
    pub interval: Duration,
    /// Probes without an answer after which the connection has timed out (Linux: 9).
    pub probes: u32,
}

impl Default for KeepAlive {
    /// Linux's figures.
    fn default() -> Self {
        Self { idle: Duration::from_secs(7200), interval: Duration::from_secs(75), probes: 9 }
    }
}

impl TcpConfig {
    /// Linux's figures.
    #[must_use]
    pub fn new() -> Self {
        Self {
            retransmit: true,
            mss: 1460,
            send_buffer: 128 * 1024,
            receive_buffer: 128 * 1024,
            rto_initial: secs(1),
            rto_min: millis(200),
            rto_max: secs(120),
            syn_retries: 6,
            syn_ack_retries: 5,
            data_retries: 15,
            orphan_retries: 8,
            connect_timeout: secs(5),
            delayed_ack: millis(40),
            time_wait: secs(60),
            fin_timeout: secs(60),
            keep_alive: None,
            backlog: 1024,
            nodelay: false,
            ephemeral_ports: 32768..=60999,
        }
    }

    /// Whether a segment that was lost is ever sent again. Default: true.
    ///
    /// Off, the network is that of the article: a reader of lost bytes waits until its own time-out, and a connect
    /// whose handshake was lost fails after [`connect_timeout`](Self::connect_timeout).
    #[must_use]
    pub fn retransmit(mut self, on: bool) -> Self {
        self.retransmit = on;
        self
    }

    /// The most bytes one segment carries. Default: 1460, an Ethernet frame's; IPv6 carries 20 fewer, loopback 65,495.
    ///
    /// On a link where no fault could tell the segments of a burst apart, the burst travels as one event, and is logged as
    /// one: as with segmentation offload on Linux.
    #[must_use]
    pub fn mss(mut self, bytes: u16) -> Self {
        self.mss = bytes.max(64);
        self
    }

    /// Bytes written and not yet acknowledged that a socket holds before a writer must wait. Default: 128 KiB.
    #[must_use]
    pub fn send_buffer(mut self, bytes: usize) -> Self {
        self.send_buffer = bytes.max(1);
        self
    }

    /// Bytes received and not yet read that a socket holds, and so its largest window. Default: 128 KiB.
    #[must_use]
    pub fn receive_buffer(mut self, bytes: usize) -> Self {
        self.receive_buffer = bytes.clamp(1, 1 << 30);
        self
    }

    /// The retransmission time-out: before there is a measurement, at least, at most. Defaults: 1 s, 200 ms, 120 s.
    #[must_use]
    pub fn rto(mut self, initial: Duration, min: Duration, max: Duration) -> Self {
        self.rto_min = nanos(min).max(1);
        self.rto_max = nanos(max).max(self.rto_min);
        self.rto_initial = nanos(initial).clamp(self.rto_min, self.rto_max);
        self
    }

    /// How often a SYN is sent again before the connect has timed out. Default: 6, which makes 127 s.
    #[must_use]
    pub fn syn_retries(mut self, times: u32) -> Self {
        self.syn_retries = times;
        self
    }

    /// How often a SYN+ACK is sent again before the half-open connection is forgotten. Default: 5.
    #[must_use]
    pub fn syn_ack_retries(mut self, times: u32) -> Self {
        self.syn_ack_retries = times;
        self
    }

    /// How long data is sent again, as Linux counts it: for as long as so many retries take, starting from the least
    /// time-out. Default: 15, which makes 924.6 s.
    #[must_use]
    pub fn data_retries(mut self, times: u32) -> Self {
        self.data_retries = times;
        self
    }

    /// The same for a connection that no process holds any more. Default: 8, which makes 102.2 s.
    #[must_use]
    pub fn orphan_retries(mut self, times: u32) -> Self {
        self.orphan_retries = times;
        self
    }

    /// When a connect gives up while retransmission is off. Default: 5 s.
    #[must_use]
    pub fn connect_timeout(mut self, after: Duration) -> Self {
        self.connect_timeout = nanos(after);
        self
    }

    /// How long an acknowledgement waits for data to ride on. Default: 40 ms; zero acknowledges at once.
    #[must_use]
    pub fn delayed_ack(mut self, wait: Duration) -> Self {
        self.delayed_ack = nanos(wait);
        self
    }

    /// How long the side that closed first stays in TIME-WAIT. Default: 60 s.
    #[must_use]
    pub fn time_wait(mut self, wait: Duration) -> Self {
        self.time_wait = nanos(wait);
        self
    }

    /// How long a closed socket waits for the peer's FIN. Default: 60 s.
    #[must_use]
    pub fn fin_timeout(mut self, wait: Duration) -> Self {
        self.fin_timeout = nanos(wait);
        self
    }

    /// Probes connections that are silent. Default: none, as a socket without `SO_KEEPALIVE`.
    #[must_use]
    pub fn keep_alive(mut self, probes: Option<KeepAlive>) -> Self {
        self.keep_alive = probes;
        self
    }

    /// Connections that may wait in a listener to be accepted. Default: 1024, as tokio asks for.
    #[must_use]
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections;
        self
    }

    /// Whether sockets start with `TCP_NODELAY`. Default: false: small writes are gathered by Nagle's rule.
    #[must_use]
    pub fn nodelay(mut self, on: bool) -> Self {
        self.nodelay = on;
        self
    }

    /// Ports for sockets that ask for none. Default: 32768 to 60999, Linux's range.
    #[must_use]
    pub fn ephemeral_ports(mut self, ports: RangeInclusive<u16>) -> Self {
        self.ephemeral_ports = ports;
        self
    }

    /// The least window scale with which the whole receive buffer can be told, or the greatest that RFC 7323 has.
    pub(crate) fn window_scale(&self) -> u8 {
        let mut scale = 0;
        while self.receive_buffer >> scale > usize::from(u16::MAX) && scale < 14 {
            scale += 1;
        }
        scale
    }

    /// How long retries go on: `retries` doublings from the least time-out, none longer than the greatest.
    pub(crate) fn retry_span(&self, retries: u32) -> u64 {
        let (mut span, mut rto) = (0_u64, self.rto_min);
        for _ in 0..=retries {
            span = span.saturating_add(rto);
            rto = rto.saturating_mul(2).min(self.rto_max);
        }
        span
    }
}

impl Default for TcpConfig {
    fn default() -> Self {
        Self::new()
    }
}

const fn millis(n: u64) -> u64 {
    n * 1_000_000
}

const fn secs(n: u64) -> u64 {
    n * 1_000_000_000
}

/// A duration as the network counts it: whole nanoseconds, five centuries at most.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_take_as_long_as_on_linux() {
        let config = TcpConfig::new();
        assert_eq!(config.retry_span(15), millis(924_600));
        assert_eq!(config.retry_span(8), millis(102_200));
    }

    #[test]
    fn time_outs_stay_in_order() {
        let config = TcpConfig::new().rto(
            Duration::from_millis(1),
            Duration::from_millis(50),
            Duration::from_millis(10),
        );
        assert_eq!(
            (config.rto_min, config.rto_initial, config.rto_max),
            (50_000_000, 50_000_000, 50_000_000)
        );
    }
}
