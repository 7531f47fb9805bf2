//! IP addresses of machines.
//!
//! Machine n has an IPv4 address `10.a.b.c`, an IPv6 address `fd00::n`, and loopback. The last byte
//! of the IPv4 address is never 0 or 255. The simulation stores an address as the machine's index
//! and a [`Net`], so routing needs no lookup. An IPv6 socket that accepts IPv4 shows mapped
//! addresses (`::ffff:10.0.0.1`). Several addresses of one kind, scopes, and the rest of
//! 127.0.0.0/8 are not modelled.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Index of a machine.
pub(crate) type HostIndex = u32;

/// Index of a path from one machine to another.
pub(crate) type PathIndex = u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Net {
    V4,
    V6,
    Loopback4,
    Loopback6,
}

/// The local addresses that a socket is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// `0.0.0.0`
    Any4,
    /// `::`, which accepts IPv4 as well.
    Any6,
    /// `::` with `IPV6_V6ONLY`, which does not accept IPv4.
    Only6,
    One(Net),
}

impl Bound {
    /// Whether the socket is an IPv6 socket.
    pub(crate) fn is_v6(self) -> bool {
        match self {
            Self::Any4 => false,
            Self::Any6 | Self::Only6 => true,
            Self::One(net) => net.is_v6(),
        }
    }
}

/// A machine's address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Endpoint {
    pub(crate) host: HostIndex,
    pub(crate) port: u16,
    pub(crate) net: Net,
}

/// The owner of an IP address, as seen from one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressOwner {
    /// `0.0.0.0` or `::`.
    Unspecified { v6: bool },
    /// An address of a machine.
    Machine(HostIndex, Net),
    /// No machine has the address.
    Unknown,
}

impl Net {
    pub(crate) fn is_loopback(self) -> bool {
        matches!(self, Net::Loopback4 | Net::Loopback6)
    }

    pub(crate) fn is_v6(self) -> bool {
        matches!(self, Net::V6 | Net::Loopback6)
    }
}

impl Bound {
    /// Returns the same for a socket with `IPV6_V6ONLY`; `None` for an IPv4 address.
    pub(crate) fn only_v6(self) -> Option<Self> {
        match self {
            Self::Any6 | Self::Only6 => Some(Self::Only6),
            Self::One(net) if net.is_v6() => Some(self),
            Self::Any4 | Self::One(_) => None,
        }
    }

    pub(crate) fn accepts(self, net: Net) -> bool {
        match self {
            Bound::Any4 => !net.is_v6(),
            Bound::Any6 => true,
            Bound::Only6 => net.is_v6(),
            Bound::One(own) => own == net,
        }
    }

    pub(crate) fn overlaps(self, other: Bound) -> bool {
        match (self, other) {
            (Bound::One(one), other) | (other, Bound::One(one)) => other.accepts(one),
            (Bound::Any4, Bound::Only6) | (Bound::Only6, Bound::Any4) => false,
            (Bound::Any4 | Bound::Any6 | Bound::Only6, _) => true,
        }
    }

    /// Rank by how many addresses it covers. The socket with the lowest rank receives a packet.
    pub(crate) fn breadth(self) -> u8 {
        match self {
            Bound::One(_) => 0,
            Bound::Any4 => 1,
            Bound::Any6 | Bound::Only6 => 2,
        }
    }
}

impl Endpoint {
    pub(crate) fn ip(self) -> IpAddr {
        match self.net {
            Net::V4 => IpAddr::V4(ipv4(self.host)),
            Net::V6 => IpAddr::V6(ipv6(self.host)),
            Net::Loopback4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Net::Loopback6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
        }
    }

    pub(crate) fn socket_addr(self) -> SocketAddr {
        SocketAddr::new(self.ip(), self.port)
    }

    /// The address as the socket API returns it: IPv4 as a mapped IPv6 address if `mapped`.
    pub(crate) fn display_addr(self, mapped: bool) -> SocketAddr {
        match self.ip() {
            IpAddr::V4(ip) if mapped => SocketAddr::new(ip.to_ipv6_mapped().into(), self.port),
            ip => SocketAddr::new(ip, self.port),
        }
    }
}

/// Returns the owner of `ip` as seen from `host`, in a run with `hosts` machines.
pub(crate) fn owner_of(ip: IpAddr, host: HostIndex, hosts: usize) -> AddressOwner {
    if let IpAddr::V6(v6) = ip
        && let Some(mapped) = v6.to_ipv4_mapped()
    {
        return owner_of(mapped.into(), host, hosts);
    }
    let found = match ip {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => return AddressOwner::Unspecified { v6: false },
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => return AddressOwner::Unspecified { v6: true },
        IpAddr::V4(ip) if ip.is_loopback() => return AddressOwner::Machine(host, Net::Loopback4),
        IpAddr::V6(Ipv6Addr::LOCALHOST) => return AddressOwner::Machine(host, Net::Loopback6),
        IpAddr::V4(ip) => index4(ip).map(|index| (index, Net::V4)),
        IpAddr::V6(ip) => index6(ip).map(|index| (index, Net::V6)),
    };
    match found {
        Some((index, net)) if (index as usize) < hosts => AddressOwner::Machine(index, net),
        Some(_) | None => AddressOwner::Unknown,
    }
}

pub(crate) fn ipv4(host: HostIndex) -> Ipv4Addr {
    let (high, low) = (host / 254, host % 254);
    Ipv4Addr::new(10, (high >> 8) as u8, high as u8, low as u8 + 1)
}

pub(crate) fn ipv6(host: HostIndex) -> Ipv6Addr {
    let n = host + 1;
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, (n >> 16) as u16, n as u16)
}

fn index4(ip: Ipv4Addr) -> Option<HostIndex> {
    match ip.octets() {
        [10, a, b, c @ 1..=254] => {
            Some((u32::from(a) * 256 + u32::from(b)) * 254 + u32::from(c) - 1)
        }
        _ => None,
    }
}

fn index6(ip: Ipv6Addr) -> Option<HostIndex> {
    match ip.segments() {
        [0xfd00, 0, 0, 0, 0, 0, high, low] => {
            (u32::from(high) << 16 | u32::from(low)).checked_sub(1)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_identify_their_machine() {
        for host in [0, 1, 253, 254, 255, 9_999, 64_999, 70_000] {
            assert_eq!(
                owner_of(ipv4(host).into(), 3, 100_000),
                AddressOwner::Machine(host, Net::V4)
            );
            assert_eq!(
                owner_of(ipv6(host).into(), 3, 100_000),
                AddressOwner::Machine(host, Net::V6)
            );
            assert_eq!(owner_of(ipv4(host).into(), 3, host as usize), AddressOwner::Unknown);
        }
        assert_eq!(ipv4(0).to_string(), "10.0.0.1");
        assert_eq!(ipv4(254).to_string(), "10.0.1.1");
        assert_eq!(ipv6(0).to_string(), "fd00::1");
    }

    #[test]
    fn loopback_belongs_to_the_own_machine() {
        let local = |text: &str| owner_of(text.parse().expect("an address"), 3, 5);
        assert_eq!(local("127.0.0.1"), AddressOwner::Machine(3, Net::Loopback4));
        assert_eq!(local("::1"), AddressOwner::Machine(3, Net::Loopback6));
        assert_eq!(local("0.0.0.0"), AddressOwner::Unspecified { v6: false });
        assert_eq!(local("::"), AddressOwner::Unspecified { v6: true });
        assert_eq!(local("8.8.8.8"), AddressOwner::Unknown);
        assert_eq!(local("10.0.0.0"), AddressOwner::Unknown);
    }
}
