//! Describes what an epoll instance watches, for reports of runs in which a guest waits.

use std::ffi::c_int;

use crate::interpose::system::SocketAddress;
use crate::system::descriptors::{FileKind, with_file};
use crate::system::{epoll, sockets};

/// Maximum number of descriptors that are described. The remaining ones are only counted.
const MAX_DESCRIBED: usize = 6;

/// Describes the sockets and pipes that an epoll instance watches, in the order of their
/// descriptors, and sockets with their addresses. Descriptors with which a runtime wakes itself are
/// left out.
pub(crate) fn watched(epoll: c_int) -> Vec<String> {
    let descriptors = epoll::watched(epoll).unwrap_or_default();
    let mut described: Vec<String> = descriptors.into_iter().filter_map(describe).collect();
    let more = described.len().saturating_sub(MAX_DESCRIBED);
    if more > 0 {
        described.truncate(MAX_DESCRIBED);
        described.push(format!("{more} more"));
    }
    described
}

fn describe(descriptor: c_int) -> Option<String> {
    enum What {
        Listener,
        Socket,
        Pipe(&'static str),
        Nothing,
    }
    let what = with_file(descriptor, |_, file| {
        Ok(match &file.kind {
            FileKind::Listener { .. } => What::Listener,
            FileKind::Stream { .. } | FileKind::Datagrams { .. } | FileKind::Unix(_) => {
                What::Socket
            }
            FileKind::PipeReader(_) => What::Pipe("a pipe to read from"),
            FileKind::PipeWriter(_) => What::Pipe("a pipe to write to"),
            FileKind::Unconnected { .. }
            | FileKind::Counter { .. }
            | FileKind::Epoll(_)
            | FileKind::Random
            | FileKind::Uuid(_)
            | FileKind::Disk(_) => What::Nothing,
        })
    });
    let local = || Some(text(&sockets::local_address(descriptor).ok()?));
    match what.ok()? {
        What::Listener => Some(format!("connections to {}", local()?)),
        What::Socket => match sockets::peer_address(descriptor) {
            Ok(peer) => Some(format!("its connection with {}", text(&peer))),
            Err(_) => Some(format!("its socket at {}", local()?)),
        },
        What::Pipe(pipe) => Some(pipe.to_owned()),
        What::Nothing => None,
    }
}

/// Formats an address for reports.
fn text(address: &SocketAddress) -> String {
    match address {
        SocketAddress::Inet(address) => address.to_string(),
        SocketAddress::Unix(name) => match &name[..] {
            [] => "an unnamed Unix socket".to_owned(),
            [0, name @ ..] => format!("@{}", String::from_utf8_lossy(name)),
            path => String::from_utf8_lossy(path).into_owned(),
        },
        SocketAddress::Unspecified => "no address".to_owned(),
    }
}
