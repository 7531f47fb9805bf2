//! Keys of sockets in the kernel.

/// Identifies a socket in the kernel. A stale key finds no socket, since the serial number is
/// unique in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SocketKey {
    pub(crate) slot: u32,
    pub(crate) serial: u32,
}

impl SocketKey {
    pub(crate) const NONE: SocketKey = SocketKey { slot: u32::MAX, serial: u32::MAX };
}
