//! Name lookup in a run.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::net::simulated::address::{ipv4, ipv6};
use crate::net::simulated::kernel::{error, with_host};
use crate::net::target::Target;

/// Resolves a target to its addresses.
pub(crate) fn resolve(target: Target<'_>) -> io::Result<Vec<SocketAddr>> {
    match target {
        Target::Addresses(addresses) => Ok(addresses),
        Target::Name(name, port) => resolve_name(&name, port),
    }
}

fn resolve_name(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if name.contains('\0') {
        let text = "file name contained an unexpected NUL byte";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    if let Some(address) = parse_numeric(name) {
        return Ok(vec![SocketAddr::new(address.into(), port)]);
    }
    // A trailing dot marks an absolute name; all names are absolute here.
    let absolute = name.strip_suffix('.').unwrap_or(name);
    with_host(|kernel, _| {
        let (v4, v6) = if absolute.eq_ignore_ascii_case("localhost") {
            (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST)
        } else {
            let host = kernel.host_named(absolute).ok_or_else(|| error::unknown_name(name))?;
            (ipv4(host), ipv6(host))
        };
        let mut found = vec![SocketAddr::new(v4.into(), port)];
        if kernel.dual_stack() {
            found.push(SocketAddr::new(v6.into(), port));
        }
        Ok(found)
    })
}

/// Parses an IPv4 address as `inet_aton` does: one to four decimal, octal or hexadecimal numbers. The last number fills
/// the remaining bytes: `127.1`, `0x7f000001`.
fn parse_numeric(name: &str) -> Option<Ipv4Addr> {
    let mut numbers = Vec::new();
    for part in name.split('.') {
        numbers.push(parse_number(part)?);
    }
    let (last, leading) = numbers.split_last()?;
    let bits_left = 32_u32.checked_sub(8 * u32::try_from(leading.len()).ok()?)?;
    let fits = bits_left > 0 && u64::from(*last) < 1 << bits_left;
    if !fits || leading.iter().any(|number| *number > 255) {
        return None;
    }
    let bytes = (0..).map(|nth| 24 - 8 * nth).zip(leading);
    Some(Ipv4Addr::from_bits(bytes.fold(*last, |bits, (shift, byte)| bits | byte << shift)))
}

/// Parses a number in C notation.
fn parse_number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    let all_digits = digits.chars().all(|digit| digit.is_digit(radix));
    u32::from_str_radix(digits, radix).ok().filter(|_| all_digits)
}

/// Returns the error of a call that has no address to try.
pub(crate) fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "could not resolve to any address")
}

/// Tries the addresses in order, as tokio does. Returns the first success, or the last error.
pub(crate) fn first_success<T>(
    addresses: &[SocketAddr],
    attempt: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = no_address();
    for made in addresses.iter().copied().map(attempt) {
        match made {
            Ok(made) => return Ok(made),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_names_are_parsed_as_in_c() {
        let address = |text: &str| parse_numeric(text).map(|address| address.to_string());
        for (text, expected) in [
            ("127.1", "127.0.0.1"),
            ("10.1.258", "10.1.1.2"),
            ("2130706433", "127.0.0.1"),
            ("0x7F.0.0.1", "127.0.0.1"),
            ("0177.0.0.010", "127.0.0.8"),
            ("0", "0.0.0.0"),
            ("255.16777215", "255.255.255.255"),
            ("4294967295", "255.255.255.255"),
        ] {
            assert_eq!(address(text).as_deref(), Some(expected), "{text}");
        }
        let none = [
            "",
            ".",
            "1.",
            "a.b",
            "256.1",
            "1.2.3.256",
            "1.2.3.4.5",
            "4294967296",
            "08",
            "0x",
            "+1",
            "-1",
            "1..2",
            "1.16777216",
        ];
        for text in none {
            assert_eq!(address(text), None, "{text}");
        }
    }
}
