//! TCP parameters, with Linux's defaults.
//!
//! These have parameters: buffer sizes, maximum segment size, timeouts and retries, delayed
//! acknowledgements, TIME-WAIT, keep-alive, the range of ephemeral ports, and the accept queue.
//! These are not modelled and therefore have no parameters: SACK, timestamps, congestion control,
//! auto-tuned buffers, and SYN cookies.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::mistakes::Mistakes;

/// TCP parameters of the machines of a run. The defaults are Linux's.
///
/// Arguments that are out of range are reported when the run starts.
///
/// ```
/// # use std::time::Duration;
/// # use simmach::net::TcpConfig;
/// // Lost segments are never retransmitted.
/// let lossy = TcpConfig::new().retransmit(false);
/// // A smaller window, and earlier timeouts.
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

/// Keep-alive parameters of a connection: `SO_KEEPALIVE` with `TCP_KEEPIDLE`, `TCP_KEEPINTVL` and `TCP_KEEPCNT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Idle time before the first probe. Linux: 2 h.
    pub idle: Duration,
    /// Time between two probes. Linux: 75 s.
    pub interval: Duration,
    /// Number of unanswered probes after which the connection times out. Linux: 9.
    pub probes: u32,
}

impl Default for KeepAlive {
    /// Linux's defaults.
    fn default() -> Self {
        Self { idle: Duration::from_secs(7200), interval: Duration::from_secs(75), probes: 9 }
    }
}

/// Smallest maximum segment size.
const MIN_MSS: u16 = 64;
/// Largest window that window scaling can express (RFC 7323, section 2.3).
pub(crate) const MAX_WINDOW: usize = 1 << 30;

impl TcpConfig {
    /// Creates parameters with Linux's defaults.
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

    /// Sets whether lost segments are retransmitted. Default: true.
    ///
    /// If false, a reader of lost bytes waits until its own timeout, and a connect whose handshake was lost fails after
    /// [`connect_timeout`](Self::connect_timeout).
    #[must_use]
    pub fn retransmit(mut self, on: bool) -> Self {
        self.retransmit = on;
        self
    }

    /// Sets the maximum segment size in bytes, at least 64. Default: 1460, for Ethernet. IPv6 segments carry 20 bytes
    /// less; loopback segments carry 65,495 bytes whatever is set here.
    ///
    /// On links without loss, duplication, reordering and bandwidth limits, several segments travel as one packet and
    /// are logged as one, as with segmentation offload on Linux.
    #[must_use]
    pub fn mss(mut self, bytes: u16) -> Self {
        self.mss = bytes;
        self
    }

    /// Sets the size of the send buffer in bytes: data that is written but not acknowledged. Default: 128 KiB.
    #[must_use]
    pub fn send_buffer(mut self, bytes: usize) -> Self {
        self.send_buffer = bytes;
        self
    }

    /// Sets the size of the receive buffer in bytes, which is also the largest window. Maximum: 1 GiB, the largest window
    /// of RFC 7323. Default: 128 KiB.
    #[must_use]
    pub fn receive_buffer(mut self, bytes: usize) -> Self {
        self.receive_buffer = bytes;
        self
    }

    /// Sets the retransmission timeout: before the first measurement, minimum, maximum. The minimum is greater than zero,
    /// and the first timeout lies between minimum and maximum. Defaults: 1 s, 200 ms, 120 s.
    #[must_use]
    pub fn rto(mut self, initial: Duration, min: Duration, max: Duration) -> Self {
        self.rto_min = nanos(min);
        self.rto_max = nanos(max);
        self.rto_initial = nanos(initial);
        self
    }

    /// Sets the maximum number of retransmissions of a SYN before the connect times out. Default: 6, which takes 127 s.
    #[must_use]
    pub fn syn_retries(mut self, times: u32) -> Self {
        self.syn_retries = times;
        self
    }

    /// Sets the maximum number of retransmissions of a SYN+ACK before the half-open connection is dropped. Default: 5.
    #[must_use]
    pub fn syn_ack_retries(mut self, times: u32) -> Self {
        self.syn_ack_retries = times;
        self
    }

    /// Sets how long data is retransmitted before the connection times out. As with Linux's `tcp_retries2`, the value
    /// is a number of retries, converted to a duration with the minimum timeout and exponential back-off. Default: 15,
    /// which is 924.6 s.
    #[must_use]
    pub fn data_retries(mut self, times: u32) -> Self {
        self.data_retries = times;
        self
    }

    /// Sets the same limit as [`data_retries`](Self::data_retries) for a connection that its process has closed.
    /// Default: 8, which is 102.2 s.
    #[must_use]
    pub fn orphan_retries(mut self, times: u32) -> Self {
        self.orphan_retries = times;
        self
    }

    /// Sets the timeout of a connect while retransmission is off. Default: 5 s.
    #[must_use]
    pub fn connect_timeout(mut self, after: Duration) -> Self {
        self.connect_timeout = nanos(after);
        self
    }

    /// Sets how long an acknowledgement is delayed to be sent with data. Zero sends it at once. Default: 40 ms.
    #[must_use]
    pub fn delayed_ack(mut self, wait: Duration) -> Self {
        self.delayed_ack = nanos(wait);
        self
    }

    /// Sets how long the end that closed first stays in TIME-WAIT. Default: 60 s.
    #[must_use]
    pub fn time_wait(mut self, wait: Duration) -> Self {
        self.time_wait = nanos(wait);
        self
    }

    /// Sets how long a closed socket waits for the peer's FIN (FIN-WAIT-2). Default: 60 s.
    #[must_use]
    pub fn fin_timeout(mut self, wait: Duration) -> Self {
        self.fin_timeout = nanos(wait);
        self
    }

    /// Sets whether and how idle connections are probed. Default: `None`, as without `SO_KEEPALIVE`.
    #[must_use]
    pub fn keep_alive(mut self, probes: Option<KeepAlive>) -> Self {
        self.keep_alive = probes;
        self
    }

    /// Sets the maximum number of connections that wait to be accepted. Default: 1024, as in tokio.
    #[must_use]
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections;
        self
    }

    /// Sets whether sockets start with `TCP_NODELAY`. Default: false: Nagle's algorithm gathers small writes.
    #[must_use]
    pub fn nodelay(mut self, on: bool) -> Self {
        self.nodelay = on;
        self
    }

    /// Sets the range of ephemeral ports, for sockets that are not bound to a port. Default: 32768 to 60999, Linux's
    /// range.
    #[must_use]
    pub fn ephemeral_ports(mut self, ports: RangeInclusive<u16>) -> Self {
        self.ephemeral_ports = ports;
        self
    }

    /// Returns a mistake for each argument that is out of range.
    pub(crate) fn mistakes(&self) -> Mistakes {
        let mut mistakes = Mistakes::default();
        let Self { mss, send_buffer, receive_buffer, ephemeral_ports, .. } = self;
        mistakes.require(*mss >= MIN_MSS, || {
            format!("`mss` must be at least {MIN_MSS} bytes, got {mss}")
        });
        mistakes.require(*send_buffer > 0, || {
            "`send_buffer` must be at least 1 byte, got 0".to_owned()
        });
        mistakes.require((1..=MAX_WINDOW).contains(receive_buffer), || {
            format!("`receive_buffer` must be 1 to {MAX_WINDOW} bytes, got {receive_buffer}")
        });
        let rto = [self.rto_min, self.rto_initial, self.rto_max];
        mistakes.require(self.rto_min > 0 && rto.is_sorted(), || {
            let [min, initial, max] = rto.map(Duration::from_nanos);
            format!("`rto` must have 0 < min <= initial <= max, got {min:?}, {initial:?}, {max:?}")
        });
        mistakes.require(*ephemeral_ports.start() > 0 && !ephemeral_ports.is_empty(), || {
            format!("`ephemeral_ports` must be a non-empty range of ports without 0, got {ephemeral_ports:?}")
        });
        mistakes
    }

    /// The smallest window scale that can express the whole receive buffer, at most 14 (RFC 7323).
    pub(crate) fn window_scale(&self) -> u8 {
        let mut scale = 0;
        while self.receive_buffer >> scale > usize::from(u16::MAX) && scale < 14 {
            scale += 1;
        }
        scale
    }

    /// The duration of `retries` retries: starts with the minimum timeout and doubles up to the maximum.
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

/// A duration in nanoseconds; `u64::MAX` (584 years) if it is longer.
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
    fn arguments_out_of_range_are_mistakes() {
        let ms = Duration::from_millis;
        let out_of_range = |config: TcpConfig| config.mistakes().joined();
        let config = TcpConfig::new;
        assert_eq!(out_of_range(config().mss(64).rto(ms(2), ms(1), ms(2)).receive_buffer(1)), "");
        assert_eq!(out_of_range(config().mss(10)), "`mss` must be at least 64 bytes, got 10");
        assert_eq!(
            out_of_range(config().send_buffer(0).receive_buffer((1 << 30) + 1)),
            "`send_buffer` must be at least 1 byte, got 0; \
             `receive_buffer` must be 1 to 1073741824 bytes, got 1073741825"
        );
        assert_eq!(
            out_of_range(config().rto(ms(1), ms(50), ms(10))),
            "`rto` must have 0 < min <= initial <= max, got 50ms, 1ms, 10ms"
        );
        assert!(!out_of_range(config().rto(ms(1), ms(0), ms(10))).is_empty());
        #[expect(clippy::reversed_empty_ranges, reason = "it is the mistake")]
        let ports = config().ephemeral_ports(200..=100);
        assert!(out_of_range(ports).ends_with("got 200..=100"));
        assert!(!out_of_range(config().ephemeral_ports(0..=100)).is_empty());
    }
}
