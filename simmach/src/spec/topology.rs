//! The cluster of a test: machines, what runs on them, and the links between their zones.

use std::panic::Location;

use super::places::{self, Places};
use crate::machine::names::{self, expand};
use crate::machine::{Ending, OnExit, Selector, Service};
use crate::net::{NetworkProfile, TcpConfig};
use crate::storage::DiskProfile;

/// The cluster of a test.
///
/// Without links every zone reaches every other over [`NetworkProfile::lan`]; with links, only what is said, and a zone
/// itself. Mistakes are kept and reported when the test begins, all at once.
///
/// ```
/// use simmach::prelude::*;
///
/// async fn server() {}
///
/// let cluster = Topology::new()
///     .machine("api{1..=2}.public", server)
///     .link("botnet", "public", NetworkProfile::mobile_3g());
/// ```
#[derive(Debug, Default)]
pub struct Topology {
    pub(crate) services: Vec<Declared>,
    pub(crate) hosts: Vec<String>,
    pub(crate) links: Vec<Link>,
    pub(crate) on_exit: Vec<(Selector, OnExit)>,
    pub(crate) tcp: TcpConfig,
    pub(crate) tcp_of: Vec<(Selector, TcpConfig)>,
    pub(crate) pairs: Vec<(Selector, Selector, NetworkProfile)>,
    pub(crate) dual_stack: bool,
    pub(crate) disks: Vec<(Selector, DiskProfile)>,
    pub(crate) mistakes: Vec<String>,
    /// How many machines have services.
    pub(super) serving: usize,
    /// Where the names of the machines of services are, and of hosts.
    pub(super) served: Places,
    pub(super) hosted: Places,
}

/// A service on one machine.
#[derive(Debug)]
pub(crate) struct Declared {
    pub(crate) machine: String,
    /// The machine's number, in the order of [`machines`](Topology::machines).
    pub(crate) number: usize,
    /// The machine's name stands here for the first time.
    pub(crate) is_first: bool,
    pub(crate) name: Option<String>,
    /// `None` once the machine has it.
    pub(crate) service: Option<Service>,
    pub(crate) at: &'static Location<'static>,
}

/// One way from a zone to another.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) profile: NetworkProfile,
}

impl Topology {
    /// An empty cluster.
    pub fn new() -> Self {
        Self::default()
    }

    /// A machine, or as many as a range such as `api{1..=5}` makes, with a service. `machine/service` is one of several
    /// services on a machine.
    #[must_use]
    #[track_caller]
    pub fn machine<F, R>(mut self, name: &str, service: F) -> Self
    where
        F: AsyncFn() -> R + 'static,
        R: Ending,
    {
        let (service, at) = (Service::new(service), Location::caller());
        let expanded = self.expanded(name);
        self.services.reserve(expanded.len());
        self.served.reserve(expanded.len());
        for mut machine in expanded {
            let name = names::split(&machine).1.map(str::to_owned);
            if let Some(name) = &name {
                machine.truncate(machine.len() - name.len() - 1);
            }
            let service = Some(service.clone());
            self.add(Declared { machine, number: 0, is_first: true, name, service, at });
        }
        self
    }

    /// A name is one, however it is written: so it is looked up. Numbers the machine.
    fn add(&mut self, mut declared: Declared) {
        let Declared { machine, name, .. } = &declared;
        let hash = places::hash(machine);
        let others = self.served.of(hash).map(|at| &self.services[at]);
        let mut same =
            others.filter(|other| other.machine.eq_ignore_ascii_case(machine)).peekable();
        if let Some(other) = same.peek()
            && other.machine != *machine
        {
            self.mistakes.push(format!(
                "`{}` and `{machine}` are one name: letters' case makes no difference where names are looked up",
                other.machine
            ));
        }
        let (mut first, mut is_twice) = (None, false);
        for other in same {
            if other.machine == *machine {
                first = first.or(Some(other.number));
            }
            is_twice |= other.name == *name;
        }
        if is_twice {
            let full = name.as_ref().map_or(machine.clone(), |name| format!("{machine}/{name}"));
            self.mistakes.push(format!("`{full}` is named twice: give each machine a name of its own, or say `{machine}/service` for several services on one"));
            return;
        }
        declared.is_first = first.is_none();
        declared.number = first.unwrap_or_else(|| {
            self.serving += 1;
            self.serving - 1
        });
        self.served.add(hash);
        self.services.push(declared);
    }

    /// The machines of services, each once, in the order in which they were given; then hosts.
    pub(crate) fn machines(&self) -> impl Iterator<Item = &str> {
        let served = self.services.iter().filter(|declared| declared.is_first);
        let others = self.hosts.iter().enumerate().filter(|(at, host)| {
            let hash = places::hash(host);
            let is_served =
                self.served.of(hash).any(|place| self.services[place].machine == **host);
            let first = self.hosted.of(hash).find(|place| self.hosts[*place] == **host);
            !is_served && first == Some(*at)
        });
        served.map(|declared| &*declared.machine).chain(others.map(|(_, host)| &**host))
    }

    /// With all that another has.
    pub(super) fn with(mut self, other: Self) -> Self {
        let Self {
            services,
            hosts,
            links,
            on_exit,
            tcp,
            tcp_of,
            pairs,
            dual_stack,
            disks,
            mistakes,
            serving: _,
            served: _,
            hosted: _,
        } = other;
        services.into_iter().for_each(|declared| self.add(declared));
        hosts.into_iter().for_each(|host| self.add_host(host));
        for Link { from, to, profile } in links {
            self = self.link_one_way(&from, &to, profile);
        }
        self.on_exit.extend(on_exit);
        if tcp != TcpConfig::default() {
            self.tcp = tcp;
        }
        self.tcp_of.extend(tcp_of);
        self.pairs.extend(pairs);
        self.dual_stack |= dual_stack;
        self.disks.extend(disks);
        self.mistakes.extend(mistakes);
        self
    }

    fn add_host(&mut self, host: String) {
        let hash = places::hash(&host);
        let is_same = |other: &str| other.eq_ignore_ascii_case(&host);
        if self.served.of(hash).any(|at| is_same(&self.services[at].machine))
            || self.hosted.of(hash).any(|at| is_same(&self.hosts[at]))
        {
            self.mistakes.push(format!("the host `{host}` is named twice"));
        }
        self.hosted.add(hash);
        self.hosts.push(host);
    }

    /// A machine without a service, for [`Sim::run_on`](crate::Sim::run_on) and the test's own client.
    #[must_use]
    pub fn host(mut self, name: &str) -> Self {
        for host in self.expanded(name) {
            self.add_host(host);
        }
        self
    }

    /// Joins two zones, both ways.
    #[must_use]
    pub fn link(self, a: &str, b: &str, profile: NetworkProfile) -> Self {
        let there = self.link_one_way(a, b, profile.clone());
        if a == b { there } else { there.link_one_way(b, a, profile) }
    }

    /// Joins a zone to another, one way: nothing comes back unless that way is joined too.
    #[must_use]
    pub fn link_one_way(mut self, from: &str, to: &str, profile: NetworkProfile) -> Self {
        if self.links.iter().any(|link| link.from == from && link.to == to) {
            self.mistakes.push(format!("the link from `{from}` to `{to}` is given twice"));
        }
        self.links.push(Link { from: from.to_owned(), to: to.to_owned(), profile });
        self
    }

    /// What becomes of a process on these machines that ends with an error or a panic. The last that matches counts.
    #[must_use]
    pub fn on_exit(mut self, machines: impl Into<Selector>, on_exit: OnExit) -> Self {
        self.on_exit.push((machines.into(), on_exit));
        self
    }

    /// The kernels' TCP settings.
    #[must_use]
    pub fn tcp(mut self, tcp: TcpConfig) -> Self {
        self.tcp = tcp;
        self
    }

    /// The TCP settings of these machines' kernels, in place of the others'. The last that matches counts.
    #[must_use]
    pub fn tcp_of(mut self, machines: impl Into<Selector>, tcp: TcpConfig) -> Self {
        self.tcp_of.push((machines.into(), tcp));
        self
    }

    /// Gives what these machines send to those a profile of its own, in place of their zones' link; one way. The last that
    /// matches counts.
    #[must_use]
    pub fn link_between(
        mut self,
        from: impl Into<Selector>,
        to: impl Into<Selector>,
        profile: NetworkProfile,
    ) -> Self {
        self.pairs.push((from.into(), to.into(), profile));
        self
    }

    /// Names have IPv6 addresses too, behind those of IPv4: what connects to a name tries both.
    #[must_use]
    pub fn dual_stack(mut self) -> Self {
        self.dual_stack = true;
        self
    }

    /// The disks of these machines. The last that matches counts.
    #[must_use]
    pub fn disk(mut self, machines: impl Into<Selector>, disk: DiskProfile) -> Self {
        self.disks.push((machines.into(), disk));
        self
    }

    fn expanded(&mut self, name: &str) -> Vec<String> {
        expand(name).unwrap_or_else(|error| {
            self.mistakes.push(error.to_string());
            Vec::new()
        })
    }
}
