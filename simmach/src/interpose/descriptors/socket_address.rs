//! Translates socket addresses from and to C.

use std::ffi::c_int;
use std::mem::offset_of;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::{ptr, slice};

use libc::{sa_family_t, sockaddr, sockaddr_in, sockaddr_in6, sockaddr_un, socklen_t};
use smallvec::SmallVec;

use crate::interpose::system::{Answer, Errno, SocketAddress};

/// Length of an IPv6 address without a scope, which Linux accepts.
const MIN_IPV6_LENGTH: usize = offset_of!(sockaddr_in6, sin6_scope_id);
const PATH_OFFSET: usize = offset_of!(sockaddr_un, sun_path);

/// An address in its C representation.
pub(in crate::interpose) type RawAddress = SmallVec<[u8; size_of::<sockaddr_in6>()]>;

/// Reads the address at a pointer.
///
/// # Safety
///
/// `address` must be null or valid for reads of `length` bytes.
pub(super) unsafe fn read(address: *const sockaddr, length: socklen_t) -> Answer<SocketAddress> {
    if length as usize > size_of::<libc::sockaddr_storage>() {
        return Err(Errno(libc::EINVAL));
    }
    if address.is_null() {
        return Err(Errno(if length == 0 { libc::EINVAL } else { libc::EFAULT }));
    }
    // SAFETY: `address` is not null, and valid for reads of that many bytes, as guaranteed by the caller.
    parse(unsafe { slice::from_raw_parts(address.cast(), length as usize) })
}

/// Reads an optional address. Returns `None` if the pointer is null or the length is 0.
///
/// # Safety
///
/// The same as for [`read`].
pub(super) unsafe fn read_optional(
    address: *const sockaddr,
    length: socklen_t,
) -> Answer<Option<SocketAddress>> {
    if address.is_null() || length == 0 {
        return Ok(None);
    }
    // SAFETY: the caller meets the requirements of this call.
    unsafe { read(address, length) }.map(Some)
}

/// Checks the pointers to which an address will be written, before the call has an effect. A null `address` means that no
/// address is written.
///
/// # Safety
///
/// `length` must be null or valid for reads.
pub(super) unsafe fn check_room(address: *mut sockaddr, length: *mut socklen_t) -> Answer<()> {
    if address.is_null() {
        return Ok(());
    }
    if length.is_null() {
        return Err(Errno(libc::EFAULT));
    }
    // SAFETY: `length` is not null, and valid for reads, as guaranteed by the caller.
    if unsafe { *length } > c_int::MAX as socklen_t {
        return Err(Errno(libc::EINVAL));
    }
    Ok(())
}

/// Writes an address, truncated to the given room, and its full length. `None` has the length 0.
///
/// # Safety
///
/// Unless `address` or `length` is null, `length` must be valid for reads and writes, and `address` must be valid for writes
/// of `*length` bytes.
pub(super) unsafe fn write(
    from: Option<&SocketAddress>,
    address: *mut sockaddr,
    length: *mut socklen_t,
) {
    if address.is_null() || length.is_null() {
        return;
    }
    let raw = from.map(to_raw).unwrap_or_default();
    // SAFETY: `address` is not null. `length` is valid for reads and writes, and `address` for writes of `*length` bytes, as
    // guaranteed by the caller. At most that many bytes are written.
    unsafe {
        ptr::copy_nonoverlapping(raw.as_ptr(), address.cast(), raw.len().min(*length as usize));
        length.write(raw.len() as socklen_t);
    }
}

/// Like [`write()`], but a null pointer is an error.
///
/// # Safety
///
/// The same as for [`write()`].
pub(super) unsafe fn write_checked(
    from: &SocketAddress,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> Answer<()> {
    if address.is_null() {
        return Err(Errno(libc::EFAULT));
    }
    // SAFETY: the caller meets the requirements of this call.
    unsafe {
        check_room(address, length)?;
        write(Some(from), address, length);
    }
    Ok(())
}

/// Translates an address from C.
pub(super) fn parse(raw: &[u8]) -> Answer<SocketAddress> {
    let Some(family) = raw.first_chunk().map(|raw| sa_family_t::from_ne_bytes(*raw)) else {
        return Err(Errno(libc::EINVAL));
    };
    match c_int::from(family) {
        libc::AF_INET if raw.len() >= size_of::<sockaddr_in>() => {
            let ip = Ipv4Addr::from(field::<4>(raw, offset_of!(sockaddr_in, sin_addr)));
            let port = u16::from_be_bytes(field(raw, offset_of!(sockaddr_in, sin_port)));
            Ok(SocketAddress::Inet(SocketAddrV4::new(ip, port).into()))
        }
        libc::AF_INET6 if raw.len() >= MIN_IPV6_LENGTH => {
            let ip = Ipv6Addr::from(field::<16>(raw, offset_of!(sockaddr_in6, sin6_addr)));
            let port = u16::from_be_bytes(field(raw, offset_of!(sockaddr_in6, sin6_port)));
            let flow = u32::from_ne_bytes(field(raw, offset_of!(sockaddr_in6, sin6_flowinfo)));
            let scope = match raw.len() >= size_of::<sockaddr_in6>() {
                true => u32::from_ne_bytes(field(raw, MIN_IPV6_LENGTH)),
                false => 0,
            };
            Ok(SocketAddress::Inet(SocketAddrV6::new(ip, port, flow, scope).into()))
        }
        libc::AF_UNIX if raw.len() <= size_of::<sockaddr_un>() => {
            let name = &raw[PATH_OFFSET..];
            // A path ends at the first NUL; an abstract name has the given length.
            let length = match name.first() {
                None | Some(0) => name.len(),
                Some(_) => name.iter().position(|byte| *byte == 0).unwrap_or(name.len()),
            };
            Ok(SocketAddress::Unix(name[..length].to_vec()))
        }
        libc::AF_UNSPEC => Ok(SocketAddress::Unspecified),
        libc::AF_INET | libc::AF_INET6 | libc::AF_UNIX => Err(Errno(libc::EINVAL)),
        _ => Err(Errno(libc::EAFNOSUPPORT)),
    }
}

fn field<const N: usize>(raw: &[u8], offset: usize) -> [u8; N] {
    raw.get(offset..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

/// Translates an address to C.
pub(in crate::interpose) fn to_raw(address: &SocketAddress) -> RawAddress {
    let mut raw = RawAddress::new();
    match address {
        SocketAddress::Inet(SocketAddr::V4(address)) => {
            raw.extend_from_slice(&(libc::AF_INET as sa_family_t).to_ne_bytes());
            raw.extend_from_slice(&address.port().to_be_bytes());
            raw.extend_from_slice(&address.ip().octets());
            raw.resize(size_of::<sockaddr_in>(), 0);
        }
        SocketAddress::Inet(SocketAddr::V6(address)) => {
            raw.extend_from_slice(&(libc::AF_INET6 as sa_family_t).to_ne_bytes());
            raw.extend_from_slice(&address.port().to_be_bytes());
            raw.extend_from_slice(&address.flowinfo().to_ne_bytes());
            raw.extend_from_slice(&address.ip().octets());
            raw.extend_from_slice(&address.scope_id().to_ne_bytes());
        }
        SocketAddress::Unix(name) => {
            raw.extend_from_slice(&(libc::AF_UNIX as sa_family_t).to_ne_bytes());
            raw.extend_from_slice(name);
            if !matches!(name.first(), None | Some(0)) {
                raw.push(0);
            }
        }
        SocketAddress::Unspecified => {
            raw.extend_from_slice(&(libc::AF_UNSPEC as sa_family_t).to_ne_bytes());
        }
    }
    raw
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

    use proptest::prelude::*;

    use super::*;

    fn inet() -> impl Strategy<Value = SocketAddress> {
        let v4 = any::<(u32, u16)>().prop_map(|(ip, port)| SocketAddrV4::new(ip.into(), port));
        let v6 = any::<(u128, u16, u32, u32)>()
            .prop_map(|(ip, port, flow, scope)| SocketAddrV6::new(ip.into(), port, flow, scope));
        prop_oneof![v4.prop_map(SocketAddr::V4), v6.prop_map(SocketAddr::V6)]
            .prop_map(SocketAddress::Inet)
    }

    fn unix() -> impl Strategy<Value = SocketAddress> {
        let path = prop::collection::vec(1u8.., 0..=107);
        let name = prop::collection::vec(any::<u8>(), 0..=107).prop_map(|mut name| {
            name.insert(0, 0);
            name
        });
        prop_oneof![path, name].prop_map(SocketAddress::Unix)
    }

    proptest! {
        #[test]
        fn addresses_survive_the_translation(address in prop_oneof![inet(), unix()]) {
            prop_assert_eq!(parse(&to_raw(&address)), Ok(address));
        }

        #[test]
        fn any_bytes_can_be_parsed(raw in prop::collection::vec(any::<u8>(), 0..130), family in 0u16..12) {
            let mut raw = raw;
            if let Some(start) = raw.first_chunk_mut() {
                *start = family.to_ne_bytes();
            }
            let _ = parse(&raw);
        }

        #[test]
        fn address_is_cut_to_its_room(address in prop_oneof![inet(), unix()], room in 0usize..130) {
            let raw = to_raw(&address);
            let mut buffer = [0xaa_u8; 130];
            let mut length = room as socklen_t;
            // SAFETY: the buffer is larger than `length`.
            unsafe { write(Some(&address), buffer.as_mut_ptr().cast(), &raw mut length) };
            prop_assert_eq!(length as usize, raw.len());
            let written = room.min(raw.len());
            prop_assert_eq!(&buffer[..written], &raw[..written]);
            prop_assert!(buffer[written..].iter().all(|byte| *byte == 0xaa));
        }
    }

    /// What the kernel says that a socket's address is.
    fn bytes_by_the_kernel(descriptor: c_int) -> Vec<u8> {
        let mut raw = [0_u8; 128];
        let mut length = raw.len() as socklen_t;
        // SAFETY: the buffer has room for any address.
        let result =
            unsafe { libc::getsockname(descriptor, raw.as_mut_ptr().cast(), &raw mut length) };
        assert_eq!(result, 0);
        raw[..length as usize].to_vec()
    }

    #[test]
    fn inet_addresses_are_the_kernels() {
        let v4 = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let raw = bytes_by_the_kernel(v4.as_raw_fd());
        let address = SocketAddress::Inet(v4.local_addr().expect("it is bound"));
        assert_eq!((parse(&raw), &raw[..]), (Ok(address.clone()), &to_raw(&address)[..]));
        // The machine may not have IPv6.
        if let Ok(v6) = UdpSocket::bind("[::1]:0") {
            let raw = bytes_by_the_kernel(v6.as_raw_fd());
            let address = SocketAddress::Inet(v6.local_addr().expect("it is bound"));
            assert_eq!((parse(&raw), &raw[..]), (Ok(address.clone()), &to_raw(&address)[..]));
        }
    }

    #[test]
    fn unix_addresses_are_the_kernels() {
        let folder = std::env::temp_dir().join(format!("simmach-address-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("socket").into_os_string().into_encoded_bytes();
        let abstract_name =
            [&[0][..], format!("simmach-{}", std::process::id()).as_bytes()].concat();
        for name in [Vec::new(), path, abstract_name] {
            let address = SocketAddress::Unix(name);
            let raw = to_raw(&address);
            // SAFETY: `socket` has no preconditions.
            let socket = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_DGRAM, 0) };
            assert!(socket >= 0);
            // SAFETY: it is open, and nothing else owns it.
            let socket = unsafe { OwnedFd::from_raw_fd(socket) };
            if address != SocketAddress::Unix(Vec::new()) {
                // SAFETY: an address of that length.
                let bound = unsafe {
                    libc::bind(socket.as_raw_fd(), raw.as_ptr().cast(), raw.len() as socklen_t)
                };
                assert_eq!(bound, 0, "{}", std::io::Error::last_os_error());
            }
            let by_kernel = bytes_by_the_kernel(socket.as_raw_fd());
            assert_eq!((parse(&by_kernel), &by_kernel[..]), (Ok(address), &raw[..]));
        }
        std::fs::remove_dir_all(&folder).expect("it is there");
    }

    #[test]
    fn wrong_addresses_are_errors_of_linux() {
        let invalid = Err(Errno(libc::EINVAL));
        let family = |family: c_int| (family as sa_family_t).to_ne_bytes();
        assert_eq!(parse(&[]), invalid);
        assert_eq!(parse(&[2]), invalid);
        assert_eq!(parse(&family(libc::AF_INET)), invalid);
        assert_eq!(parse(&[&family(libc::AF_INET6)[..], &[0; 20]].concat()), invalid);
        assert_eq!(parse(&[&family(libc::AF_UNIX)[..], &[1; 109]].concat()), invalid);
        assert_eq!(parse(&family(libc::AF_NETLINK)), Err(Errno(libc::EAFNOSUPPORT)));
        assert_eq!(parse(&family(libc::AF_UNSPEC)), Ok(SocketAddress::Unspecified));
        let ancient = [&family(libc::AF_INET6)[..], &[0; 22]].concat();
        assert_eq!(parse(&ancient), Ok(SocketAddress::Inet(([0_u16; 8], 0).into())));
        // SAFETY: the function accepts null.
        unsafe {
            assert_eq!(read(ptr::null(), 16), Err(Errno(libc::EFAULT)));
            assert_eq!(read_optional(ptr::null(), 16), Ok(None));
            assert_eq!(read(raw_start(&[0; 2]), 1 << 20), invalid);
        }
    }

    fn raw_start(raw: &[u8]) -> *const sockaddr {
        raw.as_ptr().cast()
    }
}
