//! The latency of a packet, as a function of one draw in `[0, 1)`.
//!
//! Each distribution is given by its quantile function. So a packet takes one draw, and the calm
//! draw, 0.5, gives the median. Mathematical functions come from `libm`, which gives the same
//! results on every platform.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::engine;
use crate::mistakes::Mistakes;
use crate::net::simulated::tcp::config::nanos;

#[derive(Clone)]
pub(crate) enum Latency {
    Fixed(u64),
    /// Minimum and maximum, in nanoseconds.
    Uniform(u64, u64),
    /// Mean and standard deviation, in nanoseconds. Negative values become zero.
    Normal(u64, u64),
    /// Median in nanoseconds, and standard deviation of the logarithm.
    LogNormal(u64, f64),
    /// Start, end and step, in nanoseconds. Each packet is faster than the previous packet until
    /// the end is reached; then the sequence starts again.
    Falling(u64, u64, u64),
    Function(Arc<dyn Fn(f64) -> Duration + Send + Sync>),
}

impl Latency {
    /// The latency in nanoseconds, for the draw `unit` and the `nth` packet of a path.
    #[inline]
    pub(crate) fn sample(&self, unit: impl FnOnce() -> f64, nth: u64) -> u64 {
        match self {
            Latency::Fixed(at) => *at,
            Latency::Uniform(from, to) => from + (unit() * (to - from) as f64) as u64,
            Latency::Normal(mean, deviation) => {
                // Negative values saturate to zero.
                (*mean as f64 + normal(unit()) * *deviation as f64) as u64
            }
            Latency::LogNormal(median, sigma) => {
                (*median as f64 * libm::exp(sigma * normal(unit()))) as u64
            }
            Latency::Falling(from, to, step) => {
                let steps = (from - to) / step + 1;
                from - step * (nth % steps)
            }
            Latency::Function(function) => {
                let unit = unit();
                nanos(engine::catch_test_panic(Duration::ZERO, || function(unit)))
            }
        }
    }

    /// The same latency, longer by `nanos`.
    pub(crate) fn plus(self, nanos: u64) -> Self {
        let longer = move |at: u64| at.saturating_add(nanos);
        match self {
            Latency::Fixed(at) => Latency::Fixed(longer(at)),
            Latency::Uniform(from, to) => Latency::Uniform(longer(from), longer(to)),
            Latency::Falling(from, to, step) => Latency::Falling(longer(from), longer(to), step),
            Latency::Normal(..) | Latency::LogNormal(..) | Latency::Function(_) => {
                let at = move |unit| Duration::from_nanos(longer(self.sample(|| unit, 0)));
                Latency::Function(Arc::new(at))
            }
        }
    }

    /// Adds a mistake for each argument that is out of range.
    pub(crate) fn add_mistakes(&self, mistakes: &mut Mistakes) {
        match self {
            Latency::Uniform(from, to) => mistakes.require(from <= to, || {
                format!("`uniform`: the range {self:?} is empty: give the shorter latency first")
            }),
            Latency::LogNormal(_, sigma) => {
                mistakes.require(sigma.is_finite() && *sigma >= 0.0, || {
                    format!("`log_normal` needs a finite sigma of at least 0, got {sigma}")
                });
            }
            Latency::Fixed(_)
            | Latency::Normal(..)
            | Latency::Falling(..)
            | Latency::Function(_) => {}
        }
    }

    /// Whether packets of one path can have different latencies.
    pub(crate) fn varies(&self) -> bool {
        match self {
            Latency::Fixed(_) => false,
            Latency::Uniform(from, to) => from < to,
            Latency::Normal(_, deviation) => *deviation > 0,
            Latency::LogNormal(_, sigma) => *sigma > 0.0,
            Latency::Falling(from, to, _) => from > to,
            Latency::Function(_) => true,
        }
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |ns: &u64| Duration::from_nanos(*ns);
        match self {
            Latency::Fixed(at) => write!(f, "{:?}", time(at)),
            Latency::Uniform(from, to) => write!(f, "{:?}..{:?}", time(from), time(to)),
            Latency::Normal(mean, deviation) => {
                write!(f, "{:?} ± {:?}", time(mean), time(deviation))
            }
            Latency::LogNormal(median, sigma) => write!(f, "{:?} × e^{sigma}", time(median)),
            Latency::Falling(from, to, step) => {
                write!(f, "{:?} down to {:?} by {:?}", time(from), time(to), time(step))
            }
            Latency::Function(_) => f.write_str("a function"),
        }
    }
}

/// The quantile of the standard normal distribution, by P. J. Acklam's rational approximation (relative error below
/// 1.2e-9).
fn normal(unit: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] = [
        7.784_695_709_041_462e-3,
        3.224_671_290_700_398e-1,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
    ];
    const TAIL: f64 = 0.024_25;
    // A draw of exactly 0 would give minus infinity.
    let unit = unit.clamp(1e-12, 1.0 - 1e-12);
    let horner = |factors: &[f64], x: f64| factors.iter().fold(0.0, |sum, factor| sum * x + factor);
    if unit < TAIL {
        let q = libm::sqrt(-2.0 * libm::log(unit));
        horner(&C, q) / (horner(&D, q) * q + 1.0)
    } else if unit > 1.0 - TAIL {
        let q = libm::sqrt(-2.0 * libm::log(1.0 - unit));
        -horner(&C, q) / (horner(&D, q) * q + 1.0)
    } else {
        let q = unit - 0.5;
        let r = q * q;
        horner(&A, r) * q / (horner(&B, r) * r + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_quantiles_are_correct() {
        for (unit, expected) in [
            (0.5, 0.0),
            (0.841_344_746, 1.0),
            (0.158_655_254, -1.0),
            (0.977_249_868, 2.0),
            (0.001_349_898, -3.0),
            (0.998_650_102, 3.0),
        ] {
            assert!((normal(unit) - expected).abs() < 1e-6, "{unit}: {}", normal(unit));
        }
    }

    #[test]
    fn calm_latency_is_the_median() {
        let calm = |latency: Latency| latency.sample(|| 0.5, 0);
        assert_eq!(calm(Latency::Fixed(7)), 7);
        assert_eq!(calm(Latency::Uniform(100, 150)), 125);
        assert_eq!(calm(Latency::Normal(1000, 300)), 1000);
        assert_eq!(calm(Latency::LogNormal(1000, 0.5)), 1000);
        assert_eq!(
            calm(Latency::Function(Arc::new(|unit| Duration::from_nanos(1).mul_f64(unit * 8.0)))),
            4
        );
    }

    #[test]
    fn latency_is_longer_by_a_time() {
        let function = Latency::Function(Arc::new(|unit| Duration::from_nanos(9).mul_f64(unit)));
        for latency in [
            Latency::Fixed(7),
            Latency::Uniform(100, 150),
            Latency::Normal(10, 1000),
            Latency::LogNormal(1000, 0.5),
            Latency::Falling(50, 10, 2),
            function,
        ] {
            for (unit, nth) in [(0.0, 0), (0.3, 1), (0.5, 22), (0.999, 7)] {
                let sample = |latency: &Latency| latency.sample(|| unit, nth);
                assert_eq!(sample(&latency.clone().plus(33)), sample(&latency) + 33, "{latency:?}");
            }
            assert_eq!(latency.clone().plus(33).varies(), latency.varies());
        }
    }

    #[test]
    fn falling_latency_begins_again() {
        let latency = Latency::Falling(50, 10, 2);
        let samples: Vec<_> = (0..23).map(|nth| latency.sample(|| 0.5, nth)).collect();
        assert_eq!((samples[0], samples[1], samples[20], samples[21]), (50, 48, 10, 50));
    }

    #[test]
    fn latency_is_never_negative() {
        assert_eq!(Latency::Normal(10, 1000).sample(|| 0.0, 0), 0);
    }
}
