//! Formats sizes of stores.

/// Formats a size in bytes with a fitting unit.
pub(super) fn bytes(size: u128) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut unit = 0;
    while unit + 1 < UNITS.len() && size >> (10 * (unit + 2)) > 0 {
        unit += 1;
    }
    let tenths = size * 10 / (1 << (10 * (unit + 1)));
    match tenths % 10 {
        0 => format!("{} {}", tenths / 10, UNITS[unit]),
        tenth => format!("{}.{tenth} {}", tenths / 10, UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_formatted_with_a_unit() {
        for (size, text) in [
            (64 << 10, "64 KiB"),
            (1 << 20, "1 MiB"),
            (3 << 29, "1.5 GiB"),
            (200 << 40, "200 TiB"),
            (1 << 63, "8192 PiB"),
        ] {
            assert_eq!(bytes(size), text);
        }
    }
}
