//! The cluster of a test: machines, what runs on them, and the links between their zones.

use std::hash::BuildHasherDefault;
use std::panic::Location;

use indexmap::map::Entry;
use indexmap::{IndexMap, IndexSet};
use smallvec::{SmallVec, smallvec};

use crate::engine::{Name, NameHasher};
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
    /// The services of each machine that has any.
    pub(crate) machines: IndexMap<Name, Services, FixedHasher>,
    /// The machines without services.
    pub(crate) hosts: IndexSet<Name, FixedHasher>,
    pub(crate) links: Vec<Link>,
    pub(crate) on_exit: Vec<(Selector, OnExit)>,
    pub(crate) tcp: TcpConfig,
    pub(crate) tcp_of: Vec<(Selector, TcpConfig)>,
    pub(crate) pairs: Vec<(Selector, Selector, NetworkProfile)>,
    pub(crate) dual_stack: bool,
    pub(crate) disks: Vec<(Selector, DiskProfile)>,
    pub(crate) mistakes: Vec<String>,
}

type Services = SmallVec<[DeclaredService; 1]>;

type FixedHasher = BuildHasherDefault<NameHasher>;

/// A service on one machine.
#[derive(Clone, Debug)]
pub(crate) struct DeclaredService {
    /// `None` for a service that was declared by the name of its machine alone.
    pub(crate) name: Option<String>,
    pub(crate) service: Service,
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
        let full_names = self.expanded(name);
        self.machines.reserve(full_names.len());
        for full_name in full_names {
            let (machine, name) = names::split(&full_name);
            let name = name.map(str::to_owned);
            self.add(machine.into(), DeclaredService { name, service: service.clone(), at });
        }
        self
    }

    /// Adds a service to a machine, and the machine if it is new. Names that differ in case alone are the same name to a
    /// resolver, and so a mistake.
    fn add(&mut self, machine: Name, service: DeclaredService) {
        let mut known = match self.machines.entry(machine.clone()) {
            Entry::Occupied(known) => known,
            Entry::Vacant(vacant) => {
                vacant.insert(smallvec![service]);
                return;
            }
        };
        if **known.key() != *machine {
            self.mistakes.push(format!(
                "`{}` and `{machine}` are one name: letters' case makes no difference where names are looked up",
                known.key()
            ));
        } else if known.get().iter().any(|other| other.name == service.name) {
            let full_name = match &service.name {
                Some(name) => format!("{machine}/{name}"),
                None => machine.to_string(),
            };
            self.mistakes.push(format!("`{full_name}` is named twice: give each machine a name of its own, or say `{machine}/service` for several services on one"));
        } else {
            known.get_mut().push(service);
        }
    }

    /// The names of all machines: those with services first, then hosts, each in the order in which they were declared.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Name> {
        self.machines.keys().chain(&self.hosts)
    }

    /// With all that another has.
    pub(super) fn with(mut self, other: Self) -> Self {
        let Self {
            machines,
            hosts,
            links,
            on_exit,
            tcp,
            tcp_of,
            pairs,
            dual_stack,
            disks,
            mistakes,
        } = other;
        for (name, services) in machines {
            services.into_iter().for_each(|service| self.add(name.clone(), service));
        }
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

    fn add_host(&mut self, host: Name) {
        if self.machines.contains_key(&host) || !self.hosts.insert(host.clone()) {
            self.mistakes.push(format!("the host `{host}` is named twice"));
        }
    }

    /// A machine without a service, for [`Sim::run_on`](crate::Sim::run_on) and the test's own client.
    #[must_use]
    pub fn host(mut self, name: &str) -> Self {
        for host in self.expanded(name) {
            self.add_host(host.as_str().into());
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
