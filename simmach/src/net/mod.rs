//! The network's face towards the layers above. Nothing stands behind it yet: there are no sockets.

#![allow(missing_docs, dead_code)]

use crate::engine::{MachineId, ProcessId};

#[derive(Clone, Debug, Default)]
pub struct TcpConfig;

#[derive(Clone, Debug)]
pub struct NetworkProfile;

impl NetworkProfile {
    pub fn lan() -> Self {
        Self
    }

    pub fn mobile_3g() -> Self {
        Self
    }

    pub fn azure_intranet() -> Self {
        Self
    }
}

#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) machine: MachineId,
    pub(crate) name: String,
    pub(crate) zone: String,
    pub(crate) routes_to_all: bool,
}

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) from_zone: String,
    pub(crate) to_zone: String,
    pub(crate) profile: NetworkProfile,
}

#[derive(Debug)]
pub(crate) struct NetSpec {
    pub(crate) hosts: Vec<Host>,
    pub(crate) links: Vec<Link>,
    pub(crate) tcp: TcpConfig,
    pub(crate) default_profile: Option<NetworkProfile>,
}

#[derive(Debug)]
pub struct SocketEntry;

#[derive(Debug, Default)]
pub(crate) struct NetStats {
    pub(crate) sockets: u64,
}

pub(crate) fn install(_: NetSpec) {}

pub(crate) fn remove() -> NetStats {
    NetStats::default()
}

pub(crate) fn set_up(_: MachineId, _: bool) {}

pub(crate) fn close_process(_: ProcessId) {}

pub(crate) fn erase_machine(_: MachineId) {}

pub(crate) fn cut(_: &[MachineId], _: &[MachineId]) {}

pub(crate) fn mend(_: &[MachineId], _: &[MachineId]) {}

pub(crate) fn mend_all() {}

pub(crate) fn set_profile(_: &str, _: &str, _: NetworkProfile) -> Result<(), String> {
    Ok(())
}

pub(crate) fn sockets(_: MachineId) -> Vec<SocketEntry> {
    Vec::new()
}
