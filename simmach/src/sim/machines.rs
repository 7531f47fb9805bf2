//! The control of machines: up and down, their clients, their clocks.

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use crate::engine::context::{self, Engine};
use crate::engine::record::log::{self, Level};
use crate::engine::time::machine_clocks::ClockSkew;
use crate::engine::{self, Effect, Event, MachineId, ProcessId};
use crate::machine::{self, Selector, ServiceId};
use crate::sim::world::{may_act, spare, unspare, with};
use crate::sim::{ControlError, Sim};
use crate::storage;
use crate::task::JoinHandle;

impl Sim {
    /// The names of the machines that a selector means, in the order of the topology.
    pub fn machines(&self, selector: impl Into<Selector>) -> Vec<String> {
        let machines = machine::machines(&selector.into());
        machines.into_iter().filter_map(name_of).collect()
    }

    /// True if any service that is meant runs.
    pub fn is_up(&self, selector: impl Into<Selector>) -> bool {
        machine::services(&selector.into())
            .into_iter()
            .any(|service| machine::process_of(service).is_some())
    }

    /// Starts what is down, and gives its machine power. A machine without services is given power only: its clients are
    /// the test's to run again.
    ///
    /// # Errors
    ///
    /// When nothing has such a name, or all that have are running.
    pub fn start(&self, selector: impl Into<Selector>) -> Result<(), ControlError> {
        let selector = selector.into();
        let Meant { mut services, mut machines, .. } = meant(&selector)?;
        services.retain(|service| machine::process_of(*service).is_none());
        machines.retain(|machine| !machine::has_power(*machine));
        if services.is_empty() && machines.is_empty() {
            return match unspare(&machines_of(&selector)) {
                true => Ok(()),
                false => Err(ControlError::AlreadyRunning(selector.to_string())),
            };
        }
        services.into_iter().for_each(machine::start);
        for machine in machines {
            machine::power_on(machine);
        }
        Ok(())
    }

    /// Tells services, and the clients of whole machines, to stop, and waits for it; what is not over after `grace`
    /// ([`GRACE`](crate::GRACE) is a usual one) is killed. What is down stays so, also what was to be restarted after a crash, or by a
    /// plan. The test's body goes on.
    ///
    /// # Errors
    ///
    /// When nothing has such a name, and when the test's body is all that has.
    pub async fn stop(
        &self,
        selector: impl Into<Selector>,
        grace: Duration,
    ) -> Result<(), ControlError> {
        let selector = selector.into();
        let meant = meant(&selector)?.but_the_body()?;
        let machines = meant.hit();
        if may_act(meant.runs(), &machines, || {
            format!("{}told to stop", subject(&selector, &machines))
        }) {
            machine::stop(meant.take(), grace).await;
        } else {
            spare(machines);
        }
        Ok(())
    }

    /// Ends services, and the clients of whole machines, now; their kernels close their sockets. What is down stays so,
    /// also what was to be restarted after a crash, or by a plan. The test's body goes on.
    ///
    /// # Errors
    ///
    /// When nothing has such a name, and when the test's body is all that has.
    pub fn kill(&self, selector: impl Into<Selector>) -> Result<(), ControlError> {
        let selector = selector.into();
        let meant = meant(&selector)?.but_the_body()?;
        let machines = meant.hit();
        if may_act(meant.runs(), &machines, || format!("{}killed", subject(&selector, &machines))) {
            meant.take().into_iter().for_each(machine::kill);
        } else {
            spare(machines);
        }
        Ok(())
    }

    /// Takes machines' power: nothing is sent, and what was not durable is lost. What has none stays so.
    ///
    /// # Errors
    ///
    /// When no machine has such a name, and when the test's body runs on one.
    pub fn power_off(&self, selector: impl Into<Selector>) -> Result<(), ControlError> {
        let meant = machines(&selector.into())?;
        if let Some(body) = with(|world| world.body).filter(|body| meant.contains(body)) {
            return Err(ControlError::Body(name_of(body).unwrap_or_default()));
        }
        for machine in meant {
            let has_power = machine::has_power(machine);
            if may_act(has_power, &[machine], || "loses power".to_owned()) {
                machine::take_power(machine, None);
            } else {
                spare(vec![machine]);
            }
        }
        Ok(())
    }

    /// Deletes what machines' disks hold. A restart that is due there after a crash is cancelled.
    ///
    /// # Errors
    ///
    /// When no machine has such a name, when a service, a client or the test's body is running on one, and when a disk
    /// can't be deleted.
    pub fn wipe(&self, selector: impl Into<Selector>) -> Result<(), ControlError> {
        let meant = machines(&selector.into())?;
        let name = |machine| name_of(machine).unwrap_or_default();
        let spared = |machine: &MachineId| with(|world| world.spared.contains(machine));
        if meant.iter().any(|machine| spared(machine) == Some(true)) {
            may_act(false, &meant, String::new);
            return Ok(());
        }
        for machine in meant.iter().copied() {
            if machine::serves(machine) {
                return Err(ControlError::InUse(name(machine)));
            } else if !machine::clients_of(machine).is_empty() {
                return Err(ControlError::ClientRuns(name(machine)));
            } else if machine::body() == Some(machine) {
                return Err(ControlError::Body(name(machine)));
            }
        }
        let wiped = || meant.iter().filter_map(|machine| name_of(*machine)).collect::<Vec<_>>();
        let changes =
            |machine: &MachineId| !storage::is_empty(*machine) || machine::awaits_restart(*machine);
        let text = || match meant[..] {
            [_] => "disk wiped".to_owned(),
            _ => format!("disks of {} wiped", wiped().join(", ")),
        };
        if !may_act(meant.iter().any(changes), &meant, text) {
            return Ok(());
        }
        for wiped in meant {
            machine::cancel_restarts(wiped);
            machine::wipe(wiped).map_err(|error| ControlError::Disk {
                machine: name(wiped),
                error: error.to_string(),
            })?;
        }
        Ok(())
    }

    /// Runs `future` on a machine, as a process of its own beside its services: one more client. It ends when it is
    /// done; a panic is the handle's, or the run's if nobody awaits that. A machine that isn't there breaks the run.
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
            machine::misuse(format!("run_on: {}", no_match(&selector)));
        }
        let nth = found.and_then(|machine| {
            with(|world| {
                let count = world.clients.entry(machine).or_default();
                *count += 1;
                *count
            })
        });
        machine::run_client(found, nth.unwrap_or(0), at, future)
    }

    /// Sets the clocks of machines, from now on: how far the wall clock is off, and how fast both run. What runs there sees
    /// it in [`time`](crate::time) and in std's `Instant` and `SystemTime`; [`settle`](Self::settle) sets all right again.
    ///
    /// What waits there already (sleeps, timeouts, intervals, work, commits) goes on by the new speed. The network, TCP's
    /// timers among it, goes by true time.
    ///
    /// # Errors
    ///
    /// When no machine has such a name, and when no clock can be set like this: a drift is from -900,000 to 9,000,000 millionths,
    /// and a wall clock is off by 292 years at most and shows a time from 1970 to 2554. Then no clock is set.
    pub fn set_clock(
        &self,
        selector: impl Into<Selector>,
        clock: ClockSkew,
    ) -> Result<(), ControlError> {
        let selector = selector.into();
        let machines = machines(&selector)?;
        if let Some(why) = context::try_with(|engine| engine.clock.invalid_reason(clock)).flatten()
        {
            return Err(ControlError::Clock { selector: selector.to_string(), why });
        }
        let changes = |machine: &MachineId| {
            let change = |engine: &Engine| {
                engine.clock.machine_clocks.change(*machine, engine.clock.now(), clock).is_some()
            };
            context::try_with(change) == Some(true)
        };
        let text = || format!("{}clocks changed", subject(&selector, &machines));
        // To set them right is the counterpart of what set them wrong.
        if clock == ClockSkew::exact() || may_act(machines.iter().any(changes), &machines, text) {
            for machine in machines {
                set_clock(machine, clock);
            }
        }
        Ok(())
    }
}

/// The machines of what a selector means, services too.
pub(super) fn machines_of(selector: &Selector) -> Vec<MachineId> {
    let mut machines: Vec<_> =
        machine::services(selector).into_iter().map(|service| service.machine).collect();
    machines.dedup();
    machines
}

/// What a selector means that can be started and ended.
pub(super) struct Meant {
    services: Vec<ServiceId>,
    /// Those that are meant as a whole.
    machines: Vec<MachineId>,
    /// Those that run there, but for the body.
    clients: Vec<ProcessId>,
}

pub(super) fn meant(selector: &Selector) -> Result<Meant, ControlError> {
    let is_nothing = |one: &Selector| {
        machine::services(one).is_empty() && machine::whole_machines(one).is_empty()
    };
    if let Some(nothing) = selector.each().find(is_nothing) {
        return Err(no_match(&nothing));
    }
    let machines = machine::whole_machines(selector);
    let clients = machines.iter().copied().flat_map(machine::clients_of).collect();
    Ok(Meant { services: machine::services(selector), machines, clients })
}

impl Meant {
    /// The body is not ended: to mean it alone is a mistake.
    fn but_the_body(self) -> Result<Self, ControlError> {
        match machine::body() {
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

    /// The machines of its services, and those that have clients only.
    fn hit(&self) -> Vec<MachineId> {
        let mut hit: Vec<_> = self.services.iter().map(|service| service.machine).collect();
        hit.dedup();
        let all = self.machines.iter().copied();
        hit.extend(all.filter(|machine| {
            machine::services_of(*machine).is_empty() && !machine::clients_of(*machine).is_empty()
        }));
        hit
    }

    fn runs(&self) -> bool {
        let mut services = self.services.iter();
        !self.clients.is_empty() || services.any(|id| machine::process_of(*id).is_some())
    }

    /// All that runs of it is to end and to stay down.
    fn take(self) -> Vec<ProcessId> {
        let mut running = machine::take(&self.services, None);
        running.extend(self.clients);
        running
    }
}

pub(super) fn machines(selector: &Selector) -> Result<Vec<MachineId>, ControlError> {
    match selector.each().find(|one| machine::machines(one).is_empty()) {
        Some(none) => Err(no_match(&none)),
        None => Ok(machine::machines(selector)),
    }
}

/// Sets one machine's clocks; what it changed is a fault, unless it sets them right. False if they are so already.
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

/// The selector and a space, or nothing if it names the one machine that stands in front of the line.
fn subject(selector: &Selector, machines: &[MachineId]) -> String {
    let selector = selector.to_string();
    match machines {
        [one] if name_of(*one).as_ref() == Some(&selector) => String::new(),
        _ => format!("{selector} "),
    }
}

pub(super) fn name_of(machine: MachineId) -> Option<String> {
    context::try_with(|engine| engine.name(machine)).flatten()
}

pub(super) fn no_match(selector: &Selector) -> ControlError {
    let known = machine::machines(&Selector::all()).into_iter().filter_map(name_of);
    ControlError::NoMatch {
        selector: selector.to_string(),
        known: known.collect::<Vec<_>>().join(", "),
    }
}
