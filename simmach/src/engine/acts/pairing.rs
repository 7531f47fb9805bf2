//! Matches repairs with the faults that they undo: a fault is left out together with its repairs.

use crate::engine::acts::{Act, LinkPaths, RecordedAct, Repair, TimedAct};
use crate::engine::ids::MachineId;

/// Attaches each repair to the faults that it undoes. A repair that undoes several faults is
/// attached to each of them; if it is carried out twice, the second time has no effect. A repair
/// that undoes no fault becomes a separate act.
pub(super) fn pair(recorded: &[RecordedAct]) -> Vec<TimedAct> {
    let mut timed: Vec<TimedAct> = Vec::new();
    // The faults that later repairs may undo, as indices of `recorded` and `timed`.
    let mut open: Vec<(usize, usize)> = Vec::new();
    for (index, one) in recorded.iter().enumerate() {
        if let Act::EndStop { machine } = &one.act {
            let stops = open.iter().rev().map(|(_, fault)| *fault);
            let stop =
                stops.into_iter().find(|fault| stopped(&timed[*fault].act) == Some(*machine));
            if let Some(Act::Stop { end_place, .. }) = stop.map(|stop| &mut timed[stop].act) {
                *end_place = one.when.place;
            }
            continue;
        }
        let mut is_repair = false;
        if one.act.is_fault() {
            open.retain(|(of, _)| !takes_down_again(&one.act, &recorded[*of].act));
        } else {
            open.retain(|(of, fault)| {
                let undone = &recorded[*of];
                if !undoes(one, undone) {
                    return true;
                }
                is_repair = true;
                timed[*fault].repairs.push(Repair {
                    owner: one.owner,
                    after: one.at - undone.at,
                    place: one.when.place,
                    act: one.act.clone(),
                });
                // A fault that was partly undone may be undone further.
                !undoes_all(&one.act, &undone.act)
            });
        }
        if !is_repair {
            open.extend(one.act.is_fault().then_some((index, timed.len())));
            timed.push(TimedAct {
                id: index as u32,
                owner: one.owner,
                when: one.when,
                act: one.act.clone(),
                repairs: Vec::new(),
            });
        }
    }
    timed
}

/// Whether a repair undoes an earlier fault, or a part of it.
fn undoes(repair: &RecordedAct, fault: &RecordedAct) -> bool {
    let is_same_owner = repair.owner == fault.owner;
    match (&repair.act, &fault.act) {
        (Act::Settle, Act::Wipe { .. } | Act::Restore { .. }) => false,
        (Act::Settle, _) => true,
        (Act::Start { machine, .. }, other) => down(other) == Some(*machine),
        (Act::Resume { machine }, Act::Pause { machine: paused }) => machine == paused,
        (Act::Heal { from, to, both_ways }, Act::Partition { from: a, to: b, both_ways: both }) => {
            let straight = overlap(from, a) && overlap(to, b);
            let across = overlap(from, b) && overlap(to, a);
            is_same_owner && (straight || (*both_ways || *both) && across)
        }
        (Act::HealAll, Act::Partition { .. }) => true,
        (Act::Unclog { from, to }, Act::Clog { from: a, to: b }) => {
            overlap(from, a) && overlap(to, b)
        }
        (Act::Link { paths, .. }, Act::Link { paths: changed, .. }) => match (paths, changed) {
            (LinkPaths::Machines { from, to }, LinkPaths::Machines { from: a, to: b }) => {
                overlap(from, a) && overlap(to, b)
            }
            (one, other) => one == other,
        },
        (
            Act::Clock { machine, .. },
            Act::Clock { machine: set, .. } | Act::FreezeClock { machine: set },
        ) => machine == set,
        (Act::RestoreCpu { machine }, Act::SlowCpu { machine: slow, .. }) => machine == slow,
        (Act::RepairDisk { machine }, Act::BreakDisk { machine: broken, .. }) => machine == broken,
        (
            Act::EndDiskFault { machine, fault },
            Act::BreakDisk { machine: broken, fault: other },
        ) => (machine, fault) == (broken, other),
        (Act::CancelPowerOff { machine }, Act::PowerOffAtCall { machine: fails, .. }) => {
            is_same_owner && machine == fails
        }
        (Act::EndFilter { number }, Act::Filter { number: added, .. }) => number == added,
        (Act::EndImpairment { number }, Act::Impair { number: begun, .. }) => number == begun,
        (Act::EndOwn { number }, Act::Own { number: begun, .. }) => number == begun,
        _ => false,
    }
}

/// Whether a repair undoes a fault completely.
fn undoes_all(repair: &Act, fault: &Act) -> bool {
    let covers = |all: &[MachineId], some: &[MachineId]| some.iter().all(|one| all.contains(one));
    match (repair, fault) {
        (Act::Heal { from, to, .. }, Act::Partition { from: a, to: b, .. })
        | (Act::Unclog { from, to }, Act::Clog { from: a, to: b }) => {
            covers(from, a) && covers(to, b) || covers(from, b) && covers(to, a)
        }
        // Services may be started one by one.
        (Act::Start { .. }, _) => false,
        _ => true,
    }
}

/// Whether a fault takes down a machine that an earlier one took down: it has been started since then, or is down further.
fn takes_down_again(fault: &Act, earlier: &Act) -> bool {
    down(fault).is_some() && down(fault) == down(earlier)
}

/// The machine on which an act stops processes.
fn stopped(act: &Act) -> Option<MachineId> {
    match act {
        Act::Stop { who, .. } => Some(who.machine),
        _ => None,
    }
}

/// The machine that an act takes down, or on which it takes a process down.
fn down(act: &Act) -> Option<MachineId> {
    match act {
        Act::Stop { who, .. } | Act::Kill { who } => Some(who.machine),
        Act::PowerOff { machine } | Act::PowerOffAtCall { machine, .. } => Some(*machine),
        _ => None,
    }
}

fn overlap(some: &[MachineId], others: &[MachineId]) -> bool {
    some.iter().any(|one| others.contains(one))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::acts::{DiskFault, Processes, When};

    fn recorded(acts: &[(u64, Act)]) -> Vec<RecordedAct> {
        let one = |(at, act): &(u64, Act)| RecordedAct {
            at: *at,
            owner: None,
            when: When { offset: *at, ..When::default() },
            act: act.clone(),
        };
        acts.iter().map(one).collect()
    }

    fn repairs(acts: &[(u64, Act)]) -> Vec<(u32, Vec<u64>)> {
        let paired = pair(&recorded(acts));
        let after = |timed: &TimedAct| timed.repairs.iter().map(|repair| repair.after).collect();
        paired.iter().map(|timed| (timed.id, after(timed))).collect()
    }

    const M: [MachineId; 3] = [MachineId(0), MachineId(1), MachineId(2)];

    fn start(machine: MachineId) -> Act {
        Act::Start { machine, services: vec![0] }
    }

    fn kill(machine: MachineId) -> Act {
        Act::Kill { who: Processes { machine, services: vec![0], clients: false } }
    }

    #[test]
    fn start_repairs_what_took_its_machine_down_last() {
        let [a, b, _] = M;
        let off = |machine| Act::PowerOff { machine };
        assert_eq!(
            repairs(&[(1, off(a)), (2, kill(b)), (4, start(a)), (7, start(b)), (9, off(a))]),
            [(0, vec![3]), (1, vec![5]), (4, vec![])]
        );
        assert_eq!(
            repairs(&[(1, off(a)), (4, start(a)), (5, kill(a)), (8, start(a))]),
            [(0, vec![3]), (2, vec![3])]
        );
        assert_eq!(repairs(&[(4, start(a))]), [(0, vec![])], "it repairs nothing");
    }

    #[test]
    fn heal_repairs_the_partitions_that_it_joins() {
        let [a, b, c] = M.map(|machine| vec![machine]);
        let cut = |from: &[MachineId], to: &[MachineId]| Act::Partition {
            from: from.to_vec(),
            to: to.to_vec(),
            both_ways: true,
        };
        let heal = |from: &[MachineId], to: &[MachineId]| Act::Heal {
            from: from.to_vec(),
            to: to.to_vec(),
            both_ways: true,
        };
        let both = [c.clone(), b.clone()].concat();
        assert_eq!(
            repairs(&[(1, cut(&a, &both)), (3, heal(&b, &a)), (4, heal(&a, &c))]),
            [(0, vec![2, 3])]
        );
        assert_eq!(
            repairs(&[(1, cut(&a, &b)), (2, heal(&a, &b)), (3, cut(&a, &b)), (7, Act::HealAll)]),
            [(0, vec![1]), (2, vec![4])]
        );
        assert_eq!(repairs(&[(1, cut(&a, &b)), (2, heal(&a, &c))]), [(0, vec![]), (1, vec![])]);
    }

    #[test]
    fn repaired_disk_ends_all_its_faults() {
        let [a, b, _] = M;
        let fault = |machine, fault| Act::BreakDisk { machine, fault };
        let acts = [
            (1, fault(a, DiskFault::Full)),
            (2, fault(b, DiskFault::Reads)),
            (3, fault(a, DiskFault::NextSync)),
            (7, Act::RepairDisk { machine: a }),
            (8, Act::PowerOffAtCall { machine: b, calls: 3 }),
            (9, start(b)),
        ];
        assert_eq!(repairs(&acts), [(0, vec![6]), (1, vec![]), (2, vec![4]), (4, vec![1])]);
    }

    #[test]
    fn settle_repairs_everything_but_a_wipe() {
        let [a, b, _] = M;
        let acts = [
            (1, kill(a)),
            (2, Act::Wipe { machine: a }),
            (3, kill(b)),
            (5, Act::Settle),
            (6, start(a)),
        ];
        assert_eq!(repairs(&acts), [(0, vec![4]), (1, vec![]), (2, vec![2]), (4, vec![])]);
    }
}
