//! [`Topology`]: the machines of a test, the services on them, and the links between their zones.

use std::hash::BuildHasherDefault;
use std::panic::Location;

use indexmap::map::Entry;
use indexmap::{IndexMap, IndexSet};
use smallvec::{SmallVec, smallvec};

use crate::disk_profile::DiskProfile;
use crate::engine::{Name, NameHasher};
use crate::machine::names::{self, NamePattern, parse_declaration};
use crate::machine::{OnExit, Selector, Service, Termination};
use crate::mistakes::Mistakes;
use crate::net::{NetworkProfile, TcpConfig};

/// The cluster of a test: machines, services, links, and their settings.
///
/// The zone of a machine is the part of its name after the first dot: `api1.public` is in the zone `public`. Machines in one zone
/// reach each other. If no link is declared, all zones are joined by [`NetworkProfile::lan`]; otherwise only the declared links
/// exist.
///
/// The methods do not fail. All mistakes, such as invalid names, are reported together when the
/// test begins.
///
/// ```
/// use simmach::prelude::*;
///
/// async fn server() {}
///
/// let topology = Topology::new()
///     .machine("api{1..=2}.public", server)
///     .link("botnet", "public", NetworkProfile::mobile_3g());
/// ```
#[derive(Debug, Default)]
pub struct Topology {
    /// Machines with services.
    pub(crate) machines: IndexMap<Name, Services, FixedHasher>,
    /// Machines without services.
    pub(crate) hosts: IndexSet<Name, FixedHasher>,
    pub(crate) links: Vec<DeclaredLink>,
    pub(crate) on_exit: Vec<(Selector, OnExit)>,
    /// Machines whose processes have no tokio runtime.
    pub(crate) native: Vec<Selector>,
    pub(crate) tcp: TcpConfig,
    pub(crate) tcp_of: Vec<(Selector, TcpConfig)>,
    pub(crate) pairs: Vec<(Selector, Selector, NetworkProfile)>,
    pub(crate) dual_stack: bool,
    pub(crate) disks: Vec<(Selector, DiskProfile)>,
    pub(crate) mistakes: Mistakes,
}

type Services = SmallVec<[DeclaredService; 1]>;

type FixedHasher = BuildHasherDefault<NameHasher>;

/// A service on one machine.
#[derive(Clone, Debug)]
pub(crate) struct DeclaredService {
    /// `None` if it was declared with only the name of the machine.
    pub(crate) name: Option<String>,
    pub(crate) service: Service,
    pub(crate) at: &'static Location<'static>,
}

/// A link from one zone to another, in one direction.
#[derive(Clone, Debug)]
pub(crate) struct DeclaredLink {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) profile: NetworkProfile,
}

impl Topology {
    /// Creates an empty topology.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a machine that runs `service`.
    ///
    /// A name with ranges, such as `api{1..=5}`, adds several machines. To run several services on one machine, add each as
    /// `machine/service`.
    ///
    /// ```
    /// # use simmach::prelude::*;
    /// # async fn web() {}
    /// # async fn db() {}
    /// let topology =
    ///     Topology::new().machine("node{1..=3}.lan/web", web).machine("node{1..=3}.lan/db", db);
    /// ```
    #[must_use]
    #[track_caller]
    pub fn machine<F, R>(mut self, name: &str, service: F) -> Self
    where
        F: AsyncFn() -> R + 'static,
        R: Termination,
    {
        let (service, at) = (Service::new(service), Location::caller());
        let Some(names) = self.parsed(name) else { return self };
        self.machines.reserve(names.count());
        names.for_each(|full_name| {
            let (machine, name) = names::split(full_name);
            let name = name.map(str::to_owned);
            self.add(machine.into(), DeclaredService { name, service: service.clone(), at });
        });
        self
    }

    /// Adds a service to a machine, and the machine if it is new. Names that differ only in case are a mistake, since
    /// resolvers ignore case.
    fn add(&mut self, machine: Name, service: DeclaredService) {
        let mut known = match self.machines.entry(machine.clone()) {
            Entry::Occupied(known) => known,
            Entry::Vacant(vacant) => {
                vacant.insert(smallvec![service]);
                return;
            }
        };
        if **known.key() != *machine {
            self.mistakes.add(format_args!(
                "`{}` and `{machine}` are the same name: name resolution ignores case",
                known.key()
            ));
        } else if known.get().iter().any(|other| other.name == service.name) {
            let full_name = match &service.name {
                Some(name) => format!("{machine}/{name}"),
                None => machine.to_string(),
            };
            self.mistakes.add(format_args!("`{full_name}` is declared twice: give each machine its own name, or use `{machine}/service` to run several services on one machine"));
        } else {
            known.get_mut().push(service);
        }
    }

    /// The names of all machines in the order of declaration, those with services first.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Name> {
        self.machines.keys().chain(&self.hosts)
    }

    /// Adds everything that another topology declares.
    pub(super) fn merge(mut self, other: Self) -> Self {
        let Self {
            machines,
            hosts,
            links,
            on_exit,
            native,
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
        for DeclaredLink { from, to, profile } in links {
            self = self.link_one_way(&from, &to, profile);
        }
        self.on_exit.extend(on_exit);
        self.native.extend(native);
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
            self.mistakes.add(format_args!("`{host}` is declared twice: `host` adds a machine without services; remove one of the declarations"));
        }
    }

    /// Adds a machine without services, for clients: the test's own, or those of [`Sim::run_on`](crate::Sim::run_on). Ranges
    /// in the name add several machines.
    #[must_use]
    pub fn host(mut self, name: &str) -> Self {
        if let Some(names) = self.parsed(name) {
            names.for_each(|host| self.add_host(host.into()));
        }
        self
    }

    /// Adds a link between two zones, in both directions.
    #[must_use]
    pub fn link(self, a: &str, b: &str, profile: NetworkProfile) -> Self {
        let there = self.link_one_way(a, b, profile.clone());
        if a == b { there } else { there.link_one_way(b, a, profile) }
    }

    /// Adds a link from one zone to another. Packets in the other direction need a link of their own.
    #[must_use]
    pub fn link_one_way(mut self, from: &str, to: &str, profile: NetworkProfile) -> Self {
        if self.links.iter().any(|link| link.from == from && link.to == to) {
            self.mistakes.add(format_args!("the link from `{from}` to `{to}` is declared twice"));
        }
        self.mistakes.add_all(format_args!("the link from `{from}` to `{to}`"), profile.mistakes());
        self.links.push(DeclaredLink { from: from.to_owned(), to: to.to_owned(), profile });
        self
    }

    /// Sets what happens when a service on these machines returns an error or panics. The default is [`OnExit::Fail`]. The last
    /// matching call applies.
    #[must_use]
    pub fn on_exit(mut self, machines: impl Into<Selector>, on_exit: OnExit) -> Self {
        self.on_exit.push((machines.into(), on_exit));
        self
    }

    /// Declares that the processes of these machines use simmach's modules only. They get no tokio runtime, which makes runs
    /// faster but does not change them. A call into tokio that needs a runtime panics in such a process.
    #[must_use]
    pub fn native(mut self, machines: impl Into<Selector>) -> Self {
        self.native.push(machines.into());
        self
    }

    /// Sets the TCP settings of all kernels.
    #[must_use]
    pub fn tcp(mut self, tcp: TcpConfig) -> Self {
        self.mistakes.add_all("tcp", tcp.mistakes());
        self.tcp = tcp;
        self
    }

    /// Sets the TCP settings of the kernels of these machines, instead of those of [`tcp`](Self::tcp). The last matching call
    /// applies.
    #[must_use]
    pub fn tcp_of(mut self, machines: impl Into<Selector>, tcp: TcpConfig) -> Self {
        let machines = machines.into();
        self.mistakes.add_all(format_args!("tcp_of `{machines}`"), tcp.mistakes());
        self.tcp_of.push((machines, tcp));
        self
    }

    /// Sets the profile for packets from some machines to others, instead of that of the link between their zones. It applies in
    /// this direction only. The last matching call applies.
    #[must_use]
    pub fn link_between(
        mut self,
        from: impl Into<Selector>,
        to: impl Into<Selector>,
        profile: NetworkProfile,
    ) -> Self {
        let (from, to) = (from.into(), to.into());
        self.mistakes.add_all(format_args!("link_between `{from}` and `{to}`"), profile.mistakes());
        self.pairs.push((from, to, profile));
        self
    }

    /// Gives machines IPv6 addresses in addition to IPv4. Name lookups return the IPv4 addresses first, and connecting to a name
    /// tries all.
    #[must_use]
    pub fn dual_stack(mut self) -> Self {
        self.dual_stack = true;
        self
    }

    /// Sets the disk of these machines. The default is [`DiskProfile::ssd`]. The last matching call applies.
    #[must_use]
    pub fn disk(mut self, machines: impl Into<Selector>, disk: DiskProfile) -> Self {
        let machines = machines.into();
        self.mistakes.add_all(format_args!("disk of `{machines}`"), disk.mistakes());
        self.disks.push((machines, disk));
        self
    }

    fn parsed<'a>(&mut self, name: &'a str) -> Option<NamePattern<'a>> {
        parse_declaration(name).inspect_err(|error| self.mistakes.add(error)).ok()
    }
}
