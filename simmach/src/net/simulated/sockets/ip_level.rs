//! IP options of sockets. They are stored within Linux's limits but have no effect, since a run has
//! no routers.

use std::io;

use crate::net::simulated::kernel::error;
use crate::net::simulated::kernel::socket::IpOptions;

/// The kind of a socket, which decides the IP options that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SocketKind {
    Stream,
    Stream6,
    Datagrams,
    Datagrams6,
}

/// A socket with IP options.
pub(crate) trait IpLevel {
    fn ip<R>(&self, f: impl FnOnce(&mut IpOptions, SocketKind) -> R) -> io::Result<R>;

    fn ttl(&self) -> io::Result<u32> {
        self.ip(|ip, _| u32::from(ip.ttl))
    }

    fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let ttl = u8::try_from(ttl).ok().filter(|ttl| *ttl > 0).ok_or_else(error::invalid)?;
        self.ip(|ip, _| ip.ttl = ttl)
    }

    fn tos_v4(&self) -> io::Result<u32> {
        self.ip(|ip, _| u32::from(ip.tos))
    }

    fn set_tos_v4(&self, tos: u32) -> io::Result<()> {
        self.ip(|ip, kind| ip.tos = kind.class(ip.tos, tos as u8))
    }

    fn tclass_v6(&self) -> io::Result<u32> {
        self.ip(
            |ip, kind| {
                if kind.is_v6() { Ok(u32::from(ip.tclass)) } else { Err(error::unsupported()) }
            },
        )?
    }

    fn set_tclass_v6(&self, tclass: u32) -> io::Result<()> {
        self.ip(|ip, kind| {
            if !kind.is_v6() {
                return Err(error::no_option());
            }
            let tclass = u8::try_from(tclass).map_err(|_| error::invalid())?;
            ip.tclass = kind.class(ip.tclass, tclass);
            Ok(())
        })?
    }
}

/// The ECN bits, which TCP controls itself.
const ECN: u8 = 0b11;

impl SocketKind {
    fn is_v6(self) -> bool {
        matches!(self, Self::Stream6 | Self::Datagrams6)
    }

    fn class(self, old: u8, new: u8) -> u8 {
        match self {
            Self::Stream | Self::Stream6 => new & !ECN | old & ECN,
            Self::Datagrams | Self::Datagrams6 => new,
        }
    }
}
