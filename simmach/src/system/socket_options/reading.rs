//! Reads options (`getsockopt`).

use std::ffi::c_int;
use std::time::Duration;

use crate::interpose::system::{Answer, Errno};
use crate::net::simulated::kernel::socket::Linger;
use crate::net::simulated::tcp::State;
use crate::system::descriptors::with_file;
use crate::system::socket_options::{
    BROADCAST, MOST_BUFFER, Options, REUSE, REUSE_PORT, SEGMENT, STORED, V6_ONLY, is_v6,
    keep_alive_of, stored,
};
use crate::system::sockets::{Socket, find, kernel, take_error};
use crate::system::unix;

/// Writes an option's value to `value`, truncated to its length. Returns the number of bytes.
pub(in crate::system) fn get(
    descriptor: c_int,
    level: c_int,
    name: c_int,
    value: &mut [u8],
) -> Answer<usize> {
    let (_, socket, _) = find(descriptor)?;
    if let Socket::Unix(socket) = socket {
        if level != libc::SOL_SOCKET {
            return Err(Errno(libc::EOPNOTSUPP));
        }
        if let Some(found) = unix::option(socket, name)? {
            return Ok(put(value, words(&found)));
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
            return Ok(put(value, words(&[c_int::from(linger.is_some()), seconds])));
        }
        (libc::SOL_SOCKET, libc::SO_RCVTIMEO | libc::SO_SNDTIMEO) => {
            let timeout = with_file(descriptor, |_, file| {
                let Options { receive_timeout, send_timeout, .. } = file.options;
                Ok(if name == libc::SO_RCVTIMEO { receive_timeout } else { send_timeout })
            })?;
            let timeout = timeout.unwrap_or_default();
            let (seconds, micros) = (timeout.as_secs() as i64, i64::from(timeout.subsec_micros()));
            return Ok(put(value, [seconds, micros].into_iter().flat_map(i64::to_ne_bytes)));
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
    Ok(put(value, found.to_ne_bytes()))
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
    Ok(put(value, info))
}

/// Copies bytes to `value`, truncated to its length. Returns their number.
fn put(value: &mut [u8], bytes: impl IntoIterator<Item = u8>) -> usize {
    value.iter_mut().zip(bytes).map(|(to, byte)| *to = byte).count()
}

/// The bytes of numbers, in native byte order.
fn words(numbers: &[c_int]) -> impl Iterator<Item = u8> {
    numbers.iter().flat_map(|number| number.to_ne_bytes())
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
