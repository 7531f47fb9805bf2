//! Formats numbers and times for people.

use std::time::Duration;

const SECOND: f64 = 1e9;

/// Formats a number with commas: `1,234,567`.
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a number with its noun: `1 seed`, `2,000 seeds`.
pub(crate) fn count(n: u64, one: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {one}{plural}", thousands(n))
}

/// Formats a span of time, given in nanoseconds, with a fitting unit: `35.0 ms`, `3.2 s`, `27.8 h`.
pub(crate) fn span(nanos: u128) -> String {
    if nanos == 0 {
        return "0 s".to_owned();
    }
    let nanos = nanos as f64;
    let (value, unit) = match nanos / SECOND {
        s if s < 1e-3 => (nanos / 1e3, "µs"),
        s if s < 1.0 => (nanos / 1e6, "ms"),
        s if s < 120.0 => (s, "s"),
        s if s < 7200.0 => (s / 60.0, "min"),
        s if s < 72.0 * 3600.0 => (s / 3600.0, "h"),
        s => (s / 86400.0, "days"),
    };
    format!("{value:.1} {unit}")
}

/// Formats a virtual time of a run: `0.250 s`, `1 min 44.200 s`, `2 h 03 min 04.000 s`.
pub(crate) fn moment(nanos: u64) -> String {
    let millis = nanos / 1_000_000;
    let (minutes, millis) = (millis / 60_000, millis % 60_000);
    let (seconds, millis) = (millis / 1000, millis % 1000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}.{millis:03} s"),
        (0, minutes) => format!("{minutes} min {seconds:02}.{millis:03} s"),
        (hours, minutes) => format!("{hours} h {minutes:02} min {seconds:02}.{millis:03} s"),
    }
}

/// Formats the ratio of virtual to real time, in two or three significant figures: `x31,000`.
pub(crate) fn speed_up(virtual_nanos: u128, wall: Duration) -> String {
    let times = virtual_nanos as f64 / (wall.as_nanos() as f64).max(1.0);
    if times < 10.0 {
        return format!("x{times:.1}");
    }
    let mut rounded = times.min(1e18) as u64;
    let mut unit = 1;
    while rounded >= 1000 {
        rounded = (rounded + 5) / 10;
        unit *= 10;
    }
    format!("x{}", thousands(rounded * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_formatted() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1000), "1,000");
        assert_eq!(thousands(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(
            (count(1, "seed"), count(2000, "seed")),
            ("1 seed".into(), "2,000 seeds".into())
        );
        assert_eq!(span(0), "0 s");
        assert_eq!(span(1500), "1.5 µs");
        assert_eq!(span(35_000_000), "35.0 ms");
        assert_eq!(span(100_080_000_000_000), "27.8 h");
        assert_eq!(span(u128::from(u64::MAX)), "213504.0 days");
        assert_eq!(moment(250_000_000), "0.250 s");
        assert_eq!(moment(104_200_000_000), "1 min 44.200 s");
        assert_eq!(moment(7_384_000_999_999), "2 h 03 min 04.000 s");
        let one = Duration::from_secs(1);
        assert_eq!(speed_up(31_234_000_000_000, one), "x31,200");
        assert_eq!(speed_up(127_400_000_000, one), "x127");
        assert_eq!(speed_up(1_000_000_000, one), "x1.0");
        assert_eq!(speed_up(5, Duration::ZERO), "x5.0");
    }
}
