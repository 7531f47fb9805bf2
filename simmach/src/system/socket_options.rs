//! Options of sockets (`getsockopt`, `setsockopt`).
//!
//! The simulated kernel in `net` implements options that affect a run. Other options that common
//! libraries set are only stored and read back, since they affect nothing in a run. An unknown
//! option fails with `ENOPROTOOPT`.

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::interpose::system::{Answer, Control, Errno};
use crate::net::KeepAlive;
use crate::net::simulated::kernel::datagrams::BindOptions;
use crate::net::simulated::kernel::host::Sharing;
use crate::net::simulated::kernel::socket::{Linger, SocketOptions};
use crate::net::simulated::key::SocketKey;
use crate::net::simulated::tcp::State;
use crate::system::descriptors::{FileId, with, with_file};
use crate::system::sockets::{Socket, find, kernel, take_error};
use crate::system::unix;

/// Linux's minimum buffer sizes in bytes, as `getsockopt` returns them (`SOCK_MIN_SNDBUF`,
/// `SOCK_MIN_RCVBUF`).
const LEAST_SEND_BUFFER: u32 = 4_608;
const LEAST_RECEIVE_BUFFER: u32 = 2_304;
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

/// Writes an option's value to `value`, truncated to its length. Returns the number of bytes.
pub(super) fn get(descriptor: c_int, level: c_int, name: c_int, value: &mut [u8]) -> Answer<usize> {
    let (_, socket, _) = find(descriptor)?;
    if let Socket::Unix(socket) = socket {
        if level != libc::SOL_SOCKET {
            return Err(Errno(libc::EOPNOTSUPP));
        }
        if let Some(found) = unix::option(socket, name)? {
            return Ok(put(value, &found));
        }
    }
    if level == libc::IPPROTO_IPV6 && !is_v6(socket)? {
        return Err(Errno(libc::EOPNOTSUPP));
    }
    let is_datagram = matches!(socket, Socket::Datagrams { .. });
    let found = match (level, name) {
        (libc::SOL_SOCKET, libc::SO_LINGER) => {
            let linger = linger(socket)?;
            let seconds = linger.map_or(0, |linger| Duration::from(linger).as_secs() as c_int);
            return Ok(put(value, &[c_int::from(linger.is_some()), seconds]));
        }
        (libc::SOL_SOCKET, libc::SO_RCVTIMEO | libc::SO_SNDTIMEO) => {
            let timeout = with_file(descriptor, |_, file| {
                let Options { receive_timeout, send_timeout, .. } = file.options;
                Ok(if name == libc::SO_RCVTIMEO { receive_timeout } else { send_timeout })
            })?;
            let timeout = timeout.unwrap_or_default();
            let (seconds, micros) = (timeout.as_secs() as i64, i64::from(timeout.subsec_micros()));
            return Ok(put(value, &[seconds, micros]));
        }
        (libc::SOL_SOCKET, libc::SO_ERROR) => match socket {
            Socket::Stream(info) => take_error(info.key).map_or(0, |Errno(errno)| errno),
            Socket::Datagrams { key: Some(key), .. } => {
                let error = kernel(|kernel| kernel.take_datagram_error(key))?;
                error.and_then(|error| error.raw_os_error()).unwrap_or(0)
            }
            Socket::Unconnected { .. }
            | Socket::Listener(_)
            | Socket::Datagrams { .. }
            | Socket::Unix(_) => 0,
        },
        (libc::SOL_SOCKET, libc::SO_TYPE) => {
            if is_datagram {
                libc::SOCK_DGRAM
            } else {
                libc::SOCK_STREAM
            }
        }
        (libc::SOL_SOCKET, libc::SO_PROTOCOL) => {
            if is_datagram {
                libc::IPPROTO_UDP
            } else {
                libc::IPPROTO_TCP
            }
        }
        (libc::SOL_SOCKET, libc::SO_DOMAIN) => {
            if is_v6(socket)? {
                libc::AF_INET6
            } else {
                libc::AF_INET
            }
        }
        (libc::IPPROTO_TCP, libc::TCP_INFO) if !is_datagram => return tcp_info(socket, value),
        (libc::SOL_SOCKET, libc::SO_ACCEPTCONN) => {
            c_int::from(matches!(socket, Socket::Listener(_)))
        }
        _ => match number(descriptor, socket, level, name)? {
            Some(found) => found,
            None => return Err(Errno(libc::ENOPROTOOPT)),
        },
    };
    Ok(put(value, &[found]))
}

/// Writes `TCP_INFO`: the state and the round-trip time of a connection. All other fields are zero.
fn tcp_info(socket: Socket, value: &mut [u8]) -> Answer<usize> {
    const LENGTH: usize = 232;
    const ROUND_TRIP: usize = 68;
    /// Linux's numbers of the states.
    const CLOSED: u8 = 7;
    const LISTEN: u8 = 10;
    let mut info = [0; LENGTH];
    info[0] = match socket {
        Socket::Listener(_) => LISTEN,
        Socket::Stream(connection) => {
            let (state, round_trip) = kernel(|kernel| {
                let connection = &kernel.socket(connection.key)?.connection;
                Ok((connection.state(), connection.round_trip_micros()))
            })?;
            info[ROUND_TRIP..ROUND_TRIP + 4].copy_from_slice(&round_trip.to_ne_bytes());
            match state {
                State::Established => 1,
                State::SynSent => 2,
                State::SynReceived => 3,
                State::FinWait1 => 4,
                State::FinWait2 => 5,
                State::TimeWait => 6,
                State::Closed => CLOSED,
                State::CloseWait => 8,
                State::LastAck => 9,
                State::Closing => 11,
            }
        }
        Socket::Unconnected { .. } | Socket::Datagrams { .. } | Socket::Unix(_) => CLOSED,
    };
    Ok(value.iter_mut().zip(info).map(|(to, byte)| *to = byte).count())
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

/// Copies numbers to `value`, truncated to its length.
fn put<T: Copy>(value: &mut [u8], numbers: &[T]) -> usize
where
    Bytes<T>: From<T>,
{
    let bytes = numbers.iter().flat_map(|number| Bytes::<T>::from(*number).bytes);
    value.iter_mut().zip(bytes).map(|(to, byte)| *to = byte).count()
}

/// The bytes of a number, in native byte order.
struct Bytes<T> {
    bytes: Vec<u8>,
    of: std::marker::PhantomData<T>,
}

impl From<c_int> for Bytes<c_int> {
    fn from(number: c_int) -> Self {
        Self { bytes: number.to_ne_bytes().to_vec(), of: std::marker::PhantomData }
    }
}

impl From<i64> for Bytes<i64> {
    fn from(number: i64) -> Self {
        Self { bytes: number.to_ne_bytes().to_vec(), of: std::marker::PhantomData }
    }
}

fn is_v6(socket: Socket) -> Answer<bool> {
    match socket {
        Socket::Unconnected { v6, .. } | Socket::Datagrams { v6, .. } => Ok(v6),
        Socket::Listener(key) => kernel(|kernel| Ok(kernel.listener(key)?.bound.is_v6())),
        Socket::Stream(info) => Ok(info.local.is_ipv6()),
        Socket::Unix(_) => Ok(false),
    }
}

fn linger(socket: Socket) -> Answer<Option<Linger>> {
    match socket {
        Socket::Unconnected { key, .. } | Socket::Listener(key) => {
            kernel(|kernel| Ok(kernel.listener(key)?.options.linger))
        }
        Socket::Stream(info) => kernel(|kernel| Ok(kernel.socket(info.key)?.linger)),
        Socket::Datagrams { .. } | Socket::Unix(_) => Ok(None),
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

/// Returns the value of a numeric option; `None` if the option does not exist.
fn number(descriptor: c_int, socket: Socket, level: c_int, name: c_int) -> Answer<Option<c_int>> {
    let seconds = |time: Duration| time.as_secs() as c_int;
    let is_tcp = !matches!(socket, Socket::Datagrams { .. } | Socket::Unix(_));
    Ok(Some(match (level, name) {
        (libc::IPPROTO_TCP, _) if !is_tcp => return Ok(None),
        (libc::SOL_SOCKET, libc::SO_KEEPALIVE) => c_int::from(keep_alive_of(socket)?.0),
        (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE) => seconds(keep_alive_of(socket)?.1.idle),
        (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL) => seconds(keep_alive_of(socket)?.1.interval),
        (libc::IPPROTO_TCP, libc::TCP_KEEPCNT) => keep_alive_of(socket)?.1.probes as c_int,
        (libc::IPPROTO_TCP, libc::TCP_NODELAY) => c_int::from(match socket {
            Socket::Stream(info) => {
                kernel(|kernel| Ok(kernel.socket(info.key)?.connection.nodelay()))?
            }
            Socket::Unconnected { key, .. } | Socket::Listener(key) => {
                kernel(|kernel| Ok(kernel.socket_config(key)?.nodelay))?
            }
            Socket::Datagrams { .. } | Socket::Unix(_) => return Ok(None),
        }),
        (libc::IPPROTO_TCP, libc::TCP_QUICKACK) => match socket {
            Socket::Stream(info) => {
                c_int::from(kernel(|kernel| Ok(kernel.socket(info.key)?.connection.quick_ack()))?)
            }
            _ => 1,
        },
        REUSE => match socket {
            Socket::Unconnected { key, .. } | Socket::Listener(key) => {
                c_int::from(kernel(|kernel| Ok(kernel.listener(key)?.options.reuse))?)
            }
            _ => stored(descriptor, level, name)?.unwrap_or(0),
        },
        (libc::SOL_SOCKET, libc::SO_SNDBUF | libc::SO_RCVBUF) => {
            let default = match socket {
                Socket::Unconnected { key, .. } | Socket::Listener(key) => kernel(|kernel| {
                    let config = kernel.socket_config(key)?;
                    let is_send = name == libc::SO_SNDBUF;
                    Ok(2 * if is_send { config.send_buffer } else { config.receive_buffer })
                })?
                    as c_int,
                Socket::Stream(_) | Socket::Datagrams { .. } | Socket::Unix(_) => {
                    MOST_BUFFER as c_int
                }
            };
            stored(descriptor, level, name)?.unwrap_or(default)
        }
        (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS) => {
            stored(descriptor, level, name)?.unwrap_or(64)
        }
        BROADCAST
        | REUSE_PORT
        | (libc::IPPROTO_IP, libc::IP_TOS)
        | (libc::IPPROTO_IPV6, libc::IPV6_TCLASS)
        | V6_ONLY
        | SEGMENT => stored(descriptor, level, name)?.unwrap_or(0),
        _ => match STORED.iter().find(|option| (option.0, option.1) == (level, name)) {
            Some((.., initial)) => stored(descriptor, level, name)?.unwrap_or(*initial),
            None => return Ok(None),
        },
    }))
}

/// Sets an option.
pub(super) fn set(descriptor: c_int, level: c_int, name: c_int, value: &[u8]) -> Answer<()> {
    let (_, socket, _) = find(descriptor)?;
    if matches!(socket, Socket::Unix(_)) && level != libc::SOL_SOCKET {
        return Err(Errno(libc::EOPNOTSUPP));
    }
    let word = |nth: usize| {
        let bytes = value.get(4 * nth..4 * nth + 4);
        bytes.and_then(|bytes| bytes.try_into().ok()).map(c_int::from_ne_bytes)
    };
    match (level, name) {
        (libc::SOL_SOCKET, libc::SO_LINGER) => {
            let (Some(on), Some(seconds)) = (word(0), word(1)) else {
                return Err(Errno(libc::EINVAL));
            };
            let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            return set_linger(socket, (on != 0).then(|| Linger::from(seconds)));
        }
        (libc::SOL_SOCKET, libc::SO_RCVTIMEO | libc::SO_SNDTIMEO) => {
            let long = |nth: usize| {
                let bytes = value.get(8 * nth..8 * nth + 8);
                bytes.and_then(|bytes| bytes.try_into().ok()).map(i64::from_ne_bytes)
            };
            let (Some(seconds), Some(micros)) = (long(0), long(1)) else {
                return Err(Errno(libc::EINVAL));
            };
            let micros = u32::try_from(micros).ok().filter(|micros| *micros < 1_000_000);
            let micros = micros.ok_or(Errno(libc::EDOM))?;
            let timeout = Duration::new(u64::try_from(seconds).unwrap_or(0), micros * 1_000);
            let timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
            return with_file(descriptor, |_, file| {
                match name {
                    libc::SO_RCVTIMEO => file.options.receive_timeout = timeout,
                    _ => file.options.send_timeout = timeout,
                }
                Ok(())
            });
        }
        _ => {}
    }
    let number = match (word(0), value) {
        (Some(word), _) => word,
        // IP options also accept a single byte.
        (None, [byte, ..]) if matches!(level, libc::IPPROTO_IP | libc::SOL_UDP) => {
            c_int::from(*byte)
        }
        (None, _) => return Err(Errno(libc::EINVAL)),
    };
    set_number(descriptor, socket, level, name, number)
}

fn set_linger(socket: Socket, linger: Option<Linger>) -> Answer<()> {
    match socket {
        Socket::Unconnected { key, .. } | Socket::Listener(key) => kernel(|kernel| {
            kernel.listener(key)?.options.linger = linger;
            Ok(())
        }),
        Socket::Stream(info) => kernel(|kernel| {
            kernel.socket(info.key)?.linger = linger;
            Ok(())
        }),
        Socket::Datagrams { .. } | Socket::Unix(_) => Ok(()),
    }
}

fn set_keep_alive(
    socket: Socket,
    on: Option<bool>,
    change: impl FnOnce(&mut KeepAlive),
) -> Answer<()> {
    let (was_on, mut times) = keep_alive_of(socket)?;
    change(&mut times);
    match socket {
        Socket::Unconnected { key, .. } | Socket::Listener(key) => kernel(|kernel| {
            let options = &mut kernel.listener(key)?.options;
            options.probes = Some(times);
            if on.is_some() {
                options.keep_alive = on;
            }
            Ok(())
        }),
        Socket::Stream(info) => {
            let keep_alive = on.unwrap_or(was_on).then_some(times);
            kernel(|kernel| kernel.set_keep_alive(info.key, keep_alive))
        }
        Socket::Datagrams { .. } | Socket::Unix(_) => Ok(()),
    }
}

fn change_listener(key: SocketKey, change: impl FnOnce(&mut SocketOptions)) -> Answer<()> {
    kernel(|kernel| {
        change(&mut kernel.listener(key)?.options);
        Ok(())
    })
}

fn set_number(
    descriptor: c_int,
    socket: Socket,
    level: c_int,
    name: c_int,
    number: c_int,
) -> Answer<()> {
    let is_tcp = !matches!(socket, Socket::Datagrams { .. } | Socket::Unix(_));
    let seconds = || u64::try_from(number).ok().filter(|seconds| (1..=32_767).contains(seconds));
    match (level, name) {
        (libc::IPPROTO_TCP, _) if !is_tcp => return Err(Errno(libc::ENOPROTOOPT)),
        (libc::SOL_SOCKET, libc::SO_KEEPALIVE) => {
            return set_keep_alive(socket, Some(number != 0), |_| ());
        }
        (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE | libc::TCP_KEEPINTVL) => {
            let time = Duration::from_secs(seconds().ok_or(Errno(libc::EINVAL))?);
            return set_keep_alive(socket, None, |times| match name {
                libc::TCP_KEEPIDLE => times.idle = time,
                _ => times.interval = time,
            });
        }
        (libc::IPPROTO_TCP, libc::TCP_KEEPCNT) => {
            let probes = u32::try_from(number).ok().filter(|probes| (1..=127).contains(probes));
            let probes = probes.ok_or(Errno(libc::EINVAL))?;
            return set_keep_alive(socket, None, |times| times.probes = probes);
        }
        (libc::IPPROTO_TCP, libc::TCP_NODELAY) => {
            return match socket {
                Socket::Stream(info) => kernel(|kernel| kernel.set_nodelay(info.key, number != 0)),
                Socket::Unconnected { key, .. } | Socket::Listener(key) => {
                    change_listener(key, |options| options.nodelay = Some(number != 0))
                }
                Socket::Datagrams { .. } | Socket::Unix(_) => Err(Errno(libc::ENOPROTOOPT)),
            };
        }
        (libc::IPPROTO_TCP, libc::TCP_QUICKACK) => {
            return match socket {
                Socket::Stream(info) => {
                    kernel(|kernel| kernel.set_quick_ack(info.key, number != 0))
                }
                _ => Ok(()),
            };
        }
        REUSE => {
            if let Socket::Unconnected { key, .. } | Socket::Listener(key) = socket {
                return change_listener(key, |options| options.reuse = number != 0);
            }
        }
        (libc::SOL_SOCKET, libc::SO_SNDBUF | libc::SO_RCVBUF) => {
            let asked = u32::try_from(number).unwrap_or(MOST_BUFFER).min(MOST_BUFFER);
            // Linux doubles it, for its own overhead.
            let is_send = name == libc::SO_SNDBUF;
            let least = if is_send { LEAST_SEND_BUFFER } else { LEAST_RECEIVE_BUFFER };
            let size = (2 * asked).max(least);
            if let Socket::Unconnected { key, .. } | Socket::Listener(key) = socket {
                change_listener(key, |options| match name {
                    libc::SO_SNDBUF => options.send_buffer = Some(size / 2),
                    _ => options.receive_buffer = Some(size / 2),
                })?;
            }
            return store(descriptor, level, name, size as c_int);
        }
        (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS) => {
            let number = if number == -1 { 64 } else { number };
            if !(1..=255).contains(&number) {
                return Err(Errno(libc::EINVAL));
            }
        }
        (libc::IPPROTO_IPV6, _) if !is_v6(socket)? => return Err(Errno(libc::ENOPROTOOPT)),
        V6_ONLY => match socket {
            Socket::Datagrams { key: None, .. } => {}
            Socket::Unconnected { key, .. } => {
                kernel(|kernel| kernel.set_only_v6(key, number != 0))?
            }
            _ => return Err(Errno(libc::EINVAL)),
        },
        REUSE_PORT => {
            if let Socket::Unconnected { key, .. } | Socket::Listener(key) = socket {
                change_listener(key, |options| options.sharing.spreads = number != 0)?;
            }
        }
        (libc::IPPROTO_IP, libc::IP_TOS) | (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
            let number = match name {
                libc::IPV6_TCLASS if !(-1..=255).contains(&number) => {
                    return Err(Errno(libc::EINVAL));
                }
                libc::IPV6_TCLASS => number.max(0),
                // Linux takes the lowest byte.
                _ => number & 0xff,
            };
            // The lowest two bits are TCP's own.
            let number = if is_tcp { number & !0b11 } else { number };
            if let Socket::Datagrams { key: Some(key), .. } = socket {
                set_datagram_option(key, level, name, number)?;
            }
            return store(descriptor, level, name, number);
        }
        BROADCAST | SEGMENT => {}
        _ if STORED.iter().any(|option| (option.0, option.1) == (level, name)) => {}
        _ => return Err(Errno(libc::ENOPROTOOPT)),
    }
    if let Socket::Datagrams { key: Some(key), .. } = socket {
        set_datagram_option(key, level, name, number)?;
    }
    store(descriptor, level, name, number)
}

/// The size of the datagrams that a send is split into (`UDP_SEGMENT`), if it was set.
pub(super) fn segment_size(descriptor: c_int) -> Answer<Option<u16>> {
    let (level, name) = SEGMENT;
    let size = stored(descriptor, level, name)?.unwrap_or(0);
    Ok(u16::try_from(size).ok().filter(|size| *size > 0))
}
