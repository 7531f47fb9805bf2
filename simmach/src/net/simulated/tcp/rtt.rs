//! Estimates the round-trip time and sets the retransmission timeout (RFC 6298).
//!
//! One round trip is measured at a time, and none of retransmitted segments (Karn's algorithm). The
//! timeout backs off until new data is acknowledged, and is 3 s if the handshake gave no
//! measurement. Timestamps and F-RTO are not modelled.

use crate::net::simulated::tcp::config::TcpConfig;

/// Timeout after a handshake with retransmissions, in nanoseconds (RFC 6298, 5.7).
const FALLBACK: u64 = 3_000_000_000;

/// Round-trip estimator. Times are in nanoseconds.
#[derive(Debug)]
pub(crate) struct RttEstimator {
    srtt: Option<u64>,
    rttvar: u64,
    rto: u64,
    backoff: u32,
}

impl RttEstimator {
    pub(crate) fn new(config: &TcpConfig) -> Self {
        Self { srtt: None, rttvar: 0, rto: config.rto_initial, backoff: 0 }
    }

    pub(crate) fn srtt(&self) -> Option<u64> {
        self.srtt
    }

    /// The timeout in nanoseconds, including back-off.
    pub(crate) fn rto(&self, config: &TcpConfig) -> u64 {
        self.rto.saturating_mul(1 << self.backoff.min(20)).min(config.rto_max)
    }

    pub(crate) fn add_sample(&mut self, sample: u64, config: &TcpConfig) {
        match self.srtt {
            None => {
                self.srtt = Some(sample);
                self.rttvar = sample / 2;
            }
            Some(srtt) => {
                self.rttvar = (self.rttvar * 3 + srtt.abs_diff(sample)) / 4;
                self.srtt = Some((srtt * 7 + sample) / 8);
            }
        }
        // As on Linux, the minimum applies to the variation, not to the sum, so that the timeout is at least SRTT + 200 ms.
        let margin = (4 * self.rttvar).max(config.rto_min);
        self.rto = self
            .srtt
            .unwrap_or(sample)
            .saturating_add(margin)
            .clamp(config.rto_min, config.rto_max);
        self.backoff = 0;
    }

    pub(crate) fn back_off(&mut self) {
        self.backoff += 1;
    }

    /// New data was acknowledged.
    pub(crate) fn reset_backoff(&mut self) {
        self.backoff = 0;
    }

    /// The handshake is complete. Without a measurement, the timeout starts at 3 s.
    pub(crate) fn on_established(&mut self, config: &TcpConfig) {
        self.backoff = 0;
        if self.srtt.is_none() {
            self.rto = FALLBACK.clamp(config.rto_min, config.rto_max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn rto_follows_the_measurements() {
        let config = TcpConfig::new();
        let mut rtt = RttEstimator::new(&config);
        assert_eq!(rtt.rto(&config), 1000 * MS);
        rtt.add_sample(100 * MS, &config);
        assert_eq!(rtt.rto(&config), 300 * MS);
        rtt.add_sample(500 * MS, &config);
        // RTTVAR (50 * 3 + 400) / 4, SRTT (100 * 7 + 500) / 8.
        assert_eq!(rtt.rto(&config), 150 * MS + 4 * 137_500_000);
        rtt.back_off();
        assert_eq!(rtt.rto(&config), 2 * (150 * MS + 550 * MS));
        rtt.reset_backoff();
        assert_eq!(rtt.rto(&config), 700 * MS);
        for _ in 0..40 {
            rtt.back_off();
        }
        assert_eq!(rtt.rto(&config), config.rto_max);
    }

    #[test]
    fn rto_after_a_handshake_without_measurement_is_three_seconds() {
        let config = TcpConfig::new();
        let mut rtt = RttEstimator::new(&config);
        rtt.back_off();
        rtt.on_established(&config);
        assert_eq!(rtt.rto(&config), 3000 * MS);
        rtt.add_sample(10 * MS, &config);
        assert_eq!(rtt.rto(&config), 210 * MS);
    }
}
