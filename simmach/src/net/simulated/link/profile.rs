//! The properties of a link: latency, loss, duplication, reordering and bandwidth. Also which of
//! its packets are logged.
//!
//! These are modelled: an independent fate for each packet, and a bandwidth with a drop-tail queue.
//! The bandwidth is either that of each ordered pair of machines or that of all packets in one
//! direction of the link. A datagram is lost if any of its fragments is lost; fragments are not
//! modelled otherwise. These are not modelled: one machine's bandwidth over several links, bursts
//! of losses, corruption, and route changes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::engine;
use crate::mistakes::Mistakes;
use crate::net::simulated::link::latency::Latency;
use crate::net::simulated::tcp::config::nanos;

/// Properties of a link between two zones, in one direction.
///
/// Arguments that are out of range are reported when the run starts, or by the call of [`Sim`](crate::Sim) that uses them.
///
/// ```
/// # use std::time::Duration;
/// # use simmach::net::NetworkProfile;
/// let slow = NetworkProfile::uniform(Duration::from_millis(20), Duration::from_millis(60))
///     .loss(0.01)
///     .bandwidth(125_000, 64 * 1024);
/// ```
#[derive(Clone, Debug)]
pub struct NetworkProfile {
    pub(crate) latency: Latency,
    pub(crate) loss: f64,
    pub(crate) duplication: f64,
    /// Probability that a packet is held back, and the maximum delay in nanoseconds.
    pub(crate) reorder: (f64, u64),
    pub(crate) in_order: bool,
    pub(crate) bandwidth: Option<Bandwidth>,
    pub(crate) mtu: u16,
    pub(crate) log: Log,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Bandwidth {
    pub(crate) bytes_per_second: u64,
    pub(crate) queue: u64,
    /// All machines on the link share the bandwidth. Otherwise each ordered pair has its own.
    pub(crate) shared: bool,
}

#[derive(Clone)]
pub(crate) enum Log {
    Nothing,
    All,
    Machine(String),
    Predicate(Arc<dyn Fn(&PacketInfo<'_>) -> bool + Send + Sync>),
}

/// Protocol of a packet, a socket or a port. `Display` prints it in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of the protocols")]
#[non_exhaustive]
pub enum Protocol {
    Tcp,
    Udp,
    /// Reports an unreachable port.
    Icmp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
        })
    }
}

/// A packet, as filters and logging predicates see it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PacketInfo<'a> {
    /// Name of the sending machine.
    pub from: &'a str,
    /// Name of the receiving machine.
    pub to: &'a str,
    /// Protocol of the packet.
    pub protocol: Protocol,
    /// Length of the payload in bytes.
    pub length: usize,
    /// Source port and destination port.
    pub ports: (u16, u16),
    /// Index of this packet among those that the filter has seen from `from` to `to`, starting from 1. 0 in logging
    /// predicates.
    pub nth: u64,
    /// Whether the packet is dropped: lost by the link, or dropped by a partition, a full queue or a filter. Always
    /// false in filters, which run before the link.
    pub lost: bool,
    /// Description of the packet: `38422 > 443 SYN seq 1 ack 0 len 0`.
    pub text: String,
}

/// Profiles by their latency.
impl NetworkProfile {
    /// Fixed latency.
    #[must_use]
    pub fn fixed(latency: Duration) -> Self {
        Self::with(Latency::Fixed(nanos(latency)))
    }

    /// Uniformly distributed latency between `from` and `to`.
    #[must_use]
    pub fn uniform(from: Duration, to: Duration) -> Self {
        Self::with(Latency::Uniform(nanos(from), nanos(to)))
    }

    /// Normally distributed latency. Negative values become zero.
    #[must_use]
    pub fn normal(mean: Duration, deviation: Duration) -> Self {
        Self::with(Latency::Normal(nanos(mean), nanos(deviation)))
    }

    /// Log-normally distributed latency, with a long tail above `median`. `sigma` is the standard deviation of the
    /// logarithm. With 0.5, one packet in twenty takes more than 2.3 times the median.
    #[must_use]
    pub fn log_normal(median: Duration, sigma: f64) -> Self {
        Self::with(Latency::LogNormal(nanos(median), sigma))
    }

    /// Latency given by its quantile function: `quantile` is called with a number that is uniform in `[0, 1)`. The result
    /// must depend only on this number. The function must not use the network.
    #[must_use]
    pub fn latency_by(quantile: impl Fn(f64) -> Duration + Send + Sync + 'static) -> Self {
        Self::with(Latency::Function(Arc::new(quantile)))
    }

    fn with(latency: Latency) -> Self {
        Self {
            latency,
            loss: 0.0,
            duplication: 0.0,
            reorder: (0.0, 0),
            in_order: true,
            bandwidth: None,
            mtu: ETHERNET_MTU,
            log: Log::Nothing,
        }
    }
}

/// Named profiles. Latencies are one-way. A profile loses and reorders packets or limits bandwidth only where its
/// description says so. Figures without a source are estimates.
impl NetworkProfile {
    /// A local network: uniform latency of 50 to 150 µs. It matches round trips of about 0.2 ms, as `ping` shows within
    /// one switched Ethernet. This is the default inside a zone.
    #[must_use]
    pub fn lan() -> Self {
        Self::uniform(Duration::from_micros(50), Duration::from_micros(150))
    }

    /// A company network in a cloud: uniform latency of 2 to 10 ms, a loss of 1 in 10,000.
    #[must_use]
    pub fn azure_intranet() -> Self {
        Self::uniform(millis(2), millis(10)).loss(1.0 / 10_000.0)
    }

    /// The public internet: uniform latency of 20 to 100 ms. 3 packets in 1,000 are held back by up to 20 ms, so that
    /// others overtake them. V. Paxson, *End-to-End Internet Packet Dynamics* (1997), found 0.3% of data packets out
    /// of order in one of two studies, and 2% in the other; the 20 ms are an estimate.
    #[must_use]
    pub fn internet() -> Self {
        Self::uniform(millis(20), millis(100)).reorder(0.003, millis(20))
    }

    /// Between cloud regions on two continents: a median of 40 ms with a short tail, a loss of 1 in 100,000. Cloud
    /// providers publish round trips of 75 to 90 ms between the eastern United States and western Europe.
    #[must_use]
    pub fn cross_region() -> Self {
        Self::log_normal(millis(40), 0.05).loss(1.0 / 100_000.0)
    }

    /// GPRS and EDGE: a median of 300 ms, a loss of 2 in 100, 15 kB/s with a queue of 32 KiB. I. Grigorik, *High
    /// Performance Browser Networking* (2013), tables 7-1 and 7-2: round trips of 300 to 1,000 ms, 100 to 400 kbit/s.
    #[must_use]
    pub fn mobile_2g() -> Self {
        Self::log_normal(millis(300), 0.3).loss(0.02).bandwidth(15_000, 32 * 1024)
    }

    /// UMTS: uniform latency of 100 to 500 ms, a loss of 1 in 100. 1 packet in 100 is held back by up to 200 ms, so
    /// that others overtake it. The figures for reordering are estimates, worse than those of
    /// [`internet`](Self::internet).
    #[must_use]
    pub fn mobile_3g() -> Self {
        Self::uniform(millis(100), millis(500)).loss(0.01).reorder(0.01, millis(200))
    }

    /// LTE: a median of 30 ms, a loss of 1 in 1,000, 1.5 MB/s with a queue of 256 KiB. I. Grigorik, *High Performance
    /// Browser Networking* (2013), tables 7-2 and 7-3: round trips below 100 ms, 1 to 50 Mbit/s.
    #[must_use]
    pub fn mobile_4g() -> Self {
        Self::log_normal(millis(30), 0.3).loss(0.001).bandwidth(1_500_000, 256 * 1024)
    }

    /// Fixed latency of 50 ms.
    #[must_use]
    pub fn ideal_fixed() -> Self {
        Self::fixed(millis(50))
    }

    /// Falling latency: 50 ms for the first packet, 2 ms less for each further packet down to 10 ms, then again from 50 ms.
    /// Packets that are sent together arrive in reverse order.
    #[must_use]
    pub fn reverse_latency() -> Self {
        let falling = Latency::Falling(nanos(millis(50)), nanos(millis(10)), nanos(millis(2)));
        Self::with(falling).in_order(false)
    }
}

/// Other properties of a link.
impl NetworkProfile {
    /// Sets the probability that a packet is lost. Default: 0.
    #[must_use]
    pub fn loss(mut self, probability: f64) -> Self {
        self.loss = probability;
        self
    }

    /// Sets the probability that a packet is duplicated. The copy has its own latency and may arrive after packets that
    /// were sent later. Default: 0.
    #[must_use]
    pub fn duplication(mut self, probability: f64) -> Self {
        self.duplication = probability;
        self
    }

    /// Sets the probability that a packet is held back, by up to `delay` beyond its latency, so that later packets of
    /// its flow can overtake it. Default: 0.
    #[must_use]
    pub fn reorder(mut self, probability: f64, delay: Duration) -> Self {
        self.reorder = (probability, nanos(delay));
        self
    }

    /// Sets whether packets of one flow arrive in the order they were sent, whatever their latencies. A flow is one
    /// direction of a connection, or the datagrams from one socket to one address. Packets of different flows can
    /// overtake each other in any case, and packets that are held back by [`reorder`](Self::reorder) can always be
    /// overtaken. Default: true, except in [`reverse_latency`](Self::reverse_latency).
    #[must_use]
    pub fn in_order(mut self, yes: bool) -> Self {
        self.in_order = yes;
        self
    }

    /// Limits the bandwidth from one machine to another, with a queue of `queue` bytes in front. Packets that do not
    /// fit into the queue are dropped. All traffic from the one machine to the other shares the limit; every other pair
    /// of machines on the link has its own, like phones with a radio link each. Default: no limit.
    #[must_use]
    pub fn bandwidth(self, bytes_per_second: u64, queue: u64) -> Self {
        self.with_bandwidth(bytes_per_second, queue, false)
    }

    /// Limits the bandwidth of the link in its direction, with one queue for all machines, like a cable between two
    /// sites. If the profile is given to pairs of machines, each pair has its own link. See
    /// [`bandwidth`](Self::bandwidth).
    #[must_use]
    pub fn shared_bandwidth(self, bytes_per_second: u64, queue: u64) -> Self {
        self.with_bandwidth(bytes_per_second, queue, true)
    }

    fn with_bandwidth(mut self, bytes_per_second: u64, queue: u64, shared: bool) -> Self {
        self.bandwidth = Some(Bandwidth { bytes_per_second, queue, shared });
        self
    }

    /// Sets the maximum size of a packet in bytes, IP header included; at least 576. TCP adapts its segment size when a
    /// connection opens. A larger datagram travels in fragments and is lost if any of them is. Default: 1500,
    /// Ethernet's.
    #[must_use]
    pub fn mtu(mut self, bytes: u16) -> Self {
        self.mtu = bytes;
        self
    }

    /// Returns a mistake for each argument that is out of range.
    pub(crate) fn mistakes(&self) -> Mistakes {
        let mut mistakes = Mistakes::default();
        self.latency.add_mistakes(&mut mistakes);
        let probabilities =
            [("loss", self.loss), ("duplication", self.duplication), ("reorder", self.reorder.0)];
        for (setting, probability) in probabilities {
            mistakes.require((0.0..=1.0).contains(&probability), || {
                format!("`{setting}` must be a probability in 0..=1, got {probability}")
            });
        }
        mistakes.require(self.bandwidth.is_none_or(|limit| limit.bytes_per_second > 0), || {
            "`bandwidth` must be at least 1 byte per second, got 0".to_owned()
        });
        mistakes.require(self.mtu >= MIN_MTU, || {
            format!("`mtu` must be at least {MIN_MTU} bytes, got {}", self.mtu)
        });
        mistakes
    }

    /// Probability that a packet of `bytes` bytes is lost. A fragmented packet is lost with any of its fragments.
    pub(crate) fn loss_of(&self, bytes: u64) -> f64 {
        if bytes <= u64::from(self.mtu) || self.loss == 0.0 {
            return self.loss;
        }
        let fragments = bytes.div_ceil(u64::from(self.mtu));
        1.0 - libm::pow(1.0 - self.loss, fragments as f64)
    }

    /// Logs every packet. Segments that travel as one, as with segmentation offload, are logged as one. Logging does
    /// not change a run.
    #[must_use]
    pub fn log_all(mut self) -> Self {
        self.log = Log::All;
        self
    }

    /// Logs the packets from and to the machine `name`.
    #[must_use]
    pub fn log_machine(mut self, name: impl Into<String>) -> Self {
        self.log = Log::Machine(name.into());
        self
    }

    /// Logs the packets for which `which` returns true. The function must not use the network.
    #[must_use]
    pub fn log_if(
        mut self,
        which: impl Fn(&PacketInfo<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.log = Log::Predicate(Arc::new(which));
        self
    }

    /// Whether all segments of a burst have the same fate, so that they may travel as one packet (segmentation
    /// offload).
    pub(crate) fn allows_segmentation_offload(&self) -> bool {
        let ordered = self.in_order || !self.latency.varies();
        self.loss == 0.0
            && self.duplication == 0.0
            && self.reorder.0 == 0.0
            && ordered
            && self.bandwidth.is_none()
    }
}

impl Log {
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Log::Nothing)
    }

    pub(crate) fn matches(&self, info: &PacketInfo<'_>) -> bool {
        match self {
            Log::Nothing => false,
            Log::All => true,
            Log::Machine(name) => info.from == name || info.to == name,
            Log::Predicate(which) => engine::catch_test_panic(false, || which(info)),
        }
    }
}

impl NetworkProfile {
    /// Whether two profiles have the same settings. Functions and predicates always compare equal.
    pub(crate) fn has_same_settings(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Log::Nothing => f.write_str("nothing"),
            Log::All => f.write_str("all"),
            Log::Machine(name) => write!(f, "machine {name}"),
            Log::Predicate(_) => f.write_str("a predicate"),
        }
    }
}

/// MTU of Ethernet.
const ETHERNET_MTU: u16 = 1500;
/// Smallest MTU, which IPv4 requires of every host.
const MIN_MTU: u16 = 576;

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segmentation_offload_needs_a_link_without_faults() {
        assert!(NetworkProfile::lan().allows_segmentation_offload());
        assert!(NetworkProfile::ideal_fixed().allows_segmentation_offload());
        assert!(!NetworkProfile::mobile_3g().allows_segmentation_offload());
        assert!(!NetworkProfile::internet().allows_segmentation_offload());
        assert!(!NetworkProfile::reverse_latency().allows_segmentation_offload());
        assert!(!NetworkProfile::lan().in_order(false).allows_segmentation_offload());
        assert!(!NetworkProfile::lan().reorder(0.1, millis(1)).allows_segmentation_offload());
        assert!(!NetworkProfile::lan().duplication(0.1).allows_segmentation_offload());
        assert!(!NetworkProfile::lan().bandwidth(1000, 1000).allows_segmentation_offload());
    }

    #[test]
    fn fragmented_datagram_is_lost_with_any_fragment() {
        let lossy = NetworkProfile::lan().loss(0.1).mtu(1000);
        assert_eq!((lossy.loss_of(40), lossy.loss_of(1000)), (0.1, 0.1));
        assert!((lossy.loss_of(2_001) - 0.271).abs() < 1e-9);
        assert_eq!(NetworkProfile::lan().loss_of(60_000), 0.0);
    }

    #[test]
    fn arguments_out_of_range_are_mistakes() {
        let out_of_range = |profile: NetworkProfile| profile.mistakes().joined();
        assert_eq!(out_of_range(NetworkProfile::lan().loss(1.0).mtu(576).bandwidth(1, 0)), "");
        assert_eq!(
            out_of_range(NetworkProfile::uniform(millis(2), millis(1)).loss(1.5).mtu(575)),
            "`uniform`: the range 2ms..1ms is empty: give the shorter latency first; \
             `loss` must be a probability in 0..=1, got 1.5; `mtu` must be at least 576 bytes, got 575"
        );
        let lan = NetworkProfile::lan;
        assert!(out_of_range(lan().duplication(-0.1)).starts_with("`duplication` must"));
        assert!(out_of_range(lan().reorder(f64::NAN, millis(1))).ends_with("got NaN"));
        assert!(out_of_range(lan().shared_bandwidth(0, 10)).starts_with("`bandwidth` must"));
        assert!(out_of_range(NetworkProfile::log_normal(millis(1), -1.0)).ends_with("got -1"));
    }
}
