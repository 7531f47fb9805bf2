//! Functions of the C library that look up names. In a run they resolve the names of its machines.
//!
//! `gethostbyname` finds nothing in a run, and `getnameinfo` returns numbers. These functions are
//! not interposed: `gethostbyname_r`, `gethostbyname2`, `gethostbyaddr`, `getservbyname` and the
//! functions of `resolv.h`.

mod query;
#[cfg(test)]
mod tests;

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::offset_of;
use std::ptr;

use libc::{addrinfo, hostent, sockaddr, sockaddr_in6, socklen_t};

use crate::interpose::descriptors::socket_address;
use crate::interpose::name_lookup::query::{Endpoint, Hints};
use crate::interpose::real::Real;
use crate::interpose::system::{SocketAddress, creation_calls};

/// The value of `h_errno` for an error that a retry does not change.
const NO_RECOVERY: c_int = 3;

static GETADDRINFO: Real<
    unsafe extern "C" fn(
        *const c_char,
        *const c_char,
        *const addrinfo,
        *mut *mut addrinfo,
    ) -> c_int,
> = Real::named(c"getaddrinfo");
static FREEADDRINFO: Real<unsafe extern "C" fn(*mut addrinfo)> = Real::named(c"freeaddrinfo");
static GETHOSTBYNAME: Real<unsafe extern "C" fn(*const c_char) -> *mut hostent> =
    Real::named(c"gethostbyname");
static GETNAMEINFO: Real<
    unsafe extern "C" fn(
        *const sockaddr,
        socklen_t,
        *mut c_char,
        socklen_t,
        *mut c_char,
        socklen_t,
        c_int,
    ) -> c_int,
> = Real::named(c"getnameinfo");

/// The functions that this module defines.
pub(super) fn defined() -> [*const (); 4] {
    [
        getaddrinfo as *const (),
        freeaddrinfo as *const (),
        gethostbyname as *const (),
        getnameinfo as *const (),
    ]
}

/// An entry of a list that a run has created. `ai_addr` points to `address`; in glibc's lists, it points to just behind
/// `info`.
#[repr(C)]
struct Node {
    info: addrinfo,
    mark: *const c_void,
    address: sockaddr_in6,
}

/// The address of this static marks the nodes.
static MARK: u8 = 0;

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getaddrinfo(
    host: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    found: *mut *mut addrinfo,
) -> c_int {
    let Some(calls) = creation_calls() else {
        return match GETADDRINFO.function() {
            // SAFETY: the caller guarantees that the arguments are valid.
            Some(real) => unsafe { real(host, service, hints, found) },
            None => libc::EAI_FAIL,
        };
    };
    // SAFETY: each pointer is null or a C string, as guaranteed by the caller.
    let (host, service) = unsafe { (text(host), text(service)) };
    let (Ok(host), Ok(service)) = (host, service) else { return libc::EAI_NONAME };
    let hints = if hints.is_null() {
        Hints::default()
    } else {
        // SAFETY: the pointer to the hints is not null, and valid for reads, as guaranteed by the caller.
        let hints = unsafe { &*hints };
        let (kind, protocol) = (hints.ai_socktype, hints.ai_protocol);
        Hints { flags: hints.ai_flags, family: hints.ai_family, kind, protocol }
    };
    match query::find(host, service, hints, |name| calls.resolve(name)) {
        Ok(endpoints) => {
            let name = host.filter(|_| hints.flags & libc::AI_CANONNAME != 0);
            // SAFETY: the pointer is valid for writes of a pointer, as guaranteed by the caller.
            unsafe { found.write(list(&endpoints, hints.flags, name)) };
            0
        }
        Err(error) => error,
    }
}

/// # Safety
///
/// `text` must be null or a C string.
unsafe fn text<'a>(text: *const c_char) -> Result<Option<&'a str>, std::str::Utf8Error> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: the pointer is not null, and the caller guarantees that it is valid.
    unsafe { CStr::from_ptr(text) }.to_str().map(Some)
}

/// Creates a list for [`freeaddrinfo`]. The first entry gets the canonical name.
fn list(endpoints: &[Endpoint], flags: c_int, name: Option<&str>) -> *mut addrinfo {
    let mut next = ptr::null_mut();
    for (nth, endpoint) in endpoints.iter().enumerate().rev() {
        let name = name.filter(|_| nth == 0).and_then(|name| CString::new(name).ok());
        next = node(endpoint, flags, name, next);
    }
    next
}

fn node(
    endpoint: &Endpoint,
    flags: c_int,
    name: Option<CString>,
    next: *mut addrinfo,
) -> *mut addrinfo {
    let raw = socket_address::to_raw(&SocketAddress::Inet(endpoint.address));
    let is_v4 = endpoint.address.is_ipv4();
    let info = addrinfo {
        ai_flags: flags,
        ai_family: if is_v4 { libc::AF_INET } else { libc::AF_INET6 },
        ai_socktype: endpoint.kind,
        ai_protocol: endpoint.protocol,
        ai_addrlen: raw.len() as socklen_t,
        ai_addr: ptr::null_mut(),
        ai_canonname: name.map_or(ptr::null_mut(), CString::into_raw),
        ai_next: next,
    };
    // SAFETY: an address of all zeros is valid.
    let address = unsafe { std::mem::zeroed() };
    let node = Box::into_raw(Box::new(Node { info, mark: mark(), address }));
    // SAFETY: the node was just created, and no address is longer than an IPv6 address.
    unsafe {
        let address = &raw mut (*node).address;
        ptr::copy_nonoverlapping(raw.as_ptr(), address.cast(), raw.len());
        (*node).info.ai_addr = address.cast();
    }
    node.cast()
}

fn mark() -> *const c_void {
    (&raw const MARK).cast()
}

/// Frees a list of a run or of the C library.
///
/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn freeaddrinfo(list: *mut addrinfo) {
    let mut next = list;
    while !next.is_null() {
        // SAFETY: the list is valid, as guaranteed by the caller; its entries were created by `node` or by the C library.
        if !unsafe { is_own(next) } {
            if let Some(real) = FREEADDRINFO.function() {
                // SAFETY: the rest of the list is valid, as guaranteed by the caller, and was created by the C library.
                unsafe { real(next) };
            }
            return;
        }
        // SAFETY: `node` created the entry by `Box::into_raw`, and its name, if any, by `CString::into_raw`.
        let node = unsafe { Box::from_raw(next.cast::<Node>()) };
        if !node.info.ai_canonname.is_null() {
            // SAFETY: as above.
            drop(unsafe { CString::from_raw(node.info.ai_canonname) });
        }
        next = node.info.ai_next;
    }
}

/// Whether [`node`] created an entry.
///
/// # Safety
///
/// `info` must be an entry that `node` or the C library created.
unsafe fn is_own(info: *mut addrinfo) -> bool {
    // SAFETY: the caller meets the requirements of this call.
    let address = unsafe { (*info).ai_addr };
    if address.addr() != info.addr() + offset_of!(Node, address) {
        return false;
    }
    // In entries of the C library, the address is never at this place.
    // SAFETY: so `node` created the entry.
    unsafe { (*info.cast::<Node>()).mark == mark() }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gethostbyname(name: *const c_char) -> *mut hostent {
    unsafe extern "C" {
        safe fn __h_errno_location() -> *mut c_int;
    }
    if creation_calls().is_some() {
        // SAFETY: the C library returns a pointer to the thread's `h_errno`, which is valid as long as the thread runs.
        unsafe { __h_errno_location().write(NO_RECOVERY) };
        return ptr::null_mut();
    }
    match GETHOSTBYNAME.function() {
        // SAFETY: the caller guarantees that the argument is valid.
        Some(real) => unsafe { real(name) },
        None => ptr::null_mut(),
    }
}

/// # Safety
///
/// The caller must meet the requirements of the C function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getnameinfo(
    address: *const sockaddr,
    length: socklen_t,
    host: *mut c_char,
    host_room: socklen_t,
    service: *mut c_char,
    service_room: socklen_t,
    flags: c_int,
) -> c_int {
    let mut flags = flags;
    if creation_calls().is_some() {
        if flags & libc::NI_NAMEREQD != 0 {
            return libc::EAI_NONAME;
        }
        flags |= libc::NI_NUMERICHOST | libc::NI_NUMERICSERV;
    }
    match GETNAMEINFO.function() {
        // SAFETY: guaranteed by the caller for all arguments except the flags, which only request less.
        Some(real) => unsafe {
            real(address, length, host, host_room, service, service_room, flags)
        },
        None => libc::EAI_FAIL,
    }
}
