//! Sets options (`setsockopt`).

use std::ffi::c_int;
use std::time::Duration;

use crate::interpose::system::{Answer, Errno};
use crate::net::KeepAlive;
use crate::net::simulated::kernel::socket::{Linger, SocketOptions};
use crate::net::simulated::key::SocketKey;
use crate::system::descriptors::with_file;
use crate::system::socket_options::{
    BROADCAST, MOST_BUFFER, REUSE, REUSE_PORT, SEGMENT, STORED, V6_ONLY, is_v6, keep_alive_of,
    set_datagram_option, store,
};
use crate::system::sockets::{Socket, find, kernel};

/// Linux's minimum buffer sizes in bytes, as `getsockopt` returns them (`SOCK_MIN_SNDBUF`,
/// `SOCK_MIN_RCVBUF`).
const LEAST_SEND_BUFFER: u32 = 4_608;
const LEAST_RECEIVE_BUFFER: u32 = 2_304;

/// Sets an option.
pub(in crate::system) fn set(
    descriptor: c_int,
    level: c_int,
    name: c_int,
    value: &[u8],
) -> Answer<()> {
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
