//! The test rig of this layer: three hosts in two zones, code that runs on the hosts, and the
//! result of the run.

use std::cell::RefCell;
use std::future::Future;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use crate::engine::draws::overlay::Overlay;
use crate::engine::executor::drive::Limits;
use crate::engine::failure::verdict::Verdict;
use crate::engine::rig::{self, Ran, run_within};
use crate::engine::{self, MachineId, Name, ProcessId, Role, Scope, mix};
use crate::net::simulated::kernel::{self, Kernel};
use crate::net::simulated::stats::NetStats;
use crate::net::{Host, Link, NetSpec, NetworkProfile, TcpConfig};
use crate::task::{JoinHandle, spawn_as};

/// Hosts `a.east`, `b.east` and `c.west`, numbered from 0. The zones are joined by links with a fixed latency of 50 ms.
pub(super) struct Cluster {
    pub(super) seed: u64,
    pub(super) tcp: TcpConfig,
    pub(super) tcp_of_c: Option<TcpConfig>,
    pub(super) dual_stack: bool,
    pub(super) link: Option<NetworkProfile>,
    pub(super) links: Vec<Link>,
}

/// The result of a run.
pub(super) struct RunResult {
    pub(super) ran: Ran,
    pub(super) stats: NetStats,
}

/// Limits with more polls than any test needs. A test whose packets never stop reaches this limit
/// before it fills the memory.
const LIMITS: Limits = Limits { polls: 200_000, ..rig::LIMITS };

pub(super) const A: MachineId = MachineId(0);
pub(super) const B: MachineId = MachineId(1);
pub(super) const C: MachineId = MachineId(2);

impl Cluster {
    pub(super) fn new() -> Self {
        let link = Some(NetworkProfile::ideal_fixed());
        Self {
            seed: 1,
            tcp: TcpConfig::new(),
            tcp_of_c: None,
            dual_stack: false,
            link,
            links: Vec::new(),
        }
    }

    pub(super) fn tcp(mut self, tcp: TcpConfig) -> Self {
        self.tcp = tcp;
        self
    }

    pub(super) fn link(mut self, link: NetworkProfile) -> Self {
        self.link = Some(link);
        self
    }

    pub(super) fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Runs `body` on machine a; panics unless the run passes.
    pub(super) fn run<F>(self, body: impl FnOnce() -> F + Send + 'static) -> RunResult
    where
        F: Future<Output = ()> + 'static,
    {
        let result = self.try_run(body);
        assert_eq!(result.ran.verdict, Verdict::Passed);
        result
    }

    pub(super) fn try_run<F>(self, body: impl FnOnce() -> F + Send + 'static) -> RunResult
    where
        F: Future<Output = ()> + 'static,
    {
        let names = ["a.east", "b.east", "c.west"].map(Name::from);
        let hosts = [A, B, C].into_iter().zip(names).map(|(machine, name)| Host {
            machine,
            zone: name.split_once('.').expect("a zone").1.into(),
            name,
            routes_to_all: false,
            tcp: self.tcp_of_c.clone().filter(|_| machine == C),
        });
        let spec = NetSpec {
            hosts: hosts.collect(),
            links: self.links,
            tcp: self.tcp,
            default_profile: self.link,
            pairs: Vec::new(),
            dual_stack: self.dual_stack,
        };
        let (mut stats, mut timers) = (NetStats::default(), 0);
        let ran = run_within(
            &LIMITS,
            self.seed,
            Overlay::default(),
            || kernel::install(spec),
            body,
            || {
                timers = Kernel::count_timers();
                stats = kernel::remove();
            },
        );
        assert_eq!(ran.timers_left, timers, "timers of no socket or packet");
        RunResult { ran, stats }
    }
}

/// Runs a future on a machine as the only task of process number `process`.
#[track_caller]
pub(super) fn on<F>(machine: MachineId, process: u32, future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let task = mix(u64::from(machine.0), u64::from(process));
    let scope = Scope { machine, process: ProcessId(process), task, alive: true };
    spawn_as(Role::Spawned, scope, Location::caller(), future).1
}

/// Kills a process, as `machine` does it.
pub(super) fn kill(process: u32) {
    engine::context::try_with(|engine| engine.end_process(ProcessId(process)));
    kernel::control::close_process(ProcessId(process));
}

/// Powers a machine off, as `machine` does it, together with its only process.
pub(super) fn power_off(machine: MachineId, process: u32) {
    kernel::control::erase_machine(machine);
    kernel::control::set_power(machine, false);
    engine::context::try_with(|engine| engine.end_process(ProcessId(process)));
}

pub(super) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Virtual time since the run began.
pub(super) fn now() -> Duration {
    Duration::from_nanos(engine::now())
}

pub(super) async fn sleep(n: u64) {
    crate::time::sleep(ms(n)).await;
}

/// A cell that the tasks of a test share.
pub(super) fn shared<T>(value: T) -> Rc<RefCell<T>> {
    Rc::new(RefCell::new(value))
}
