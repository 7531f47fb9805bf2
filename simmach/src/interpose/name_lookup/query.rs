//! The arguments and results of a name lookup, which behaves like glibc's.

use std::ffi::c_int;
use std::iter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Accepted flags. Flags for internationalized names have no effect.
const KNOWN_FLAGS: c_int = libc::AI_PASSIVE
    | libc::AI_CANONNAME
    | libc::AI_NUMERICHOST
    | libc::AI_V4MAPPED
    | libc::AI_ALL
    | libc::AI_ADDRCONFIG
    | libc::AI_NUMERICSERV
    | IDN_FLAGS;
/// `AI_IDN`, `AI_CANONIDN` and two deprecated flags.
const IDN_FLAGS: c_int = 0x0040 | 0x0080 | 0x0100 | 0x0200;

/// The error for a host that has no address of the family.
const EAI_ADDRFAMILY: c_int = -9;

/// Well-known services: the name, the port, and whether TCP and UDP use the port.
const SERVICES: [(&str, u16, bool, bool); 16] = [
    ("amqp", 5672, true, false),
    ("domain", 53, true, true),
    ("ftp", 21, true, false),
    ("http", 80, true, false),
    ("https", 443, true, true),
    ("imaps", 993, true, false),
    ("kerberos", 88, true, true),
    ("ldap", 389, true, true),
    ("mysql", 3306, true, false),
    ("ntp", 123, false, true),
    ("postgresql", 5432, true, false),
    ("redis", 6379, true, false),
    ("smtp", 25, true, false),
    ("snmp", 161, true, true),
    ("ssh", 22, true, false),
    ("syslog", 514, false, true),
];

/// The hints of a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hints {
    pub(super) flags: c_int,
    pub(super) family: c_int,
    pub(super) kind: c_int,
    pub(super) protocol: c_int,
}

impl Default for Hints {
    /// Returns the hints of a lookup without hints.
    fn default() -> Self {
        let flags = libc::AI_V4MAPPED | libc::AI_ADDRCONFIG;
        Self { flags, family: libc::AF_UNSPEC, kind: 0, protocol: 0 }
    }
}

/// A result of a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    pub(super) kind: c_int,
    pub(super) protocol: c_int,
}

/// A type of socket, with its protocol and the port of the service.
#[derive(Clone, Copy, Debug)]
struct Transport {
    kind: c_int,
    protocol: c_int,
    port: u16,
}

/// Looks up a host and a service. `resolve` returns the addresses of a name. Errors are error codes of `getaddrinfo`.
pub(super) fn find(
    host: Option<&str>,
    service: Option<&str>,
    hints: Hints,
    resolve: impl FnOnce(&str) -> Result<Vec<IpAddr>, c_int>,
) -> Result<Vec<Endpoint>, c_int> {
    let (host, service) = (host.filter(|host| *host != "*"), service.filter(|name| *name != "*"));
    if host.is_none() && service.is_none() {
        return Err(libc::EAI_NONAME);
    }
    let wants_name = hints.flags & libc::AI_CANONNAME != 0;
    if hints.flags & !KNOWN_FLAGS != 0 || wants_name && host.is_none() {
        return Err(libc::EAI_BADFLAGS);
    }
    if !matches!(hints.family, libc::AF_UNSPEC | libc::AF_INET | libc::AF_INET6) {
        return Err(libc::EAI_FAMILY);
    }
    let transports = transports(service.filter(|name| !name.is_empty()), hints)?;
    let addresses = match host {
        Some(host) => addresses(host, hints, resolve)?,
        None => unnamed(hints),
    };
    let endpoints = addresses.into_iter().flat_map(|ip| {
        transports.iter().map(move |transport| Endpoint {
            address: SocketAddr::new(ip, transport.port),
            kind: transport.kind,
            protocol: transport.protocol,
        })
    });
    Ok(endpoints.collect())
}

fn transports(service: Option<&str>, hints: Hints) -> Result<Vec<Transport>, c_int> {
    let number = service.and_then(port_number);
    if service.is_some() && number.is_none() && hints.flags & libc::AI_NUMERICSERV != 0 {
        return Err(libc::EAI_NONAME);
    }
    let (tcp, udp) = (libc::IPPROTO_TCP, libc::IPPROTO_UDP);
    let port = number.unwrap_or(0);
    let all = [
        Transport { kind: libc::SOCK_STREAM, protocol: tcp, port },
        Transport { kind: libc::SOCK_DGRAM, protocol: udp, port },
        Transport { kind: libc::SOCK_RAW, protocol: hints.protocol, port },
    ];
    let mut asked = all.to_vec();
    if hints.kind != 0 || hints.protocol != 0 {
        asked.retain(|transport| {
            (hints.kind == 0 || hints.kind == transport.kind)
                && (hints.protocol == 0 || hints.protocol == transport.protocol)
        });
        asked.truncate(1);
        match asked.first() {
            None if hints.kind != 0 => return Err(libc::EAI_SOCKTYPE),
            None => return Err(libc::EAI_SERVICE),
            // This transport has no services.
            Some(only) if only.kind == libc::SOCK_RAW && service.is_some() => {
                return Err(libc::EAI_SERVICE);
            }
            Some(_) => {}
        }
    }
    match service {
        Some(name) if number.is_none() => add_port(&mut asked, name)?,
        _ => {}
    }
    Ok(asked)
}

/// Reads a port number. As in glibc only its lowest bits count.
fn port_number(service: &str) -> Option<u16> {
    let mut number: u64 = 0;
    for byte in service.bytes() {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number = number.saturating_mul(10).saturating_add(digit);
    }
    Some(number as u16)
}

/// Adds a service's port, and removes the transports that do not have the service.
fn add_port(transports: &mut Vec<Transport>, service: &str) -> Result<(), c_int> {
    let known = SERVICES.iter().find(|known| known.0 == service);
    let (_, port, on_tcp, on_udp) = *known.ok_or(libc::EAI_SERVICE)?;
    transports.retain_mut(|transport| {
        transport.port = port;
        match transport.kind {
            libc::SOCK_STREAM => on_tcp,
            libc::SOCK_DGRAM => on_udp,
            _ => false,
        }
    });
    if transports.is_empty() { Err(libc::EAI_SERVICE) } else { Ok(()) }
}

/// Returns the addresses for a lookup without a host: wildcard or loopback addresses, in glibc's order.
fn unnamed(hints: Hints) -> Vec<IpAddr> {
    let all: [IpAddr; 2] = match hints.flags & libc::AI_PASSIVE {
        0 => [Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()],
        _ => [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
    };
    all.into_iter().filter(|ip| is_of_family(ip, hints.family)).collect()
}

fn addresses(
    host: &str,
    hints: Hints,
    resolve: impl FnOnce(&str) -> Result<Vec<IpAddr>, c_int>,
) -> Result<Vec<IpAddr>, c_int> {
    if let Some(ip) = numeric(host) {
        return Ok(vec![convert(ip, hints).ok_or(EAI_ADDRFAMILY)?]);
    }
    if hints.flags & libc::AI_NUMERICHOST != 0 {
        return Err(libc::EAI_NONAME);
    }
    let all = resolve(host)?;
    if all.is_empty() {
        return Err(libc::EAI_NONAME);
    }
    let mut found: Vec<IpAddr> =
        all.iter().copied().filter(|ip| is_of_family(ip, hints.family)).collect();
    let adds_mapped = found.is_empty() || hints.flags & libc::AI_ALL != 0;
    if hints.family == libc::AF_INET6 && adds_mapped {
        let v4 = all.into_iter().filter(IpAddr::is_ipv4);
        found.extend(v4.filter_map(|ip| convert(ip, hints)));
    }
    if found.is_empty() { Err(libc::EAI_NODATA) } else { Ok(found) }
}

fn is_of_family(ip: &IpAddr, family: c_int) -> bool {
    match family {
        libc::AF_INET => ip.is_ipv4(),
        libc::AF_INET6 => ip.is_ipv6(),
        _ => true,
    }
}

/// Converts an address to the requested family.
fn convert(ip: IpAddr, hints: Hints) -> Option<IpAddr> {
    match (ip, hints.family) {
        (IpAddr::V4(ip), libc::AF_INET6) => {
            (hints.flags & libc::AI_V4MAPPED != 0).then(|| ip.to_ipv6_mapped().into())
        }
        (IpAddr::V6(ip), libc::AF_INET) => ip.to_ipv4_mapped().map(IpAddr::V4),
        _ => Some(ip),
    }
}

/// Reads an address. The scope of an IPv6 address is ignored.
fn numeric(host: &str) -> Option<IpAddr> {
    if let Some(ip) = numeric_v4(host) {
        return Some(ip.into());
    }
    let address = host.split_once('%').map_or(host, |(address, _)| address);
    address.parse().ok().map(IpAddr::V6)
}

/// Reads an IPv4 address as `inet_aton` does: one to four numbers, each decimal, octal or hexadecimal, of which the last
/// one fills all remaining bytes.
fn numeric_v4(host: &str) -> Option<Ipv4Addr> {
    let parts: Vec<&str> = host.split('.').collect();
    let (last, first) = parts.split_last()?;
    if first.len() > 3 {
        return None;
    }
    let mut address = integer(last)?;
    if u64::from(address) >= 1 << (8 * (4 - first.len())) {
        return None;
    }
    for (part, shift) in iter::zip(first, [24, 16, 8]) {
        let byte = u8::try_from(integer(part)?).ok()?;
        address |= u32::from(byte) << shift;
    }
    Some(address.into())
}

fn integer(text: &str) -> Option<u32> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hints of a kind of lookup.
    fn hints(flags: c_int, family: c_int) -> Hints {
        Hints { flags, family, kind: libc::SOCK_STREAM, protocol: 0 }
    }

    fn ips(host: &str, hints: Hints, found: &[&str]) -> Result<Vec<String>, c_int> {
        let found = found.iter().map(|ip| ip.parse().expect("it is an address")).collect();
        let endpoints = find(Some(host), None, hints, |name| {
            assert_eq!(name, host);
            Ok(found)
        })?;
        Ok(endpoints.iter().map(|found| found.address.ip().to_string()).collect())
    }

    #[test]
    fn addresses_of_a_name_are_filtered_by_family() {
        let both = ["fd00::1", "10.0.0.1", "fd00::2"];
        let find = |flags, family, found: &[&str]| ips("db", hints(flags, family), found);
        let names = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(find(0, libc::AF_UNSPEC, &both), names(&both));
        assert_eq!(find(0, libc::AF_INET, &both), names(&["10.0.0.1"]));
        assert_eq!(find(0, libc::AF_INET6, &both), names(&["fd00::1", "fd00::2"]));
        assert_eq!(find(0, libc::AF_INET6, &["10.0.0.1"]), Err(libc::EAI_NODATA));
        let mapped = libc::AI_V4MAPPED;
        assert_eq!(find(mapped, libc::AF_INET6, &["10.0.0.1"]), names(&["::ffff:10.0.0.1"]));
        let all = ["fd00::1", "fd00::2", "::ffff:10.0.0.1"];
        assert_eq!(find(mapped | libc::AI_ALL, libc::AF_INET6, &both), names(&all));
        assert_eq!(find(0, libc::AF_UNSPEC, &[]), Err(libc::EAI_NONAME));
    }

    #[test]
    fn errors_of_a_name_are_returned() {
        let failed = find(Some("db"), None, Hints::default(), |_| Err(libc::EAI_AGAIN));
        assert_eq!(failed, Err(libc::EAI_AGAIN));
        let flags = libc::AI_NUMERICHOST;
        let hints = Hints { flags, ..Hints::default() };
        let failed = find(Some("db"), None, hints, |_| unreachable!("the host is a number"));
        assert_eq!(failed, Err(libc::EAI_NONAME));
    }

    #[test]
    fn services_have_transports() {
        let find = |service, hints| {
            let found = find(Some("10.0.0.1"), Some(service), hints, |_| Err(libc::EAI_FAIL))?;
            let kinds = found.iter().map(|found| (found.kind, found.address.port()));
            Ok(kinds.collect::<Vec<_>>())
        };
        let any = Hints { flags: 0, family: 0, kind: 0, protocol: 0 };
        let udp = Hints { protocol: libc::IPPROTO_UDP, ..any };
        assert_eq!(find("http", any), Ok(vec![(libc::SOCK_STREAM, 80)]));
        assert_eq!(find("http", udp), Err(libc::EAI_SERVICE));
        let both = vec![(libc::SOCK_STREAM, 53), (libc::SOCK_DGRAM, 53)];
        assert_eq!(find("domain", any), Ok(both));
        assert_eq!(find("teleport", any), Err(libc::EAI_SERVICE));
    }

    #[test]
    fn numbers_are_read_as_inet_aton_does() {
        let read = |text| numeric_v4(text).map(|ip| ip.to_string());
        for (text, ip) in [
            ("1.2.3.4", "1.2.3.4"),
            ("127.1", "127.0.0.1"),
            ("1.2.772", "1.2.3.4"),
            ("0x7f000001", "127.0.0.1"),
            ("0177.0.0.01", "127.0.0.1"),
            ("4294967295", "255.255.255.255"),
        ] {
            assert_eq!(read(text).as_deref(), Some(ip), "{text}");
        }
        for text in ["", ".", "1.", "1..2", "256.1", "1.2.3.256", "1.2.3.4.5", "08.1", "+1", "a"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
