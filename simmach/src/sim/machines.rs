//! Control of machines: starting and stopping, power, disks, clients, and clocks.

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use crate::engine::acts::{Act, LAST, Processes};
use crate::engine::context::{self, Engine};
use crate::engine::log::{self, Level};
use crate::engine::tasks::pauses::CpuQuota;
use crate::engine::time::machine_clocks::ClockSkew;
use crate::engine::{self, Effect, Event, MachineId, ProcessId};
use crate::machine::{self, Selector, ServiceId};
use crate::sim::world::{clear_spared, record_spared, request_fault, with};
use crate::sim::{ControlError, Sim, acts};
use crate::task::JoinHandle;
use crate::time::nanos;

impl Sim {
    /// Returns the names of the matching machines, in the order of the topology.
    pub fn machines(&self, selector: impl Into<Selector>) -> Vec<String> {
        let machines = machine::machines(&selector.into());
        machines.into_iter().filter_map(name_of).collect()
    }

    /// Returns `true` if any matching service is running.
    pub fn is_up(&self, selector: impl Into<Selector>) -> bool {
        machine::services(&selector.into())
            .into_iter()
            .any(|service| machine::process_of(service).is_some())
    }

    /// Starts all matching services that are down, and restores power to their machines.
    ///
    /// A matching machine without services only gets power. Its clients are not restarted; the test
    /// can run new clients with [`run_on`](Self::run_on).
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if nothing matches, and [`ControlError::AlreadyRunning`] if everything that matches is running.
    pub fn start(&self, selector: impl Into<Selector>) -> Result<(), ControlError> {
        let selector = selector.into();
        let Targets { mut services, mut machines, .. } = resolve(&selector)?;
        services.retain(|service| machine::process_of(*service).is_none());
        machines.retain(|machine| !machine::has_power(*machine));
        if services.is_empty() && machines.is_empty() {
            return match clear_spared(&machines_of(&selector)) {
                true => Ok(()),
                false => Err(ControlError::AlreadyRunning(selector.to_string())),
            };
        }
        let mut down: Vec<_> = services.iter().map(|service| service.machine).collect();
        down.dedup();
        machines.retain(|machine| !down.contains(machine));
        for machine in down.into_iter().chain(machines) {
            let services = numbers_on(machine, &services);
            let act = Act::Start { machine, services };
            acts::perform(None, &act, || acts::describe(&act));
        }
        Ok(())
    }

    /// Sends the stop signal to all matching services and waits until they have ended.
    ///
    /// Services that have not ended after `grace` are killed; [`GRACE`](crate::GRACE) is a common value. If a whole machine
    /// matches, its clients are stopped too, except the test's body. Restarts that are pending after a crash, or that a plan
    /// intends, are cancelled.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if nothing matches, and [`ControlError::Body`] if only the test's body matches.
    pub async fn stop(
        &self,
        selector: impl Into<Selector>,
        grace: Duration,
    ) -> Result<(), ControlError> {
        let selector = selector.into();
        let targets = resolve(&selector)?.without_body()?;
        let machines = targets.affected_machines();
        if request_fault(targets.is_running(), &machines, || {
            format!("{}gets the stop signal", subject(&selector, &machines))
        }) {
            for who in targets.processes().into_iter().filter(acts::has_something_to_end) {
                let act = Act::Stop { who, grace: nanos(grace), end_place: LAST };
                engine::record_act(None, &act, || acts::describe(&act));
            }
            acts::stop(None, targets.take_down(), grace).await;
        } else {
            record_spared(machines);
        }
        Ok(())
    }

    /// Kills all matching services at once. The kernels of their machines close their sockets.
    ///
    /// If a whole machine matches, its clients are killed too, except the test's body. Restarts that are pending after a crash,
    /// or that a plan intends, are cancelled.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if nothing matches, and [`ControlError::Body`] if only the test's body matches.
    pub fn kill(&self, selector: impl Into<Selector>) -> Result<(), ControlError> {
        let selector = selector.into();
        let targets = resolve(&selector)?.without_body()?;
        let machines = targets.affected_machines();
        if request_fault(targets.is_running(), &machines, || {
            format!("{}killed", subject(&selector, &machines))
        }) {
            for who in targets.processes().into_iter().filter(acts::has_something_to_end) {
                let act = Act::Kill { who };
                engine::record_act(None, &act, || acts::describe(&act));
            }
            targets.take_down().into_iter().for_each(machine::kill);
        } else {
            record_spared(machines);
        }
        Ok(())
    }

    /// Powers off all matching machines: their processes end, their kernels send nothing more, and data that is not durable is
    /// lost. Machines without power are left as they are.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if no machine matches, and [`ControlError::Body`] if one of them is the machine of the test's body.
    pub fn power_off(&self, selector: impl Into<Selector>) -> Result<(), ControlError> {
        let machines = resolve_machines(&selector.into())?;
        if let Some(body) = with(|world| world.body).filter(|body| machines.contains(body)) {
            return Err(ControlError::Body(name_of(body).unwrap_or_default()));
        }
        for machine in machines {
            let has_power = machine::has_power(machine);
            let act = Act::PowerOff { machine };
            if request_fault(has_power, &[machine], || acts::describe(&act)) {
                match has_power {
                    true => acts::perform(None, &act, || acts::describe(&act)),
                    false => machine::power_off(machine, None),
                }
            } else {
                record_spared(vec![machine]);
            }
        }
        Ok(())
    }

    /// Pauses all processes of the matching machines, except the test's body, until [`resume`](Self::resume).
    ///
    /// It is what happens to a program while its host is busy with others. Its code does not run, and time passes. Its sockets
    /// stay open: the machine's kernel acknowledges what arrives, until buffers are full. Timers that were due meanwhile fire
    /// when the program goes on. A paused process can be killed and lose its power.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if no machine matches.
    pub fn pause(&self, selector: impl Into<Selector>) -> Result<(), ControlError> {
        for machine in resolve_machines(&selector.into())? {
            let can_pause = machine::can_pause(machine);
            if request_fault(can_pause, &[machine], || "paused".to_owned()) && can_pause {
                acts::perform(None, &Act::Pause { machine }, || "paused".to_owned());
            }
        }
        Ok(())
    }

    /// Lets the paused processes of the matching machines go on.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if no machine matches.
    pub fn resume(&self, selector: impl Into<Selector>) -> Result<(), ControlError> {
        for machine in resolve_machines(&selector.into())? {
            if machine::is_paused(machine) {
                let act = Act::Resume { machine };
                acts::perform(None, &act, || acts::describe(&act));
            }
        }
        Ok(())
    }

    /// Wipes the disks of all matching machines: their files and stores are deleted. Restarts that are pending after a crash are cancelled.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if no machine matches; [`ControlError::InUse`], [`ControlError::ClientRuns`] or
    /// [`ControlError::Body`] if a process is running on one of them; [`ControlError::Disk`] if deleting the files fails.
    pub fn wipe(&self, selector: impl Into<Selector>) -> Result<(), ControlError> {
        let machines = resolve_machines(&selector.into())?;
        let name = |machine| name_of(machine).unwrap_or_default();
        if are_spared(&machines) {
            request_fault(false, &machines, String::new);
            return Ok(());
        }
        check_unused(&machines)?;
        let wiped = || machines.iter().filter_map(|machine| name_of(*machine)).collect::<Vec<_>>();
        let changes = |machine: &MachineId| {
            !machine::is_disk_empty(*machine) || machine::awaits_restart(*machine)
        };
        let text = || match machines[..] {
            [_] => "disk wiped".to_owned(),
            _ => format!("disks of {} wiped", wiped().join(", ")),
        };
        if !request_fault(machines.iter().any(changes), &machines, text) {
            return Ok(());
        }
        for wiped in machines {
            let act = Act::Wipe { machine: wiped };
            if changes(&wiped) {
                engine::record_act(None, &act, || acts::describe(&act));
            }
            machine::cancel_restarts(wiped);
            machine::wipe(wiped).map_err(|error| ControlError::Disk {
                machine: name(wiped),
                error: error.to_string(),
            })?;
        }
        Ok(())
    }

    /// Runs `future` on a machine as a client: a process of its own beside the services of the machine.
    ///
    /// The process ends with the future. If the future panics, awaiting the handle returns the panic; if the handle was dropped,
    /// the run fails. An unknown machine ends the run with an error that is neither a pass nor a failure.
    #[track_caller]
    pub fn run_on<F>(&self, machine: &str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let at = Location::caller();
        let selector = Selector::from(machine);
        let found = machine::machines(&selector).first().copied();
        if found.is_none() {
            machine::break_run(format!("run_on: {}", no_match(&selector)));
        }
        let step = context::try_with(|engine| engine.step_word()).unwrap_or(0);
        let nth = found.and_then(|machine| {
            with(|world| {
                let count = world.clients.entry((machine, step)).or_default();
                *count += 1;
                *count
            })
        });
        machine::run_client(found, (step, nth.unwrap_or(0)), at, future)
    }

    /// Sets the clock error of all matching machines: the offset of their wall clock, and the drift of both their clocks.
    ///
    /// Code on these machines observes it through [`time`](crate::time) and through std's `Instant` and `SystemTime`.
    /// Pending sleeps, timeouts, intervals, [`work`](crate::task::work) and commits continue at the new speed. The network,
    /// including the timers of TCP, is not affected. [`settle`](Self::settle) resets all clocks.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if no machine matches. [`ControlError::Clock`] if the drift is not between -900,000 and
    /// 9,000,000 ppm, the offset is more than 292 years, or the wall clock would show a time before 1970 or after 2554; then
    /// no clock is changed.
    pub fn set_clock(
        &self,
        selector: impl Into<Selector>,
        clock: ClockSkew,
    ) -> Result<(), ControlError> {
        let selector = selector.into();
        let machines = resolve_machines(&selector)?;
        if let Some(why) = context::try_with(|engine| engine.clock.invalid_reason(clock)).flatten()
        {
            return Err(ControlError::Clock { selector: selector.to_string(), why });
        }
        let changes = |machine: &MachineId| changes_clock(*machine, clock);
        let text = || format!("{}clocks changed", subject(&selector, &machines));
        // Resetting clocks is the counterpart of an earlier fault, so the overlay cannot leave it out.
        if clock == ClockSkew::exact()
            || request_fault(machines.iter().any(&changes), &machines, text)
        {
            for machine in machines {
                if changes(&machine) {
                    let ClockSkew { offset, drift } = clock;
                    let act = Act::Clock { machine, offset, drift };
                    acts::perform(None, &act, || acts::describe(&act));
                }
            }
        }
        Ok(())
    }
}

/// Slow CPUs and stuck clocks.
impl Sim {
    /// Makes the CPUs of the matching machines slow, until [`restore_cpu`](Self::restore_cpu) or
    /// [`settle`](Self::settle): in each `period`, their processes run for `quota`, and are paused for
    /// the rest. This is how Linux limits a container's CPU time (`cpu.max` of cgroups).
    ///
    /// Timers come late, and requests wait. As with [`pause`](Self::pause), the kernel goes on: it
    /// acknowledges what arrives. The test's body is not slowed down. A second call replaces the first.
    ///
    /// ```
    /// # use simmach::prelude::*;
    /// # fn plan(sim: Sim) -> Result {
    /// // Each process runs for a tenth of the time.
    /// sim.slow_cpu("api*", 10.millis(), 100.millis())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if no machine matches, and [`ControlError::Cpu`] if `quota` is zero or
    /// not shorter than `period`.
    pub fn slow_cpu(
        &self,
        selector: impl Into<Selector>,
        quota: Duration,
        period: Duration,
    ) -> Result<(), ControlError> {
        let selector = selector.into();
        let machines = resolve_machines(&selector)?;
        if quota.is_zero() || quota >= period {
            return Err(ControlError::Cpu { selector: selector.to_string(), quota, period });
        }
        let (quota, period) = (nanos(quota), nanos(period));
        for machine in machines {
            let changes = machine::cpu(machine) != Some(CpuQuota { quota, period });
            let act = Act::SlowCpu { machine, quota, period };
            if request_fault(changes, &[machine], || acts::describe(&act)) && changes {
                acts::perform(None, &act, || acts::describe(&act));
            }
        }
        Ok(())
    }

    /// Makes the CPUs of the matching machines as fast as usual.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if no machine matches.
    pub fn restore_cpu(&self, selector: impl Into<Selector>) -> Result<(), ControlError> {
        for machine in resolve_machines(&selector.into())? {
            if machine::cpu(machine).is_some() {
                let act = Act::RestoreCpu { machine };
                acts::perform(None, &act, || acts::describe(&act));
            }
        }
        Ok(())
    }

    /// Has the wall clocks of the matching machines stand still, until [`set_clock`](Self::set_clock) or
    /// [`settle`](Self::settle), while their monotonic clocks go on.
    ///
    /// A guest of an overloaded host may see this, or a program that reads the time from a broken
    /// device. Code that polls the wall clock in a loop without an `await` does not return.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if no machine matches.
    pub fn freeze_clock(&self, selector: impl Into<Selector>) -> Result<(), ControlError> {
        for machine in resolve_machines(&selector.into())? {
            let changes = !is_clock_stuck(machine);
            let act = Act::FreezeClock { machine };
            if request_fault(changes, &[machine], || acts::describe(&act)) && changes {
                acts::perform(None, &act, || acts::describe(&act));
            }
        }
        Ok(())
    }
}

/// Whether the wall clock of a machine stands still.
pub(super) fn is_clock_stuck(machine: MachineId) -> bool {
    context::try_with(|engine| engine.clock.machine_clocks.is_stuck(machine)) == Some(true)
}

/// Has the wall clock of a machine stand still.
pub(super) fn freeze_clock(machine: MachineId, text: impl FnOnce() -> String) {
    let freeze = |engine: &Engine| engine.clock.machine_clocks.freeze(machine, engine.clock.now());
    if context::try_with(freeze) == Some(true) {
        engine::trace(Event::ClockFrozen { machine });
        engine::record_fault(Effect::StuckClock, Some(machine), text);
    }
}

/// Returns the machines of all matching services.
pub(super) fn machines_of(selector: &Selector) -> Vec<MachineId> {
    let mut machines: Vec<_> =
        machine::services(selector).into_iter().map(|service| service.machine).collect();
    machines.dedup();
    machines
}

/// The numbers of those services that are on a machine.
fn numbers_on(machine: MachineId, services: &[ServiceId]) -> Vec<u32> {
    let on = services.iter().filter(|id| id.machine == machine);
    on.map(|id| id.service as u32).collect()
}

/// What a selector matches: services, and machines with their clients.
pub(super) struct Targets {
    services: Vec<ServiceId>,
    /// Machines that match as a whole, and not only by one of their services.
    machines: Vec<MachineId>,
    /// Running clients of these machines, except the body.
    clients: Vec<ProcessId>,
}

pub(super) fn resolve(selector: &Selector) -> Result<Targets, ControlError> {
    let matches_nothing = |one: &Selector| {
        machine::services(one).is_empty() && machine::whole_machines(one).is_empty()
    };
    if let Some(nothing) = selector.each().find(matches_nothing) {
        return Err(no_match(&nothing));
    }
    let machines = machine::whole_machines(selector);
    let clients = machines.iter().copied().flat_map(machine::clients_of).collect();
    Ok(Targets { services: machine::services(selector), machines, clients })
}

impl Targets {
    /// Excludes the body, which must not be ended. Returns an error if only the body matches.
    fn without_body(self) -> Result<Self, ControlError> {
        match machine::body_machine() {
            Some(body)
                if self.machines == [body]
                    && self.services.is_empty()
                    && self.clients.is_empty() =>
            {
                Err(ControlError::Body(name_of(body).unwrap_or_default()))
            }
            Some(_) | None => Ok(self),
        }
    }

    /// Returns the machines of the services, and the machines that have only clients.
    fn affected_machines(&self) -> Vec<MachineId> {
        let mut affected: Vec<_> = self.services.iter().map(|service| service.machine).collect();
        affected.dedup();
        let all = self.machines.iter().copied();
        affected.extend(all.filter(|machine| {
            machine::services_of(*machine).is_empty() && !machine::clients_of(*machine).is_empty()
        }));
        affected
    }

    /// The same processes by machine.
    fn processes(&self) -> Vec<Processes> {
        let mut machines: Vec<_> = self.services.iter().map(|service| service.machine).collect();
        machines.extend(&self.machines);
        machines.sort_unstable();
        machines.dedup();
        let on = |machine| Processes {
            machine,
            services: numbers_on(machine, &self.services),
            clients: self.machines.contains(&machine),
        };
        machines.into_iter().map(on).collect()
    }

    fn is_running(&self) -> bool {
        let mut services = self.services.iter();
        !self.clients.is_empty() || services.any(|id| machine::process_of(*id).is_some())
    }

    /// Marks the services to stay down, and returns all processes that the caller must end.
    fn take_down(self) -> Vec<ProcessId> {
        let mut running = machine::mark_down(&self.services, None);
        running.extend(self.clients);
        running
    }
}

/// Whether any of these machines would be down if the overlay had not left a fault out.
pub(super) fn are_spared(machines: &[MachineId]) -> bool {
    let are = with(|world| machines.iter().any(|machine| world.spared.contains(machine)));
    are.unwrap_or(false)
}

/// An error if a process runs on one of these machines.
pub(super) fn check_unused(machines: &[MachineId]) -> Result<(), ControlError> {
    let name = |machine| name_of(machine).unwrap_or_default();
    for machine in machines.iter().copied() {
        if machine::has_running_service(machine) {
            return Err(ControlError::InUse(name(machine)));
        } else if !machine::clients_of(machine).is_empty() {
            return Err(ControlError::ClientRuns(name(machine)));
        } else if machine::body_machine() == Some(machine) {
            return Err(ControlError::Body(name(machine)));
        }
    }
    Ok(())
}

pub(super) fn resolve_machines(selector: &Selector) -> Result<Vec<MachineId>, ControlError> {
    match selector.each().find(|one| machine::machines(one).is_empty()) {
        Some(none) => Err(no_match(&none)),
        None => Ok(machine::machines(selector)),
    }
}

/// Sets the clocks of one machine. Each change is recorded as a fault, except a reset to exact clocks. Returns false if
/// nothing changed.
pub(super) fn set_clock(machine: MachineId, clock: ClockSkew) -> bool {
    let changed = context::try_with(|engine| engine.set_clock(machine, clock));
    let Some(changed) = changed.flatten() else { return false };
    let (step, drift) = (changed.step as i64, clock.drift);
    engine::trace(Event::ClockSet { machine, step, drift });
    if clock == ClockSkew::exact() {
        log::write_line(Level::Fault, machine, || "clocks reset".to_owned());
        return true;
    }
    let by = changed.step.unsigned_abs();
    let by = Duration::new((by / 1_000_000_000) as u64, (by % 1_000_000_000) as u32);
    if changed.step > 0 {
        engine::record_fault(Effect::ClockStep, Some(machine), || {
            format!("wall clock jumps ahead by {by:?}")
        });
    } else if changed.step < 0 {
        engine::record_fault(Effect::ClockStep, Some(machine), || {
            format!("wall clock jumps back by {by:?}")
        });
    }
    if let Some(ppm) = changed.drift {
        engine::record_fault(Effect::ClockDrift, Some(machine), || {
            format!("clocks drift by {ppm} ppm")
        });
    }
    true
}

/// Whether the clocks of a machine are exact.
pub(crate) fn has_exact_clocks(machine: MachineId) -> bool {
    !changes_clock(machine, ClockSkew::exact())
}

/// Whether setting the clocks of a machine would change them.
pub(super) fn changes_clock(machine: MachineId, skew: ClockSkew) -> bool {
    let change = |engine: &Engine| {
        engine.clock.machine_clocks.change(machine, engine.clock.now(), skew).is_some()
    };
    context::try_with(change) == Some(true)
}

/// Returns the selector and a space; empty if the selector names exactly the machine with which the log line begins.
fn subject(selector: &Selector, machines: &[MachineId]) -> String {
    let selector = selector.to_string();
    match machines {
        [one] if name_of(*one).as_ref() == Some(&selector) => String::new(),
        _ => format!("{selector} "),
    }
}

pub(crate) fn name_of(machine: MachineId) -> Option<String> {
    context::try_with(|engine| engine.name(machine)).flatten()
}

pub(super) fn no_match(selector: &Selector) -> ControlError {
    let known = machine::machines(&Selector::all()).into_iter().filter_map(name_of);
    ControlError::NoMatch {
        selector: selector.to_string(),
        known: known.collect::<Vec<_>>().join(", "),
    }
}
