//! What a link does to packets: latency, loss, duplication, reordering, bandwidth; and which of them are logged.
//!
//! Modelled: each packet's fate by itself, and a bandwidth with a queue that drops what does not fit, for each ordered pair
//! of machines or for all that pass one way over the link. Not modelled: what a machine sends over several links at once,
//! losses in bursts, corruption, routes that change (by themselves); of fragments, all but that a datagram is lost with
//! any of them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::engine;
use crate::net::simulated::link::latency::Latency;
use crate::net::simulated::tcp::config::nanos;

/// What a link between two zones does to packets, in one direction.
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
    /// How likely a packet is held back, and for how long at most.
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
    /// One for all machines on the link, not one for each pair.
    pub(crate) shared: bool,
}

#[derive(Clone)]
pub(crate) enum Log {
    Nothing,
    All,
    Machine(String),
    Predicate(Arc<dyn Fn(&PacketInfo<'_>) -> bool + Send + Sync>),
}

/// A packet, as a profile's predicate sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PacketInfo<'a> {
    /// The machine it comes from.
    pub from: &'a str,
    /// The machine it goes to.
    pub to: &'a str,
    /// `tcp`, `udp` or `icmp`.
    pub protocol: &'static str,
    /// Bytes of payload.
    pub length: usize,
    /// The ports it comes from and goes to.
    pub ports: (u16, u16),
    /// The how-manieth on its way that a rule looks at, from 1; 0 where none does.
    pub nth: u64,
    /// The link loses it.
    pub lost: bool,
    /// The packet in words: `38422 > 443 SYN`.
    pub text: String,
}

/// Latencies.
impl NetworkProfile {
    /// The same latency for every packet.
    #[must_use]
    pub fn fixed(latency: Duration) -> Self {
        Self::with(Latency::Fixed(nanos(latency)))
    }

    /// Any latency between `from` and `to`, each as likely.
    ///
    /// # Panics
    ///
    /// When `to` is less than `from`.
    #[must_use]
    pub fn uniform(from: Duration, to: Duration) -> Self {
        assert!(from <= to, "a latency from {from:?} to {to:?} is upside down");
        Self::with(Latency::Uniform(nanos(from), nanos(to) - nanos(from)))
    }

    /// Normally distributed latency, never below zero.
    #[must_use]
    pub fn normal(mean: Duration, deviation: Duration) -> Self {
        Self::with(Latency::Normal(nanos(mean), nanos(deviation)))
    }

    /// Log-normally distributed latency: a long tail above `median`. `sigma` is the standard deviation of the
    /// logarithm; with 0.5, one packet in twenty takes more than 2.3 times the median.
    #[must_use]
    pub fn log_normal(median: Duration, sigma: f64) -> Self {
        Self::with(Latency::LogNormal(nanos(median), sigma))
    }

    /// Latency as a function of a draw that is uniform in `[0, 1)`: the distribution's quantile function. It must
    /// depend on nothing else, and must not use the network.
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
            mtu: ETHERNET,
            log: Log::Nothing,
        }
    }
}

/// Named profiles. Where a source is given, the figures are one-way latencies rounded from it; none limits bandwidth
/// or reorders packets unless it says so.
impl NetworkProfile {
    /// One room of a data centre: 50 to 150 µs, as a switched network delivers. The round trip within one
    /// Ethernet of some 0.2 ms that `ping` shows. The default inside a zone.
    #[must_use]
    pub fn lan() -> Self {
        Self::uniform(Duration::from_micros(50), Duration::from_micros(150))
    }

    /// The article's `AzureIntranet`: 2 to 10 ms, one packet in 10,000 lost.
    #[must_use]
    pub fn azure_intranet() -> Self {
        Self::uniform(millis(2), millis(10)).loss(1.0 / 10_000.0)
    }

    /// The article's `Internet`: 20 to 100 ms. Three packets in 1,000 are held back by up to 20 ms, so that others overtake
    /// them. V. Paxson, *End-to-End Internet Packet Dynamics* (1997), found 0.3 % of data packets out of order in the later
    /// of two studies, and 2 % in the earlier; the 20 ms are this crate's choice.
    #[must_use]
    pub fn internet() -> Self {
        Self::uniform(millis(20), millis(100)).reorder(0.003, millis(20))
    }

    /// Between cloud regions of two continents: about 40 ms one way with a short tail, one packet in 100,000 lost. The providers' published tables have 75 to 90 ms for the round trip from the eastern United
    /// States to western Europe.
    #[must_use]
    pub fn cross_region() -> Self {
        Self::log_normal(millis(40), 0.05).loss(1.0 / 100_000.0)
    }

    /// GPRS and EDGE: a median of 300 ms one way, 2 in 100 lost, 15 kB/s with 32 KiB queued. I. Grigorik, *High
    /// Performance Browser Networking* (2013), table 7-1 and 7-2: 300 to 1,000 ms round trip, 100 to 400 kbit/s.
    #[must_use]
    pub fn mobile_2g() -> Self {
        Self::log_normal(millis(300), 0.3).loss(0.02).bandwidth(15_000, 32 * 1024)
    }

    /// The article's `Mobile3G`: 100 to 500 ms, one packet in 100 lost. One packet in 100 is held back by up to 200 ms, so
    /// that others overtake it; both figures of that are this crate's choice, for a path that is worse than
    /// [`internet`](Self::internet).
    #[must_use]
    pub fn mobile_3g() -> Self {
        Self::uniform(millis(100), millis(500)).loss(0.01).reorder(0.01, millis(200))
    }

    /// LTE: a median of 30 ms one way, one packet in 1,000 lost, 1.5 MB/s with 256 KiB queued. I. Grigorik, *High
    /// Performance Browser Networking* (2013), table 7-2 and 7-3: less than 100 ms round trip, 1 to 50 Mbit/s.
    #[must_use]
    pub fn mobile_4g() -> Self {
        Self::log_normal(millis(30), 0.3).loss(0.001).bandwidth(1_500_000, 256 * 1024)
    }

    /// The article's `IdealFixed`: 50 ms, always.
    #[must_use]
    pub fn ideal_fixed() -> Self {
        Self::fixed(millis(50))
    }

    /// The article's `ReverseLatency`: 50 ms for the first packet, 2 ms less for each that follows, down to 10 ms, then from
    /// the start. Packets sent together arrive backwards.
    #[must_use]
    pub fn reverse_latency() -> Self {
        let falling = Latency::Falling(nanos(millis(50)), nanos(millis(10)), nanos(millis(2)));
        Self::with(falling).in_order(false)
    }
}

/// What else a link does.
impl NetworkProfile {
    /// How likely a packet is lost.
    ///
    /// # Panics
    ///
    /// When `probability` is not within 0 and 1.
    #[must_use]
    pub fn loss(mut self, probability: f64) -> Self {
        self.loss = checked("loss", probability);
        self
    }

    /// How likely a packet arrives twice. The copy has a latency of its own, and may come behind packets that were sent
    /// later.
    ///
    /// # Panics
    ///
    /// When `probability` is not within 0 and 1.
    #[must_use]
    pub fn duplication(mut self, probability: f64) -> Self {
        self.duplication = checked("duplication", probability);
        self
    }

    /// How likely a packet is held back, by up to `delay` beyond its latency, so that later packets of its flow may
    /// overtake it. Default: never.
    ///
    /// # Panics
    ///
    /// When `probability` is not within 0 and 1.
    #[must_use]
    pub fn reorder(mut self, probability: f64, delay: Duration) -> Self {
        self.reorder = (checked("reorder", probability), nanos(delay));
        self
    }

    /// Whether packets of one flow arrive in the order they were sent in, whatever their latencies. A flow is one direction of a
    /// connection, or the datagrams from one socket to one address; two flows between the same machines still overtake each
    /// other. Packets held back by [`reorder`](Self::reorder) are overtaken in any case. Default: yes, as most paths do;
    /// only [`reverse_latency`](Self::reverse_latency) does not.
    #[must_use]
    pub fn in_order(mut self, yes: bool) -> Self {
        self.in_order = yes;
        self
    }

    /// How much passes from one machine to another, and how many bytes may wait to pass; what does not fit is dropped.
    /// All connections from the one to the other share it; any other two machines on the link have as much for
    /// themselves, as with phones that each have a radio link. Default: no limit.
    #[must_use]
    pub fn bandwidth(self, bytes_per_second: u64, queue: u64) -> Self {
        self.with_bandwidth(bytes_per_second, queue, false)
    }

    /// As [`bandwidth`](Self::bandwidth), for all that passes over the link in its direction, whatever machines it is
    /// from and to: they share one queue, as in front of one cable between two sites. Where a profile is given to single
    /// machines, each pair of them has its own link.
    #[must_use]
    pub fn shared_bandwidth(self, bytes_per_second: u64, queue: u64) -> Self {
        self.with_bandwidth(bytes_per_second, queue, true)
    }

    fn with_bandwidth(mut self, bytes_per_second: u64, queue: u64, shared: bool) -> Self {
        let bytes_per_second = bytes_per_second.max(1);
        self.bandwidth = Some(Bandwidth { bytes_per_second, queue, shared });
        self
    }

    /// The most bytes of one packet, its IP header included: TCP's segments are made to fit when a connection opens, and a
    /// datagram that does not fit travels in fragments, all of which must arrive. Default: 1500, Ethernet's.
    #[must_use]
    pub fn mtu(mut self, bytes: u16) -> Self {
        self.mtu = bytes.max(LEAST_MTU);
        self
    }

    /// How likely a packet of so many bytes is lost: one in fragments is lost with any of them.
    pub(crate) fn loss_of(&self, bytes: u64) -> f64 {
        if bytes <= u64::from(self.mtu) || self.loss == 0.0 {
            return self.loss;
        }
        let fragments = bytes.div_ceil(u64::from(self.mtu));
        1.0 - libm::pow(1.0 - self.loss, fragments as f64)
    }

    /// Logs every packet; a burst that segmentation offload would hand over at once is one. Logging changes no run.
    #[must_use]
    pub fn log_all(mut self) -> Self {
        self.log = Log::All;
        self
    }

    /// Logs the packets to and from the machine with this name.
    #[must_use]
    pub fn log_machine(mut self, name: impl Into<String>) -> Self {
        self.log = Log::Machine(name.into());
        self
    }

    /// Logs the packets that `which` chooses. It must not use the network.
    #[must_use]
    pub fn log_if(
        mut self,
        which: impl Fn(&PacketInfo<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.log = Log::Predicate(Arc::new(which));
        self
    }

    /// Whether each packet of a burst meets the same fate: then the burst may travel as one.
    pub(crate) fn cannot_tell_bursts(&self) -> bool {
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

    pub(crate) fn wants(&self, info: &PacketInfo<'_>) -> bool {
        match self {
            Log::Nothing => false,
            Log::All => true,
            Log::Machine(name) => info.from == name || info.to == name,
            Log::Predicate(which) => engine::guarded(false, || which(info)),
        }
    }
}

impl NetworkProfile {
    /// Whether another says the same; predicates are taken for the same.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
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

const ETHERNET: u16 = 1500;
/// What IPv4 asks of every link.
const LEAST_MTU: u16 = 576;

fn checked(what: &str, probability: f64) -> f64 {
    assert!((0.0..=1.0).contains(&probability), "a {what} of {probability} is no probability");
    probability
}

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_no_fault_can_tell_may_a_burst_travel_as_one() {
        assert!(NetworkProfile::lan().cannot_tell_bursts());
        assert!(NetworkProfile::ideal_fixed().cannot_tell_bursts());
        assert!(!NetworkProfile::mobile_3g().cannot_tell_bursts());
        assert!(!NetworkProfile::internet().cannot_tell_bursts());
        assert!(!NetworkProfile::reverse_latency().cannot_tell_bursts());
        assert!(!NetworkProfile::lan().in_order(false).cannot_tell_bursts());
        assert!(!NetworkProfile::lan().reorder(0.1, millis(1)).cannot_tell_bursts());
        assert!(!NetworkProfile::lan().duplication(0.1).cannot_tell_bursts());
        assert!(!NetworkProfile::lan().bandwidth(1000, 1000).cannot_tell_bursts());
    }

    #[test]
    fn a_datagram_in_fragments_is_lost_with_any_of_them() {
        let lossy = NetworkProfile::lan().loss(0.1).mtu(1000);
        assert_eq!((lossy.loss_of(40), lossy.loss_of(1000)), (0.1, 0.1));
        assert!((lossy.loss_of(2_001) - 0.271).abs() < 1e-9);
        assert_eq!(NetworkProfile::lan().loss_of(60_000), 0.0);
    }

    #[test]
    #[should_panic(expected = "upside down")]
    fn a_range_upside_down_is_refused() {
        let _ = NetworkProfile::uniform(millis(2), millis(1));
    }

    #[test]
    #[should_panic(expected = "no probability")]
    fn a_loss_above_one_is_refused() {
        let _ = NetworkProfile::lan().loss(1.5);
    }
}
