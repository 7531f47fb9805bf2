//! Options of sockets (`getsockopt`, `setsockopt`).
//!
//! The simulated kernel in `net` implements options that affect a run. Other options that common
//! libraries set are only stored and read back, since they affect nothing in a run. An unknown
//! option fails with `ENOPROTOOPT`.

mod reading;
mod setting;

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::interpose::system::{Answer, Control};
use crate::net::KeepAlive;
use crate::net::simulated::kernel::datagrams::BindOptions;
use crate::net::simulated::kernel::host::Sharing;
use crate::net::simulated::key::SocketKey;
use crate::system::descriptors::{FileId, with, with_file};
pub(super) use crate::system::socket_options::reading::get;
pub(super) use crate::system::socket_options::setting::set;
use crate::system::sockets::{Socket, kernel};

/// Linux's maximum buffer size in bytes (`net.core.wmem_max` and `rmem_max`). Larger sizes are
/// reduced to it.
const MOST_BUFFER: u32 = 212_992;

/// Options of a file that the network does not implement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// The stored options, by level and name.
    stored: BTreeMap<(c_int, c_int), c_int>,
    /// Timeouts of blocking calls (`SO_RCVTIMEO`, `SO_SNDTIMEO`).
    pub(super) receive_timeout: Option<Duration>,
    pub(super) send_timeout: Option<Duration>,
}

/// Options that are only stored, with Linux's initial values.
const STORED: [(c_int, c_int, c_int); 28] = [
    (libc::SOL_SOCKET, libc::SO_DONTROUTE, 0),
    (libc::SOL_SOCKET, libc::SO_OOBINLINE, 0),
    (libc::SOL_SOCKET, libc::SO_PRIORITY, 0),
    (libc::SOL_SOCKET, libc::SO_RCVLOWAT, 1),
    (libc::SOL_SOCKET, libc::SO_TIMESTAMP, 0),
    (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 0),
    (libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 0),
    (libc::SOL_SOCKET, libc::SO_BUSY_POLL, 0),
    (libc::SOL_SOCKET, libc::SO_INCOMING_CPU, 0),
    (libc::IPPROTO_TCP, libc::TCP_CORK, 0),
    (libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, 0),
    (libc::IPPROTO_TCP, libc::TCP_FASTOPEN, 0),
    (libc::IPPROTO_TCP, libc::TCP_SYNCNT, 6),
    (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, 0),
    (libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, 0),
    (libc::IPPROTO_IP, libc::IP_PKTINFO, 0),
    (libc::IPPROTO_IP, libc::IP_RECVTOS, 0),
    (libc::IPPROTO_IP, libc::IP_RECVTTL, 0),
    (libc::IPPROTO_IP, libc::IP_RECVERR, 0),
    (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, 1),
    (libc::IPPROTO_IP, libc::IP_FREEBIND, 0),
    (libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 0),
    (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 0),
    (libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, 0),
    (libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 0),
    (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, 1),
    (libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 0),
    (libc::SOL_UDP, libc::UDP_GRO, 0),
];

/// `UDP_SEGMENT`: the size of the datagrams that one send is split into.
const SEGMENT: (c_int, c_int) = (libc::SOL_UDP, libc::UDP_SEGMENT);
const BROADCAST: (c_int, c_int) = (libc::SOL_SOCKET, libc::SO_BROADCAST);
const REUSE: (c_int, c_int) = (libc::SOL_SOCKET, libc::SO_REUSEADDR);
const REUSE_PORT: (c_int, c_int) = (libc::SOL_SOCKET, libc::SO_REUSEPORT);
const V6_ONLY: (c_int, c_int) = (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY);

/// Gives an accepted connection the options of its listener.
pub(super) fn inherit(listener: FileId, accepted: c_int) -> Answer<()> {
    with(|descriptors| {
        let options = descriptors.file(listener)?.options.clone();
        let accepted = descriptors.id_of(accepted)?;
        descriptors.file(accepted)?.options = options;
        Ok(())
    })
}

/// Returns the options of a UDP socket that take effect when it is bound.
pub(super) fn for_bind(id: FileId) -> Answer<BindOptions> {
    with(|descriptors| {
        let stored = &descriptors.file(id)?.options.stored;
        let is_on = |option| stored.get(&option).is_some_and(|value| *value != 0);
        let sharing = Sharing { last_receives: is_on(REUSE), spreads: is_on(REUSE_PORT) };
        Ok(BindOptions { only_v6: is_on(V6_ONLY), sharing })
    })
}

/// Sets the options of a UDP socket that were set before it was bound.
pub(super) fn apply_pending(id: FileId, key: SocketKey) -> Answer<()> {
    let stored = with(|descriptors| Ok(descriptors.file(id)?.options.stored.clone()))?;
    for ((level, name), value) in stored {
        set_datagram_option(key, level, name, value)?;
    }
    Ok(())
}

/// Sets an option of a bound UDP socket in the network. Returns false if the network does not implement the option.
fn set_datagram_option(key: SocketKey, level: c_int, name: c_int, value: c_int) -> Answer<bool> {
    kernel(|kernel| {
        let socket = kernel.datagrams(key)?;
        match (level, name) {
            BROADCAST => socket.broadcast = value != 0,
            (libc::IPPROTO_IP, libc::IP_TTL) => socket.ip.ttl = value as u8,
            (libc::IPPROTO_IP, libc::IP_TOS) => socket.ip.tos = value as u8,
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => socket.ip.tclass = value as u8,
            _ => return Ok(false),
        }
        Ok(true)
    })
}

fn stored(descriptor: c_int, level: c_int, name: c_int) -> Answer<Option<c_int>> {
    with_file(descriptor, |_, file| Ok(file.options.stored.get(&(level, name)).copied()))
}

fn store(descriptor: c_int, level: c_int, name: c_int, value: c_int) -> Answer<()> {
    with_file(descriptor, |_, file| {
        file.options.stored.insert((level, name), value);
        Ok(())
    })
}

/// Returns the ancillary data of a datagram that the socket's options request.
pub(super) fn received_control(
    descriptor: c_int,
    key: SocketKey,
    from: SocketAddr,
) -> Answer<Control> {
    let is_on = |level, name| Ok(stored(descriptor, level, name)?.unwrap_or(0) != 0);
    let mut control = Control::default();
    if is_on(libc::IPPROTO_IP, libc::IP_PKTINFO)?
        || is_on(libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)?
    {
        let bound = kernel(|kernel| kernel.datagrams_local_addr(key))?.ip();
        let is_v6 = from.ip().to_canonical().is_ipv6();
        control.local = Some(match bound {
            bound if !bound.is_unspecified() => bound,
            _ if from.ip().to_canonical().is_loopback() && is_v6 => Ipv6Addr::LOCALHOST.into(),
            _ if from.ip().to_canonical().is_loopback() => Ipv4Addr::LOCALHOST.into(),
            _ => kernel(|kernel| kernel.own_address(key, is_v6))?,
        });
    }
    if is_on(libc::IPPROTO_IP, libc::IP_RECVTOS)?
        || is_on(libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS)?
    {
        // The network does not transmit it.
        control.traffic_class = Some(0);
    }
    Ok(control)
}

fn is_v6(socket: Socket) -> Answer<bool> {
    match socket {
        Socket::Unconnected { v6, .. } | Socket::Datagrams { v6, .. } => Ok(v6),
        Socket::Listener(key) => kernel(|kernel| Ok(kernel.listener(key)?.bound.is_v6())),
        Socket::Stream(info) => Ok(info.local.is_ipv6()),
        Socket::Unix(_) => Ok(false),
    }
}

fn keep_alive_of(socket: Socket) -> Answer<(bool, KeepAlive)> {
    let found = match socket {
        Socket::Unconnected { key, .. } | Socket::Listener(key) => kernel(|kernel| {
            let probes = kernel.listener(key)?.options.probes;
            let own = kernel.socket_config(key)?.keep_alive;
            Ok((own.is_some(), probes.or(own)))
        })?,
        Socket::Stream(info) => {
            let own = kernel(|kernel| Ok(kernel.socket(info.key)?.connection.keep_alive()))?;
            (own.is_some(), own)
        }
        Socket::Datagrams { .. } | Socket::Unix(_) => (false, None),
    };
    Ok((found.0, found.1.unwrap_or_default()))
}

/// The size of the datagrams that a send is split into (`UDP_SEGMENT`), if it was set.
pub(super) fn segment_size(descriptor: c_int) -> Answer<Option<u16>> {
    let (level, name) = SEGMENT;
    let size = stored(descriptor, level, name)?.unwrap_or(0);
    Ok(u16::try_from(size).ok().filter(|size| *size > 0))
}
