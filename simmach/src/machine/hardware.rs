//! What differs between the machines of a run: when they boot, and how fast their oscillators run.
//!
//! If all machines booted at the same moment and all clocks ran equally fast, machines with the same program would stay in
//! lockstep. Programs that check their timeouts periodically would all do so at the same moment, so that the candidates of
//! an election, for example, would split the votes in each round. And no service would ever start before another one. On
//! real hardware, boot times and clock rates differ. So for machines of guests the seed draws:
//!
//! - *The boot delay*: until then, the machine has no power, and packets to it are lost. A service that connects to it sends
//!   its SYN again, as to a real machine that boots. The test's body, its clients and the plans begin when all machines have
//!   booted, so a body that connects at once succeeds. Only the services see that some machines boot later. If only
//!   one machine has services, a delay would have no effect, so none is drawn.
//! - *The error of the oscillator*: both clocks of the machine are a little fast or slow. The machine of the test's body has
//!   an exact oscillator, so times that the body measures agree with `Sim::elapsed`.
//!
//! The calm value of both is none. Native machines have neither, and a test can declare that its hardware is identical.

use std::time::Duration;

use crate::engine::context::{self, Engine};
use crate::engine::draws::address::Address;
use crate::engine::draws::unit_of;
use crate::engine::time::timer_info::TimerInfo;
use crate::engine::{self, Action, MachineId, TimerKey};
use crate::machine::start::start_in_order;
use crate::machine::{Machines, services_of, with};
use crate::net;

/// The part of the runs in which machines boot at different times. In the other runs, all boot at once: that also happens,
/// when the power returns after a power cut.
const DELAYED_RUNS: f64 = 0.75;
/// The part of the machines that boot later, in such a run. The others boot at its start, some of them at the same moment.
const DELAYED_MACHINES: f64 = 0.75;
/// Number of boot delays from which one is drawn.
const DELAYS: u64 = 1_000;
/// Nanoseconds by which the boot delay grows with the square of the number drawn, so that the longest is 50 ms. Half of the
/// delays are shorter than 12.5 ms, and one in seven is shorter than 1 ms. So they range from the latency of a local network
/// to half of an ordinary tick of 100 ms, and the body waits for a short time only.
const DELAY_UNIT: u64 = 50;

/// The largest error of an oscillator, in parts per million. In a survey of about 20,000 hosts on the Internet, the median
/// error was 78 ppm (D. L. Mills, *Computer Network Time Synchronization*, CRC Press, 2006).
const MAX_ERROR: f64 = 100.0;

/// Draws what differs between the machines, at the start of a run: sets their oscillators, and takes the power of those that
/// boot later. `body` is the machine of the test's body.
pub(crate) fn vary(body: MachineId) {
    let varied = with(|machines| {
        let numbered = (0..).map(MachineId).zip(&machines.all);
        let varied = numbered.filter(|(_, machine)| machine.is_varied);
        varied
            .map(|(id, machine)| (id, machine.name.word(), !machine.services.is_empty()))
            .collect()
    });
    let varied: Vec<(MachineId, u64, bool)> = varied.unwrap_or_default();
    if varied.is_empty() {
        return;
    }
    context::try_with(|engine| {
        for (machine, name, _) in varied.iter().filter(|(machine, ..)| *machine != body) {
            let unit = engine.unit(Address::oscillator(*name));
            let error = ((unit - 0.5) * 2.0 * MAX_ERROR).round() as i32;
            if error != 0 {
                engine.clock.machine_clocks.set_oscillator(*machine, error);
            }
        }
        // Whether machines boot later belongs to the seed: an overlay makes each delay calm.
        let is_delayed = unit_of(Some(engine.draws.setting(Address::boot(0)))) < DELAYED_RUNS;
        if is_delayed && with(|machines| machines.serving()) > Some(1) {
            for (machine, name, _) in varied.iter().filter(|(.., has_services)| *has_services) {
                delay(engine, *machine, *name);
            }
        }
    });
}

/// Draws the boot delay of a machine.
fn delay(engine: &Engine, machine: MachineId, name: u64) {
    let drawn = engine.sometimes(Address::boot(name), DELAYED_MACHINES, DELAYS);
    if drawn == 0 {
        return;
    }
    let delay = drawn * drawn * DELAY_UNIT;
    engine.record(|recorder| {
        let delay = Duration::from_nanos(delay);
        recorder.describe_boot(machine, || format!("boots {delay:.1?} after the start of the run"));
    });
    let timer = engine.arm(delay, Action::Call(boot, machine.0.into(), 0));
    net::control::set_power(machine, false);
    with(|machines| {
        let machine = &mut machines.all[machine.0 as usize];
        (machine.powered, machine.boot) = (false, Some(timer));
    });
}

/// The timer of a boot: starts the services of the machine. The first of them turns on its power.
fn boot(machine: u64, _: u64) {
    let machine = MachineId(machine as u32);
    with(|machines| machines.all[machine.0 as usize].boot = None);
    start_in_order(services_of(machine));
}

/// Ends the boot of a machine that loses its power meanwhile.
pub(super) fn cancel_boot(machine: MachineId) {
    let timer = with(|machines| machines.all[machine.0 as usize].boot.take()).flatten();
    drop(timer.and_then(engine::cancel));
}

/// Whether any machine has not booted yet.
pub(crate) fn is_any_booting() -> bool {
    with(|machines| machines.booting(|_| true).is_some()).unwrap_or(false)
}

/// A pending boot will be progress, so the run does not count as stalled.
pub(super) const TIMER_INFO: TimerInfo = TimerInfo {
    prevents_stall: is_any_booting,
    describe: |timer| {
        let booting = |machines: &mut Machines| {
            let machine = machines.booting(|boot| boot == timer)?;
            Some(format!("{} boots", machines.all[machine.0 as usize].name))
        };
        with(booting).flatten()
    },
};

impl Machines {
    /// A machine that is booting and whose timer matches.
    fn booting(&self, which: impl Fn(TimerKey) -> bool) -> Option<MachineId> {
        let numbered = (0..).map(MachineId).zip(&self.all);
        let mut booting = numbered.filter(|(_, machine)| machine.boot.is_some_and(&which));
        booting.next().map(|(id, _)| id)
    }

    /// Number of machines that have services.
    fn serving(&self) -> usize {
        self.all.iter().filter(|machine| !machine.services.is_empty()).count()
    }
}
