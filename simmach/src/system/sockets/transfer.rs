//! Calls on sockets that receive and send data.

use std::ffi::c_int;
use std::io::{IoSlice, IoSliceMut};

use crate::interpose::system::{Answer, Control, Errno, Received, SocketAddress};
use crate::system::descriptors::{FileKind, with_file};
use crate::system::sockets::{
    Socket, any, bind_datagrams, deadline, find, for_family, inet, kernel, try_kernel, wait_for,
};
use crate::system::{socket_options, unix};

pub(in crate::system) fn receive(
    descriptor: c_int,
    into: &mut [IoSliceMut<'_>],
    flags: c_int,
) -> Answer<Received> {
    let (id, socket, is_nonblocking) = find(descriptor)?;
    let is_nonblocking = is_nonblocking || flags & libc::MSG_DONTWAIT != 0;
    let peek = flags & libc::MSG_PEEK != 0;
    if flags & libc::MSG_OOB != 0 {
        return Err(Errno(libc::EINVAL));
    }
    if flags & libc::MSG_ERRQUEUE != 0 {
        return Err(Errno(libc::EAGAIN));
    }
    let deadline = deadline(id, libc::EPOLLIN, is_nonblocking)?;
    match socket {
        Socket::Stream(info) => loop {
            let found = try_kernel(|kernel| match &mut *into {
                [one] => kernel.read(info.key, one, peek),
                several if peek => {
                    let room = several.iter().map(|buffer| buffer.len()).sum();
                    let mut bytes = vec![0; room];
                    let peeked = kernel.read(info.key, &mut bytes, true);
                    peeked.map(|read| read.map(|read| fill(several, &bytes[..read])))
                }
                several => kernel.read_vectored(info.key, several),
            })?;
            if let Some(bytes) = found {
                return Ok(Received { bytes, ..Received::default() });
            }
            let is_read_shut = with_file(descriptor, |_, file| {
                Ok(matches!(file.kind, FileKind::Stream { is_read_shut: true, .. }))
            })?;
            if is_read_shut {
                return Ok(Received::default());
            }
            wait_for(id, libc::EPOLLIN, deadline, "data from a peer")?;
        },
        Socket::Datagrams { key, v6 } => loop {
            if let Some(key) = key {
                let length = kernel(|kernel| Ok(kernel.first_datagram_len(key)))?;
                let mut bytes = vec![0; length];
                let found = try_kernel(|kernel| kernel.receive_datagram(key, &mut bytes, peek))?;
                if let Some((length, from)) = found {
                    let room = fill(into, &bytes[..length]);
                    let truncates = flags & libc::MSG_TRUNC != 0;
                    return Ok(Received {
                        bytes: if truncates { length } else { room },
                        from: Some(SocketAddress::Inet(from)),
                        is_truncated: room < length,
                        control: socket_options::received_control(descriptor, key, from)?,
                    });
                }
            } else if !is_nonblocking {
                bind_datagrams(id, any(v6), v6)?;
                return receive(descriptor, into, flags);
            }
            wait_for(id, libc::EPOLLIN, deadline, "a datagram")?;
        },
        Socket::Unconnected { .. } | Socket::Listener(_) => Err(Errno(libc::ENOTCONN)),
        Socket::Unix(socket) => unix::receive(id, socket, into, flags, is_nonblocking),
    }
}

/// Copies `bytes` to the buffers, one after the other. Returns how many fit.
pub(in crate::system) fn fill(into: &mut [IoSliceMut<'_>], bytes: &[u8]) -> usize {
    let mut rest = bytes;
    for buffer in into {
        let count = buffer.len().min(rest.len());
        let (now, later) = rest.split_at(count);
        buffer[..count].copy_from_slice(now);
        rest = later;
    }
    bytes.len() - rest.len()
}

pub(in crate::system) fn send(
    descriptor: c_int,
    from: &[IoSlice<'_>],
    flags: c_int,
    to: Option<&SocketAddress>,
    control: Control,
) -> Answer<usize> {
    let (id, socket, is_nonblocking) = find(descriptor)?;
    let is_nonblocking = is_nonblocking || flags & libc::MSG_DONTWAIT != 0;
    if flags & libc::MSG_OOB != 0 {
        return Err(Errno(libc::EOPNOTSUPP));
    }
    match socket {
        Socket::Stream(info) => {
            let deadline = deadline(id, libc::EPOLLOUT, is_nonblocking)?;
            let mut sent = 0;
            let length: usize = from.iter().map(|piece| piece.len()).sum();
            loop {
                let rest: Vec<IoSlice<'_>>;
                let pieces = if sent == 0 {
                    from
                } else {
                    rest = skip(from, sent);
                    &rest
                };
                let written = try_kernel(|kernel| match pieces {
                    [one] => kernel.write(info.key, one),
                    several => kernel.write_vectored(info.key, several),
                });
                match written {
                    // If a part was sent, its length is returned. The next call returns the error.
                    Err(_) if sent > 0 => return Ok(sent),
                    Err(error) => return Err(error),
                    Ok(Some(bytes)) => sent += bytes,
                    Ok(None) => {}
                }
                // A blocking call returns when everything is sent, or, if the wait fails, with the number of bytes sent so
                // far.
                if sent == length {
                    return Ok(sent);
                }
                match wait_for(id, libc::EPOLLOUT, deadline, "room to send to a peer") {
                    Err(_) if sent > 0 => return Ok(sent),
                    waited => waited?,
                }
            }
        }
        Socket::Datagrams { key, v6 } => {
            let to = match to {
                Some(SocketAddress::Unspecified) | None => None,
                Some(address) => {
                    let address = inet(address)?;
                    if address.is_ipv6() && !v6 {
                        return Err(Errno(libc::EAFNOSUPPORT));
                    }
                    Some(for_family(address, v6))
                }
            };
            let key = match key {
                Some(key) => key,
                None if to.is_none() => return Err(Errno(libc::EDESTADDRREQ)),
                None => bind_datagrams(id, any(v6), v6)?,
            };
            let whole = whole(from);
            let segment_size = match control.segment_size {
                Some(size) => Some(size),
                None => socket_options::segment_size(descriptor)?,
            };
            match segment_size {
                Some(size) if size > 0 => {
                    for datagram in whole.chunks(usize::from(size)) {
                        kernel(|kernel| kernel.send_datagram(key, datagram, to))?;
                    }
                    Ok(whole.len())
                }
                Some(_) => Err(Errno(libc::EINVAL)),
                None => kernel(|kernel| kernel.send_datagram(key, &whole, to)),
            }
        }
        Socket::Unconnected { .. } | Socket::Listener(_) => Err(Errno(libc::EPIPE)),
        Socket::Unix(socket) => unix::send(id, socket, from, to, control, is_nonblocking),
    }
}

/// Returns the bytes of all pieces.
pub(in crate::system) fn whole(from: &[IoSlice<'_>]) -> Vec<u8> {
    from.iter().map(|piece| &**piece).collect::<Vec<&[u8]>>().concat()
}

/// Returns the pieces without their first `sent` bytes.
pub(in crate::system) fn skip<'a>(from: &'a [IoSlice<'a>], mut sent: usize) -> Vec<IoSlice<'a>> {
    let mut rest = Vec::with_capacity(from.len());
    for piece in from {
        let skipped = sent.min(piece.len());
        sent -= skipped;
        rest.push(IoSlice::new(&piece[skipped..]));
    }
    rest
}
