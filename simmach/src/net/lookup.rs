//! Name lookup: `lookup_host`, which every function that takes an address uses too.
//!
//! In a run, every machine can look up the names of all machines. A name resolves to the machine's
//! IPv4 address, followed by its IPv6 address if the topology is dual-stack. `localhost` is the
//! machine itself. A name may end with a dot. A lookup takes no time, and succeeds for machines
//! that are down. Name servers and aliases are not modelled. Outside a run, the operating system
//! resolves names.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

#[cfg(feature = "real")]
use crate::net::real;
#[cfg(feature = "sim")]
use crate::net::simulated::sockets;
use crate::net::target::Target;

/// Resolves a name or parses an address: `api1.public:443`, `10.0.0.1:443`.
///
/// # Errors
///
/// If no machine has the name, or if called outside a run. With the feature `real`, a call outside
/// a run returns the operating system's errors.
pub async fn lookup_host<T: ToSocketAddrs>(
    host: T,
) -> io::Result<impl Iterator<Item = SocketAddr>> {
    let addresses = here! {
        simulated => sockets::resolve(host.target()?)?,
        real => real::addresses(host.target()?.into_owned()).await?,
    };
    Ok(addresses.into_iter())
}

/// Types that convert to socket addresses. As in tokio, the trait is sealed.
pub trait ToSocketAddrs: sealed::Resolve {}

impl<T: sealed::Resolve + ?Sized> ToSocketAddrs for T {}

pub(crate) mod sealed {
    use super::*;

    pub trait Resolve {
        fn target(&self) -> io::Result<Target<'_>>;
    }

    impl<T: Resolve + ?Sized> Resolve for &T {
        fn target(&self) -> io::Result<Target<'_>> {
            (**self).target()
        }
    }

    impl Resolve for SocketAddr {
        fn target(&self) -> io::Result<Target<'_>> {
            Ok(Target::Addresses(vec![*self]))
        }
    }

    impl Resolve for SocketAddrV4 {
        fn target(&self) -> io::Result<Target<'_>> {
            Ok(Target::Addresses(vec![(*self).into()]))
        }
    }

    impl Resolve for SocketAddrV6 {
        fn target(&self) -> io::Result<Target<'_>> {
            Ok(Target::Addresses(vec![(*self).into()]))
        }
    }

    impl Resolve for (IpAddr, u16) {
        fn target(&self) -> io::Result<Target<'_>> {
            Ok(Target::Addresses(vec![(*self).into()]))
        }
    }

    impl Resolve for (Ipv4Addr, u16) {
        fn target(&self) -> io::Result<Target<'_>> {
            Ok(Target::Addresses(vec![(*self).into()]))
        }
    }

    impl Resolve for (Ipv6Addr, u16) {
        fn target(&self) -> io::Result<Target<'_>> {
            Ok(Target::Addresses(vec![(*self).into()]))
        }
    }

    impl Resolve for [SocketAddr] {
        fn target(&self) -> io::Result<Target<'_>> {
            Ok(Target::Addresses(self.to_vec()))
        }
    }

    impl Resolve for str {
        fn target(&self) -> io::Result<Target<'_>> {
            if let Ok(address) = self.parse() {
                return Ok(Target::Addresses(vec![address]));
            }
            let invalid = |text| io::Error::new(io::ErrorKind::InvalidInput, text);
            let (name, port) =
                self.rsplit_once(':').ok_or_else(|| invalid("invalid socket address"))?;
            let port = port.parse().map_err(|_| invalid("invalid port value"))?;
            Ok(named(name, port))
        }
    }

    impl Resolve for (&str, u16) {
        fn target(&self) -> io::Result<Target<'_>> {
            Ok(named(self.0, self.1))
        }
    }

    impl Resolve for String {
        fn target(&self) -> io::Result<Target<'_>> {
            self.as_str().target()
        }
    }

    impl Resolve for (String, u16) {
        fn target(&self) -> io::Result<Target<'_>> {
            Ok(named(&self.0, self.1))
        }
    }
}

fn named(name: &str, port: u16) -> Target<'_> {
    match name.parse::<IpAddr>() {
        Ok(ip) => Target::Addresses(vec![SocketAddr::new(ip, port)]),
        Err(_) => Target::Name(name.into(), port),
    }
}
