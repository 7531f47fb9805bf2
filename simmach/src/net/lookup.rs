//! Names: what `lookup_host` and every function that takes an address turn into one.
//!
//! Modelled: a machine's name is known everywhere and means its IPv4 address, and where the topology says so its IPv6
//! address behind that; `localhost` means one's own. Looking up takes no time and never fails for a machine that is
//! down. Not modelled: a name server, aliases.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
};

use crate::net::{
    address::{ipv4, ipv6},
    error,
    fabric::enter_any,
};

/// Looks a name up, or parses an address: `api1.public:443`, `10.0.0.1:443`.
///
/// # Errors
///
/// When no machine has that name, or outside a run.
pub async fn lookup_host<T: ToSocketAddrs>(
    host: T,
) -> io::Result<impl Iterator<Item = SocketAddr>> {
    host.resolve().map(Vec::into_iter)
}

/// What can be turned into addresses. As tokio's, it is implemented here only.
pub trait ToSocketAddrs: sealed::Resolve {}

impl<T: sealed::Resolve + ?Sized> ToSocketAddrs for T {}

pub(crate) mod sealed {
    use super::*;

    pub trait Resolve {
        fn resolve(&self) -> io::Result<Vec<SocketAddr>>;
    }

    impl<T: Resolve + ?Sized> Resolve for &T {
        fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
            (**self).resolve()
        }
    }

    impl Resolve for SocketAddr {
        fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
            Ok(vec![*self])
        }
    }

    impl Resolve for SocketAddrV4 {
        fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
            Ok(vec![(*self).into()])
        }
    }

    impl Resolve for SocketAddrV6 {
        fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
            Ok(vec![(*self).into()])
        }
    }

    impl Resolve for (IpAddr, u16) {
        fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
            Ok(vec![(*self).into()])
        }
    }

    impl Resolve for (Ipv4Addr, u16) {
        fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
            Ok(vec![(*self).into()])
        }
    }

    impl Resolve for (Ipv6Addr, u16) {
        fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
            Ok(vec![(*self).into()])
        }
    }

    impl Resolve for [SocketAddr] {
        fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
            Ok(self.to_vec())
        }
    }

    impl Resolve for str {
        fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
            if let Ok(address) = self.parse() {
                return Ok(vec![address]);
            }
            let invalid = |text| io::Error::new(io::ErrorKind::InvalidInput, text);
            let (name, port) =
                self.rsplit_once(':').ok_or_else(|| invalid("invalid socket address"))?;
            let port = port.parse().map_err(|_| invalid("invalid port value"))?;
            named(name, port)
        }
    }

    impl Resolve for (&str, u16) {
        fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
            named(self.0, self.1)
        }
    }

    impl Resolve for String {
        fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
            self.as_str().resolve()
        }
    }

    impl Resolve for (String, u16) {
        fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
            named(&self.0, self.1)
        }
    }
}

fn named(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = name.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    enter_any(|fabric, _| {
        let (v4, v6) = if name.eq_ignore_ascii_case("localhost") {
            (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST)
        } else {
            let host = fabric.host_named(name).ok_or_else(|| error::unknown_name(name))?;
            (ipv4(host), ipv6(host))
        };
        let mut found = vec![SocketAddr::new(v4.into(), port)];
        if fabric.dual_stack() {
            found.push(SocketAddr::new(v6.into(), port));
        }
        Ok(found)
    })
}

/// The error when there was no address to try.
pub(crate) fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "could not resolve to any address")
}

/// Tries every address in turn, as tokio does: the first that works, or the last one's error.
pub(crate) fn first_of<T>(
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
