//! Faults of disks. They concern the files of the victims; [`FullDisk`] concerns their stores, too.

use crate::chaos::fault::Fault;
use crate::chaos::faults::machines::is_not_the_body;
use crate::chaos::hit::Hit;
use crate::engine::acts::DiskFault;
use crate::machine;
use crate::sim::ControlError;

/// Makes the next sync of a file fail with `EIO` on each victim, as
/// [`Sim::fail_sync`](crate::Sim::fail_sync) does. A victim that syncs nothing until the fault is
/// undone is not affected.
#[derive(Clone, Copy, Debug)]
pub struct FailSync;

/// Makes all reads of files fail with `EIO` on the victims, as
/// [`Sim::fail_reads`](crate::Sim::fail_reads) does.
#[derive(Clone, Copy, Debug)]
pub struct FailReads;

/// Makes all changes and syncs of files fail with `EIO` on the victims, as
/// [`Sim::fail_writes`](crate::Sim::fail_writes) does.
#[derive(Clone, Copy, Debug)]
pub struct FailWrites;

/// Fills the disks of the victims, as [`Sim::fill_disk`](crate::Sim::fill_disk) does. Afterwards, the
/// space is free again.
#[derive(Clone, Copy, Debug)]
pub struct FullDisk;

/// Stalls the disks of the victims, as [`Sim::stall_disk`](crate::Sim::stall_disk) does. The calls
/// return when the fault is undone.
#[derive(Clone, Copy, Debug)]
pub struct StallDisk;

/// Powers the victims off in the middle of one of their next calls that change or sync files, as
/// [`Sim::power_off_at_call`](crate::Sim::power_off_at_call) does. Later, it restores their power and
/// starts their services.
///
/// A victim that makes too few calls until then keeps its power. The machine of the test's body is
/// never hit.
#[derive(Clone, Copy, Debug)]
pub struct PowerOffInCall {
    calls: u64,
}

impl PowerOffInCall {
    /// Each strike draws one of the next `calls` calls. `calls` must be at least 1.
    pub fn within(calls: u64) -> Self {
        Self { calls }
    }
}

/// Implements a fault that consists of one fault of a disk. `$begin` is the method of `Sim`.
macro_rules! disk_fault {
    ($fault:ident, $kind:expr, $begin:ident) => {
        impl Fault for $fault {
            fn name(&self) -> &str {
                stringify!($fault)
            }

            fn begin(&self, hit: &Hit) -> Result<(), ControlError> {
                hit.sim().$begin(hit.victims())
            }

            fn end(&self, hit: &Hit) -> Result<(), ControlError> {
                hit.sim().end_disk_fault(&hit.victims(), $kind)
            }

            fn is_made_of_calls(&self) -> bool {
                true
            }

            /// Returns false if the test or another strike has given the disk this fault.
            fn can_hit(&self, machine: &str) -> bool {
                let mut machines = machine::machines(&machine.into()).into_iter();
                machines.all(|machine| !machine::has_disk_fault(machine, Some($kind)))
            }
        }
    };
}

disk_fault!(FailSync, DiskFault::NextSync, fail_sync);
disk_fault!(FailReads, DiskFault::Reads, fail_reads);
disk_fault!(FailWrites, DiskFault::Writes, fail_writes);
disk_fault!(FullDisk, DiskFault::Full, fill_disk);
disk_fault!(StallDisk, DiskFault::Stall, stall_disk);

/// The number of the draw that selects the call.
const CALL: u32 = 0;

impl Fault for PowerOffInCall {
    fn name(&self) -> &str {
        "PowerOffInCall"
    }

    fn begin(&self, hit: &Hit) -> Result<(), ControlError> {
        let calls = 1 + hit.below(CALL, self.calls);
        if let Some(strike) = hit.strike() {
            hit.victim_ids().iter().for_each(|victim| strike.take_power_at_call(*victim, calls));
        }
        Ok(())
    }

    fn end(&self, hit: &Hit) -> Result<(), ControlError> {
        if let Some(strike) = hit.strike() {
            hit.victim_ids().iter().for_each(|victim| strike.keep_power(*victim));
            strike.restore();
        }
        Ok(())
    }

    fn is_made_of_calls(&self) -> bool {
        true
    }

    /// Returns false if the power of the machine is to fail already, because of the test or another
    /// strike.
    fn can_hit(&self, machine: &str) -> bool {
        let mut machines = machine::machines(&machine.into()).into_iter();
        is_not_the_body(machine) && machines.all(|machine| !machine::awaits_power_off(machine))
    }

    fn mistakes(&self) -> Vec<String> {
        let mistake = || "`PowerOffInCall::within` must be at least 1 call, got 0".to_owned();
        (self.calls == 0).then(mistake).into_iter().collect()
    }
}
