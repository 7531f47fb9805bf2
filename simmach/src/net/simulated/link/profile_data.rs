//! Link profiles as plain data, so that other runs can carry out the acts that set profiles.
//!
//! A user's latency function is stored as its values at some quantiles, with linear interpolation between them. Predicates
//! that select packets to log are not stored.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::net::simulated::link::latency::Latency;
use crate::net::simulated::link::profile::{Bandwidth, Log, NetworkProfile};

/// Number of quantiles that are stored of a latency function.
const QUANTILES: u32 = 33;

#[derive(Debug, Serialize, Deserialize)]
struct ProfileData {
    latency: LatencyData,
    loss: f64,
    duplication: f64,
    reorder: (f64, u64),
    in_order: bool,
    bandwidth: Option<(u64, u64, bool)>,
    mtu: u16,
    log: LogData,
}

#[derive(Debug, Serialize, Deserialize)]
enum LatencyData {
    Fixed(u64),
    Uniform(u64, u64),
    Normal(u64, u64),
    LogNormal(u64, f64),
    Falling(u64, u64, u64),
    /// Nanoseconds at each quantile.
    Quantiles(Vec<u64>),
}

#[derive(Debug, Serialize, Deserialize)]
enum LogData {
    Nothing,
    All,
    Machine(String),
}

impl NetworkProfile {
    /// Encodes the profile as bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let data = ProfileData {
            latency: LatencyData::from(&self.latency),
            loss: self.loss,
            duplication: self.duplication,
            reorder: self.reorder,
            in_order: self.in_order,
            bandwidth: self
                .bandwidth
                .map(|limit| (limit.bytes_per_second, limit.queue, limit.shared)),
            mtu: self.mtu,
            log: match &self.log {
                Log::Nothing | Log::Predicate(_) => LogData::Nothing,
                Log::All => LogData::All,
                Log::Machine(name) => LogData::Machine(name.clone()),
            },
        };
        postcard::to_allocvec(&data).unwrap_or_default()
    }

    /// Decodes a profile; `None` if the bytes are not a valid profile.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let data: ProfileData = postcard::from_bytes(bytes).ok()?;
        let profile = Self {
            latency: data.latency.into(),
            loss: data.loss,
            duplication: data.duplication,
            reorder: data.reorder,
            in_order: data.in_order,
            bandwidth: data.bandwidth.map(|(bytes_per_second, queue, shared)| Bandwidth {
                bytes_per_second,
                queue,
                shared,
            }),
            mtu: data.mtu,
            log: match data.log {
                LogData::Nothing => Log::Nothing,
                LogData::All => Log::All,
                LogData::Machine(name) => Log::Machine(name),
            },
        };
        profile.mistakes().is_empty().then_some(profile)
    }
}

impl From<&Latency> for LatencyData {
    fn from(latency: &Latency) -> Self {
        match latency {
            Latency::Fixed(at) => Self::Fixed(*at),
            Latency::Uniform(from, to) => Self::Uniform(*from, *to),
            Latency::Normal(mean, deviation) => Self::Normal(*mean, *deviation),
            Latency::LogNormal(median, sigma) => Self::LogNormal(*median, *sigma),
            Latency::Falling(from, to, step) => Self::Falling(*from, *to, *step),
            Latency::Function(_) => {
                let last = f64::from(QUANTILES - 1);
                // The last one is just below 1, which is never drawn.
                let unit = |nth: u32| (f64::from(nth) / last).min(1.0 - f64::EPSILON);
                Self::Quantiles((0..QUANTILES).map(|nth| latency.sample(|| unit(nth), 0)).collect())
            }
        }
    }
}

impl From<LatencyData> for Latency {
    fn from(data: LatencyData) -> Self {
        match data {
            LatencyData::Fixed(at) => Self::Fixed(at),
            LatencyData::Uniform(from, to) => Self::Uniform(from, to),
            LatencyData::Normal(mean, deviation) => Self::Normal(mean, deviation),
            LatencyData::LogNormal(median, sigma) => Self::LogNormal(median, sigma),
            LatencyData::Falling(from, to, step) => Self::Falling(from, to, step.max(1)),
            LatencyData::Quantiles(quantiles) => {
                Self::Function(Arc::new(move |unit| interpolate(&quantiles, unit)))
            }
        }
    }
}

/// Returns the value at `unit`, from 0 to 1, by linear interpolation between values at equal distances.
fn interpolate(values: &[u64], unit: f64) -> Duration {
    let at = unit * values.len().saturating_sub(1) as f64;
    let index = (at as usize).min(values.len().saturating_sub(2));
    let part = at - index as f64;
    let value = |index: usize| values.get(index).map_or(0.0, |value| *value as f64);
    let between = value(index) + (value(index + 1) - value(index)) * part;
    Duration::from_nanos(between as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profile_survives_bytes() {
        let ms = Duration::from_millis;
        for profile in [
            NetworkProfile::lan(),
            NetworkProfile::mobile_3g().loss(0.2).duplication(0.1).reorder(0.3, ms(4)),
            NetworkProfile::normal(ms(7), ms(1)).shared_bandwidth(1_000, 50).mtu(900).log_all(),
            NetworkProfile::log_normal(ms(3), 0.5).in_order(false).log_machine("a"),
            NetworkProfile::reverse_latency(),
        ] {
            let back = NetworkProfile::from_bytes(&profile.to_bytes()).expect("it is valid");
            assert!(back.has_same_settings(&profile), "{back:?} {profile:?}");
        }
        assert!(NetworkProfile::from_bytes(b"\x09").is_none());
        let invalid = NetworkProfile::lan().loss(2.0);
        assert!(NetworkProfile::from_bytes(&invalid.to_bytes()).is_none());
    }

    #[test]
    fn function_is_kept_by_its_quantiles() {
        let squared = NetworkProfile::latency_by(|unit| Duration::from_secs_f64(unit * unit));
        let back = NetworkProfile::from_bytes(&squared.to_bytes()).expect("it is valid");
        for unit in [0.0, 0.1, 0.5, 0.77, 0.999] {
            let (one, other) =
                [&squared, &back].map(|profile| profile.latency.sample(|| unit, 0)).into();
            assert!(one.abs_diff(other) < 1_000_000, "{unit}: {one} {other}");
        }
    }
}
