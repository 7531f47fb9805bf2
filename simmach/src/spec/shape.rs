//! The shape of a spec: names, links, limits and plans, but no code. A token contains the hash of
//! its test's shape, which shows whether the test has changed.

use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::engine::mix_text;
use crate::spec::Topology;

/// A spec without its code. The hash is computed on demand, because formatting a spec takes longer
/// than most runs.
pub(crate) struct Shape {
    pub(super) topology: Topology,
    pub(super) client: Option<String>,
    pub(super) is_hardware_identical: bool,
    /// `time_limit`, `stall_limit` and `poll_limit`.
    pub(super) limits: (Duration, Duration, u64),
    pub(super) epoch: u64,
    /// Names and settings of the plans.
    pub(super) plans: Vec<(&'static str, String)>,
}

impl Shape {
    /// The hash that tokens contain. It includes the plans unless acts replace them.
    pub(crate) fn word(&self, with_plans: bool) -> u64 {
        let Topology {
            machines,
            hosts,
            links,
            on_exit,
            native: _,
            tcp,
            tcp_of,
            pairs,
            dual_stack,
            disks,
            mistakes: _,
        } = &self.topology;
        let mut text = String::with_capacity(2048);
        let mut put = |part: fmt::Arguments<'_>| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{part};");
        };
        for (machine, services) in machines {
            for service in services {
                put(format_args!("{machine}/{:?}", service.name));
            }
        }
        put(format_args!("{:?}", hosts.as_slice()));
        for link in links {
            put(format_args!("{}>{}={:?}", link.from, link.to, link.profile));
        }
        put(format_args!("{on_exit:?}{tcp:?}{tcp_of:?}{disks:?}{:?}", self.client));
        put(format_args!("{pairs:?}{dual_stack}"));
        if self.is_hardware_identical {
            put(format_args!("identical hardware"));
        }
        let (time, stall, polls) = self.limits;
        put(format_args!("{time:?}{stall:?}{polls}"));
        put(format_args!("{}", self.epoch));
        for (name, settings) in self.plans.iter().filter(|_| with_plans) {
            put(format_args!("{name}{settings}"));
        }
        mix_text(&text)
    }
}
