//! What handles, hosts and packets name a socket by.

/// Names a socket; harmless once that is gone, as no two of a run share a serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) slot: u32,
    pub(crate) serial: u32,
}

impl Key {
    pub(crate) const NONE: Key = Key { slot: u32::MAX, serial: u32::MAX };
}
