//! The argument of functions that take an address, before it is resolved.

use std::borrow::Cow;
use std::net::SocketAddr;

/// An unresolved argument: addresses, or a name and a port.
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
