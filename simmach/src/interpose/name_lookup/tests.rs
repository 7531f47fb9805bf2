//! Compares the lists that a run returns with those of the C library, which parses numeric hosts
//! without a name server.

use std::ffi::{CString, c_int};
use std::ptr;

use libc::addrinfo;

use crate::interpose::name_lookup::query::{self, Hints};
use crate::interpose::name_lookup::{is_own, list};

/// An entry of a list, with the bytes of its address.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    numbers: [c_int; 4],
    address: Vec<u8>,
    name: Option<CString>,
}

/// # Safety
///
/// `next` must be a list.
unsafe fn entries(mut next: *const addrinfo) -> Vec<Entry> {
    let mut all = Vec::new();
    while !next.is_null() {
        // SAFETY: the caller meets the requirements of this call.
        unsafe {
            let info = &*next;
            let address = std::slice::from_raw_parts(info.ai_addr.cast(), info.ai_addrlen as usize);
            let name = info.ai_canonname;
            all.push(Entry {
                numbers: [info.ai_flags, info.ai_family, info.ai_socktype, info.ai_protocol],
                address: address.to_vec(),
                name: (!name.is_null()).then(|| std::ffi::CStr::from_ptr(name).to_owned()),
            });
            next = info.ai_next;
        }
    }
    all
}

fn by_library(
    host: Option<&str>,
    service: Option<&str>,
    hints: Hints,
) -> Result<Vec<Entry>, c_int> {
    let c = |text: Option<&str>| text.map(|text| CString::new(text).expect("it has no NUL"));
    let (host, service) = (c(host), c(service));
    let start = |text: &Option<CString>| text.as_ref().map_or(ptr::null(), |text| text.as_ptr());
    // SAFETY: the hints are valid, and the list is freed after it was read.
    unsafe {
        let mut given: addrinfo = std::mem::zeroed();
        given.ai_flags = hints.flags;
        given.ai_family = hints.family;
        given.ai_socktype = hints.kind;
        given.ai_protocol = hints.protocol;
        let mut found = ptr::null_mut();
        match libc::getaddrinfo(start(&host), start(&service), &raw const given, &raw mut found) {
            0 => {}
            error => return Err(error),
        }
        assert!(!is_own(found));
        let entries = entries(found);
        libc::freeaddrinfo(found);
        Ok(entries)
    }
}

fn by_run(host: Option<&str>, service: Option<&str>, hints: Hints) -> Result<Vec<Entry>, c_int> {
    let found = query::find(host, service, hints, |_| Err(libc::EAI_NONAME))?;
    let name = host.filter(|_| hints.flags & libc::AI_CANONNAME != 0);
    let list = list(&found, hints.flags, name);
    // SAFETY: the list is valid, and freed after it was read.
    unsafe {
        assert!(is_own(list));
        let entries = entries(list);
        libc::freeaddrinfo(list);
        Ok(entries)
    }
}

#[test]
fn numeric_look_ups_are_the_c_librarys() {
    let hosts = [
        None,
        Some("127.0.0.1"),
        Some("127.1"),
        Some("0x7f.1"),
        Some("::1"),
        Some("::ffff:10.0.0.1"),
        Some("fd00::%0"),
        Some(""),
        Some("1.2.3"),
        Some("no-address"),
    ];
    let services = [None, Some("80"), Some("65536"), Some(""), Some("8o"), Some("*")];
    let flags = [
        0,
        libc::AI_PASSIVE,
        libc::AI_CANONNAME,
        libc::AI_V4MAPPED,
        libc::AI_V4MAPPED | libc::AI_ALL,
        libc::AI_NUMERICSERV,
        1 << 20,
    ];
    let families = [libc::AF_UNSPEC, libc::AF_INET, libc::AF_INET6, libc::AF_UNIX];
    let kinds = [0, libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_RAW, 77];
    let protocols = [0, libc::IPPROTO_TCP, libc::IPPROTO_UDP, libc::IPPROTO_ICMP];
    let mut differences = Vec::new();
    for host in hosts {
        for service in services {
            for flags in flags {
                for family in families {
                    for kind in kinds {
                        for protocol in protocols {
                            // Names are the machine's, which the two need not share.
                            let flags = flags | libc::AI_NUMERICHOST;
                            let hints = Hints { flags, family, kind, protocol };
                            let mut theirs = by_library(host, service, hints);
                            let mut ours = by_run(host, service, hints);
                            // The C library orders addresses by the machine's routes.
                            if let (None, Ok(theirs), Ok(ours)) = (host, &mut theirs, &mut ours) {
                                theirs.sort();
                                ours.sort();
                            }
                            if theirs != ours {
                                differences.push((host, service, hints, theirs, ours));
                            }
                        }
                    }
                }
            }
        }
    }
    for (host, service, hints, theirs, ours) in differences.iter().take(20) {
        eprintln!("{host:?} {service:?} {hints:?}\n    {theirs:?}\n    {ours:?}");
    }
    assert!(differences.is_empty(), "{} differences", differences.len());
}
