//! Names: what `lookup_host` and every function that takes an address turn into one.
//!
//! In a run it models: a machine's name is known everywhere and means its IPv4 address, and where the topology says so its IPv6
//! address behind that; `localhost` means one's own; a dot may end any name. Looking up takes no time and never fails for a machine that is
//! down. Not modelled: a name server, aliases. Outside a run names are the operating system's.

use std::borrow::Cow;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

#[cfg(feature = "real")]
use crate::net::real;
#[cfg(feature = "sim")]
use crate::net::simulated::sockets;

/// Looks a name up, or parses an address: `api1.public:443`, `10.0.0.1:443`.
///
/// # Errors
///
/// When no machine has that name, or outside a run; with the feature `real` outside a run, the operating system's.
pub async fn lookup_host<T: ToSocketAddrs>(
    host: T,
) -> io::Result<impl Iterator<Item = SocketAddr>> {
    let addresses = here! {
        simulated => sockets::find(host.target()?)?,
        real => real::addresses(host.target()?.into_owned()).await?,
    };
    Ok(addresses.into_iter())
}

/// What can be turned into addresses. As tokio's, it is implemented here only.
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

/// What something that can be turned into addresses says.
#[derive(Debug)]
pub enum Target<'a> {
    Addresses(Vec<SocketAddr>),
    Name(Cow<'a, str>, u16),
}

impl Target<'_> {
    #[cfg(feature = "real")]
    pub(crate) fn into_owned(self) -> Target<'static> {
        match self {
            Self::Addresses(addresses) => Target::Addresses(addresses),
            Self::Name(name, port) => Target::Name(name.into_owned().into(), port),
        }
    }
}

fn named(name: &str, port: u16) -> Target<'_> {
    match name.parse::<IpAddr>() {
        Ok(ip) => Target::Addresses(vec![SocketAddr::new(ip, port)]),
        Err(_) => Target::Name(name.into(), port),
    }
}
