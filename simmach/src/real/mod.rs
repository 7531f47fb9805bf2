//! The real world behind the same names: what tokio and the operating system need to be asked differently.

pub(crate) mod chance;
pub(crate) mod net;
pub(crate) mod signal;
pub(crate) mod storage;
