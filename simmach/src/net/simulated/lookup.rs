//! Names in a run: the machines'.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::net::{
    address::{ipv4, ipv6},
    error,
    fabric::enter_any,
    lookup::Target,
};

/// The addresses that are meant.
pub(crate) fn find(target: Target<'_>) -> io::Result<Vec<SocketAddr>> {
    match target {
        Target::Addresses(addresses) => Ok(addresses),
        Target::Name(name, port) => named(&name, port),
    }
}

fn named(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
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
