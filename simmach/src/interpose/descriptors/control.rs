//! Translates the ancillary data of a message from and to C. In C, ancillary data is a sequence of
//! headers, each followed by its data and aligned to 8 bytes.
//!
//! This module supports the segment size of a UDP datagram, the traffic class and the local
//! address. Other ancillary data has no effect when it is sent.

use std::ffi::c_int;
use std::mem::offset_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use libc::{cmsghdr, in_pktinfo, in6_pktinfo};
use smallvec::SmallVec;

use crate::interpose::system::{Answer, Control, Errno, SocketAddress};

/// Options of `SOL_UDP`, which are also the types of ancillary data.
const UDP_SEGMENT: c_int = 103;
const UDP_GRO: c_int = 104;

const HEADER_LENGTH: usize = size_of::<cmsghdr>();

/// Ancillary data in its C representation. It has at most three parts.
pub(super) type RawControl = SmallVec<[u8; 128]>;

/// Translates ancillary data from C.
pub(super) fn parse(mut raw: &[u8]) -> Answer<Control> {
    let mut control = Control::default();
    while let Some(header) = raw.first_chunk::<HEADER_LENGTH>() {
        let length = usize::from_ne_bytes(part(header, 0));
        let level = c_int::from_ne_bytes(part(header, size_of::<usize>()));
        let kind = c_int::from_ne_bytes(part(header, size_of::<usize>() + size_of::<c_int>()));
        let Some(data) = raw.get(HEADER_LENGTH..length) else { return Err(Errno(libc::EINVAL)) };
        add(&mut control, level, kind, data)?;
        raw = raw.get(length.next_multiple_of(size_of::<usize>())..).unwrap_or_default();
    }
    Ok(control)
}

fn add(control: &mut Control, level: c_int, kind: c_int, data: &[u8]) -> Answer<()> {
    let malformed = Errno(libc::EINVAL);
    match (level, kind) {
        (libc::SOL_UDP, UDP_SEGMENT) => {
            let size = data.try_into().map_err(|_| malformed)?;
            control.segment_size = Some(u16::from_ne_bytes(size));
        }
        (libc::IPPROTO_IP, libc::IP_TOS) | (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
            control.traffic_class = match data {
                [class] if level == libc::IPPROTO_IP => Some(*class),
                // -1 is the default.
                _ => {
                    u8::try_from(c_int::from_ne_bytes(data.try_into().map_err(|_| malformed)?)).ok()
                }
            };
        }
        (libc::IPPROTO_IP, libc::IP_PKTINFO) if data.len() == size_of::<in_pktinfo>() => {
            let ip = Ipv4Addr::from(part(data, offset_of!(in_pktinfo, ipi_spec_dst)));
            control.local = (!ip.is_unspecified()).then_some(ip.into());
        }
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if data.len() >= size_of::<in6_pktinfo>() => {
            let ip = Ipv6Addr::from(part(data, offset_of!(in6_pktinfo, ipi6_addr)));
            control.local = (!ip.is_unspecified()).then_some(ip.into());
        }
        (libc::IPPROTO_IP, libc::IP_PKTINFO) | (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
            return Err(malformed);
        }
        (libc::SOL_SOCKET, libc::SCM_RIGHTS) => control.has_descriptors = true,
        _ => {}
    }
    Ok(())
}

/// Returns the bytes at `offset`, which must be in bounds.
fn part<const N: usize>(raw: &[u8], offset: usize) -> [u8; N] {
    raw.get(offset..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

/// Translates the ancillary data of a datagram, whose sender is `from`, to C. Returns as much as fits into `room` bytes, and
/// whether it was truncated.
pub(super) fn to_raw(
    control: &Control,
    from: Option<&SocketAddress>,
    room: usize,
) -> (RawControl, bool) {
    let mut raw = RawControl::new();
    let mut is_cut = false;
    let mut push = |level, kind, data: &[u8]| {
        let length = HEADER_LENGTH + data.len();
        if raw.len() + length > room {
            is_cut = true;
            return;
        }
        raw.extend_from_slice(&length.to_ne_bytes());
        raw.extend_from_slice(&c_int::to_ne_bytes(level));
        raw.extend_from_slice(&c_int::to_ne_bytes(kind));
        raw.extend_from_slice(data);
        // The padding of the last part may be missing.
        raw.resize(raw.len().next_multiple_of(size_of::<usize>()).min(room), 0);
    };
    // An IPv4 datagram that an IPv6 socket receives has IPv4's traffic class, and a mapped address.
    let socket_is_v6 = matches!(from, Some(SocketAddress::Inet(SocketAddr::V6(_))));
    let datagram_is_v6 = match from {
        Some(SocketAddress::Inet(SocketAddr::V6(from))) => from.ip().to_ipv4_mapped().is_none(),
        _ => false,
    };
    match control.local {
        Some(local) if socket_is_v6 => {
            let ip = match local {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            let mut data = [0; size_of::<in6_pktinfo>()];
            data[..16].copy_from_slice(&ip.octets());
            push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &data);
        }
        Some(IpAddr::V4(ip)) => {
            let mut data = [0; size_of::<in_pktinfo>()];
            data[4..8].copy_from_slice(&ip.octets());
            data[8..12].copy_from_slice(&ip.octets());
            push(libc::IPPROTO_IP, libc::IP_PKTINFO, &data);
        }
        Some(IpAddr::V6(_)) | None => {}
    }
    match control.traffic_class {
        Some(class) if datagram_is_v6 => {
            push(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &c_int::from(class).to_ne_bytes());
        }
        Some(class) => push(libc::IPPROTO_IP, libc::IP_TOS, &[class]),
        None => {}
    }
    if let Some(size) = control.segment_size {
        push(libc::SOL_UDP, UDP_GRO, &c_int::from(size).to_ne_bytes());
    }
    (raw, is_cut)
}

#[cfg(test)]
mod tests {
    use std::io::IoSliceMut;
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;
    use std::ptr;

    use proptest::prelude::*;

    use super::*;

    /// Ancillary data as `libc`'s macros write it.
    fn by_macros(parts: &[(c_int, c_int, &[u8])]) -> Vec<u8> {
        let mut raw = vec![0_u64; 32];
        // SAFETY: the macros stay within the buffer, which is aligned and large enough.
        let used = unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            message.msg_control = raw.as_mut_ptr().cast();
            message.msg_controllen = size_of_val(&raw[..]);
            let mut header = libc::CMSG_FIRSTHDR(&raw const message);
            let mut used = 0;
            for (level, kind, data) in parts {
                (*header).cmsg_level = *level;
                (*header).cmsg_type = *kind;
                (*header).cmsg_len = libc::CMSG_LEN(data.len() as u32) as usize;
                ptr::copy_nonoverlapping(data.as_ptr(), libc::CMSG_DATA(header), data.len());
                used += libc::CMSG_SPACE(data.len() as u32) as usize;
                header = libc::CMSG_NXTHDR(&raw const message, header);
            }
            used
        };
        raw.iter().flat_map(|word| word.to_ne_bytes()).take(used).collect()
    }

    fn from(address: &str) -> SocketAddress {
        SocketAddress::Inet(address.parse().expect("it is an address"))
    }

    #[test]
    fn sent_data_is_parsed() {
        let mut source = [0; size_of::<in_pktinfo>()];
        source[4..8].copy_from_slice(&[10, 0, 0, 1]);
        let raw = by_macros(&[
            (libc::IPPROTO_IP, libc::IP_TOS, &c_int::to_ne_bytes(2)),
            (libc::SOL_UDP, UDP_SEGMENT, &u16::to_ne_bytes(1200)),
            (libc::IPPROTO_IP, libc::IP_PKTINFO, &source),
            (libc::SOL_SOCKET, libc::SCM_RIGHTS, &c_int::to_ne_bytes(1)),
        ]);
        let control = Control {
            segment_size: Some(1200),
            traffic_class: Some(2),
            local: Some([10, 0, 0, 1].into()),
            has_descriptors: true,
        };
        assert_eq!(parse(&raw), Ok(control));

        let ip = Ipv6Addr::new(1, 2, 3, 4, 5, 6, 7, 8);
        let mut source = [0; size_of::<in6_pktinfo>()];
        source[..16].copy_from_slice(&ip.octets());
        let raw = by_macros(&[
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &c_int::to_ne_bytes(255)),
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &source),
            (libc::IPPROTO_IP, libc::IP_TTL, &c_int::to_ne_bytes(9)),
        ]);
        let control =
            Control { traffic_class: Some(255), local: Some(ip.into()), ..Control::default() };
        assert_eq!(parse(&raw), Ok(control));
        assert_eq!(parse(&[]), Ok(Control::default()));
    }

    #[test]
    fn malformed_data_is_an_error() {
        let invalid = Err(Errno(libc::EINVAL));
        assert_eq!(parse(&by_macros(&[(libc::SOL_UDP, UDP_SEGMENT, &[1])])), invalid);
        assert_eq!(parse(&by_macros(&[(libc::IPPROTO_IP, libc::IP_PKTINFO, &[1])])), invalid);
        assert_eq!(parse(&[0; HEADER_LENGTH]), invalid);
        let mut raw = by_macros(&[(libc::IPPROTO_IP, libc::IP_TOS, &[1])]);
        raw[0] = 100;
        assert_eq!(parse(&raw), invalid);
    }

    /// A datagram with ancillary data, which the kernel passes from one socket to another.
    fn by_the_kernel(address: &str, options: &[(c_int, c_int)]) -> Option<(Vec<u8>, SocketAddr)> {
        let receiver = UdpSocket::bind((address, 0)).ok()?;
        let sender = UdpSocket::bind((address, 0)).ok()?;
        let set = |socket: &UdpSocket, (level, name): (c_int, c_int), value: c_int| {
            let value = (&raw const value).cast();
            // SAFETY: the value is an integer.
            let set = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value, 4) };
            assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
        };
        options.iter().for_each(|option| set(&receiver, *option, 1));
        set(&sender, (libc::IPPROTO_IP, libc::IP_TOS), 2);
        if address.contains(':') {
            set(&sender, (libc::IPPROTO_IPV6, libc::IPV6_TCLASS), 2);
        }
        sender.send_to(b"hi", receiver.local_addr().ok()?).ok()?;
        let mut data = [0; 16];
        let mut raw = [0_u64; 32];
        let mut buffers = [IoSliceMut::new(&mut data)];
        // SAFETY: the message has a buffer and room for ancillary data. An `IoSliceMut` is an `iovec`.
        let length = unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            (message.msg_iov, message.msg_iovlen) = (buffers.as_mut_ptr().cast(), 1);
            (message.msg_control, message.msg_controllen) = (raw.as_mut_ptr().cast(), 256);
            assert_eq!(libc::recvmsg(receiver.as_raw_fd(), &raw mut message, 0), 2);
            message.msg_controllen
        };
        let bytes = raw.iter().flat_map(|word| word.to_ne_bytes()).take(length).collect();
        Some((bytes, sender.local_addr().ok()?))
    }

    #[test]
    fn received_data_is_as_the_kernels() {
        let options = [(libc::IPPROTO_IP, libc::IP_PKTINFO), (libc::IPPROTO_IP, libc::IP_RECVTOS)];
        let (raw, from) = by_the_kernel("127.0.0.1", &options).expect("there is IPv4");
        assert_received(raw, from);
        let options = [
            (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
            (libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS),
        ];
        // The machine may not have IPv6.
        if let Some((raw, from)) = by_the_kernel("::1", &options) {
            assert_received(raw, from);
        }
    }

    #[track_caller]
    fn assert_received(mut raw: Vec<u8>, from: SocketAddr) {
        let control =
            Control { traffic_class: Some(2), local: Some(from.ip()), ..Control::default() };
        assert_eq!(parse(&raw), Ok(control));
        let (own, is_cut) = to_raw(&control, Some(&SocketAddress::Inet(from)), 256);
        // The interface, which a run does not have.
        let interface = HEADER_LENGTH + if from.is_ipv4() { 0 } else { 16 };
        raw[interface..interface + 4].fill(0);
        assert_eq!((&own[..], is_cut), (&raw[..], false));
    }

    #[test]
    fn mapped_addresses_have_the_traffic_class_of_ipv4() {
        let control = Control {
            traffic_class: Some(1),
            local: Some([10, 0, 0, 1].into()),
            ..Control::default()
        };
        let (raw, _) = to_raw(&control, Some(&from("[::ffff:10.0.0.2]:7")), 256);
        let mut info = [0; size_of::<in6_pktinfo>()];
        info[10..16].copy_from_slice(&[0xff, 0xff, 10, 0, 0, 1]);
        let expected = by_macros(&[
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info),
            (libc::IPPROTO_IP, libc::IP_TOS, &[1]),
        ]);
        assert_eq!(&raw[..], expected);
    }

    #[test]
    fn data_without_room_is_left_out() {
        let control =
            Control { traffic_class: Some(1), segment_size: Some(100), ..Control::default() };
        let from = from("10.0.0.1:1");
        let (whole, is_cut) = to_raw(&control, Some(&from), 256);
        assert_eq!((whole.len(), is_cut), (48, false));
        for room in 0..=48 {
            let (raw, is_cut) = to_raw(&control, Some(&from), room);
            let expected = match room {
                0..17 => 0,
                17..44 => room.min(24),
                _ => room,
            };
            // With less room for the first part, the second part may fit.
            assert!(raw.len() <= room, "{room}");
            assert_eq!((raw.len(), is_cut), (expected, room < 44), "{room}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_parsed(words in prop::collection::vec(prop_oneof![0u64..64, any::<u64>()], 0..24), cut in 0usize..8) {
            let raw: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
            let _ = parse(&raw[..raw.len().saturating_sub(cut)]);
        }

        #[test]
        fn class_and_source_survive_the_translation(class: Option<u8>, v4: Option<u32>, v6 in 1u128..) {
            let v4 = v4.filter(|ip| *ip != 0).map(|ip| IpAddr::from(Ipv4Addr::from(ip)));
            let control = Control { traffic_class: class, local: v4, ..Control::default() };
            prop_assert_eq!(parse(&to_raw(&control, Some(&from("1.2.3.4:5")), 256).0), Ok(control));
            let control = Control { local: Some(Ipv6Addr::from(v6).into()), ..control };
            prop_assert_eq!(parse(&to_raw(&control, Some(&from("[1::2]:5")), 256).0), Ok(control));
        }
    }
}
