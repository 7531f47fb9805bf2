//! Faults of disks.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::chaos::Budget;
use crate::faults::{FailReads, FailSync, FailWrites, FullDisk, PowerOffInCall, StallDisk};
use crate::run::tests::faults::*;

/// What one round of [`uses_files`] found: the time in milliseconds, and the errors of its write, its sync and its read.
type Round = (u64, [i32; 3]);

#[derive(Default)]
struct Rounds(RefCell<Vec<Round>>);

impl Rounds {
    fn at(&self, errors: [i32; 3]) -> Vec<u64> {
        let all = self.0.borrow();
        all.iter().filter(|round| round.1 == errors).map(|round| round.0).collect()
    }
}

/// Every 10 ms from 5 ms on, writes a new page of a file, syncs the file and reads from it.
async fn uses_files() {
    let file = File::options().create(true).read(true).write(true).truncate(true).open("f");
    let file = file.expect("the disk is sound at first");
    sleep(5.millis()).await;
    for page in 0.. {
        let errors = [
            file.write_all_at(b"x", page * 4096),
            file.sync_all(),
            file.read_exact_at(&mut [0], 0),
        ];
        let errors =
            errors.map(|done| done.map_or_else(|error| error.raw_os_error().unwrap_or(-1), |()| 0));
        Sim::current().state::<Rounds>().0.borrow_mut().push((now(), errors));
        sleep(10.millis()).await;
    }
}

/// Strikes once, and returns the rounds of a run of 505 ms.
fn rounds(plan: fn() -> FaultPlan) -> (Outcome, Rounds) {
    static SEEN: Mutex<Vec<Round>> = Mutex::new(Vec::new());
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let ran = repeats(3, move || {
        SpecBuilder::new().machine("kv1", uses_files).plan(plan()).body(async |sim: Sim| {
            sleep(500.millis()).await;
            let rounds = sim.state::<Rounds>();
            sim.log(format!("{:?}", rounds.0.borrow()));
            SEEN.lock().expect("no panic").clone_from(&rounds.0.borrow());
        })
    });
    let seen = SEEN.lock().expect("no panic").clone();
    (ran, Rounds(RefCell::new(seen)))
}

const WHILE_IT_LASTS: std::ops::Range<u64> = 100..300;

fn every_round(within: std::ops::Range<u64>) -> Vec<u64> {
    (5..500).step_by(10).filter(|at| within.contains(at)).collect()
}

#[test]
fn disk_fails_while_the_fault_lasts() {
    use libc::{EIO, ENOSPC};
    let failing: [(MakePlan, [i32; 3]); 3] = [
        (|| once(FailReads), [0, 0, EIO]),
        (|| once(FailWrites), [EIO, EIO, 0]),
        (|| once(FullDisk), [ENOSPC, 0, 0]),
    ];
    for (plan, errors) in failing {
        let (ran, rounds) = rounds(plan);
        assert_eq!(rounds.at(errors), every_round(WHILE_IT_LASTS), "{:?}", rounds.0);
        assert_eq!(rounds.at([0; 3]).len() + 20, 50, "{:?}", rounds.0);
        assert_eq!(ran.effects.count(Effect::DiskFault), 1);
    }
    let (_, synced) = rounds(|| once(FailSync));
    assert_eq!(synced.at([0, EIO, 0]), [105], "the next sync alone fails");
    let (_, stalled) = rounds(|| once(StallDisk));
    let gone = every_round(115..300);
    assert!(stalled.at([0; 3]).iter().all(|at| !gone.contains(at)), "{:?}", stalled.0);
    assert!(stalled.at([0; 3]).len() > 25, "{:?}", stalled.0);
}

#[test]
fn power_fails_in_a_call_and_comes_back() {
    let (ran, rounds) = rounds(|| once(PowerOffInCall::within(12)));
    assert_eq!((ran.effects.count(Effect::PowerOff), ran.effects.count(Effect::Restart)), (1, 1));
    let off = ran.faults[0].at / 1_000_000;
    assert!(every_round(100..165).contains(&off), "{off}");
    let before = rounds.0.borrow().iter().filter(|round| round.0 < 300).count();
    let last = rounds.0.borrow().last().expect("it runs").0;
    assert!(before as u64 <= off / 10 + 1 && last > 480, "{:?}", rounds.0);
}

/// A machine that makes no calls keeps its power, also afterwards.
#[test]
fn power_stays_if_no_call_is_made() {
    let ran = repeats(0, || {
        let writes = async || {
            sleep(400.millis()).await;
            drop(std::fs::write("f", "x"));
            std::future::pending::<()>().await;
        };
        let spec = SpecBuilder::new().machine("kv1", writes);
        spec.plan(once(PowerOffInCall::within(1))).body(async |_| sleep(500.millis()).await)
    });
    assert_eq!(ran.effects.count(Effect::PowerOff), 0);
    let machine = crate::engine::MachineId(0);
    let expected = [Act::PowerOffAtCall { machine, calls: 1 }, Act::CancelPowerOff { machine }];
    assert_eq!(acts(&ran), expected.iter().collect::<Vec<_>>());
}

/// A strike ends neither the faults of the test nor those of other strikes.
#[test]
fn other_faults_of_the_disk_stay() {
    let ran = pass(|| {
        let spec = SpecBuilder::new().machine("kv1", uses_files).plan(once(FailWrites));
        let spec = spec.plan(once(FailReads)).plan(once(PowerOffInCall::within(1)));
        spec.body(async |sim: Sim| {
            sim.fail_reads("kv1")?;
            sim.power_off_at_call("kv1", 1_000)?;
            sleep(500.millis()).await;
            let reads_fail = sim.state::<Rounds>().at([0, 0, libc::EIO]);
            let within = |time| every_round(time).iter().all(|at| reads_fail.contains(at));
            assert!(within(5..100) && within(300..500), "{reads_fail:?}");
            Result::<()>::Ok(())
        })
    });
    assert_eq!((ran.effects.count(Effect::DiskFault), ran.effects.count(Effect::PowerOff)), (2, 0));
    let plans: Vec<u64> = ran.plans.iter().map(|plan| plan.faults).collect();
    assert_eq!(plans, [1, 0, 0], "the machine has the other faults already");
}

#[test]
fn budget_counts_machines_whose_disk_fails() {
    let victims = |faulty: bool| {
        let ran = pass(move || {
            let plan = FaultPlan::new(crate::faults::Kill).lasting(1.millis());
            let plan = plan.when(Cadence::every(10.millis())).budget(Budget::at_most(1, "kv*"));
            SpecBuilder::new().machine("kv{1..=3}", obeys).plan(plan).body(async move |sim: Sim| {
                if faulty {
                    sim.fail_reads("kv1")?;
                }
                sleep(1.secs()).await;
                Result::<()>::Ok(())
            })
        });
        let kills = ran.faults.iter().filter(|fault| fault.effect == Effect::Kill);
        kills.filter_map(|fault| Some(fault.machine?.0)).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!((victims(false).len(), victims(true)), (3, [0].into()));
}

#[test]
fn disk_faults_shrink_to_one_strike() {
    let plans: [(MakePlan, &str); 6] = [
        (|| FaultPlan::new(FailSync), "the next sync of its disk fails"),
        (|| FaultPlan::new(FailReads), "reads of its disk fail"),
        (|| FaultPlan::new(FailWrites), "writes to its disk fail"),
        (|| FaultPlan::new(FullDisk), "disk filled"),
        (|| FaultPlan::new(StallDisk), "disk stalled"),
        (|| FaultPlan::new(PowerOffInCall::within(20)), "will lose power in "),
    ];
    for (plan, text) in plans {
        let story = shrinks(1, move || {
            let plan = plan().when(Cadence::every(50.millis())).lasting(30.millis());
            let scenario = Scenario::new().machine("kv{1..=3}", uses_files).plan(plan);
            scenario.body(async |sim: Sim| {
                let mut sound = 0;
                for _ in 0..50 {
                    sleep(10.millis()).await;
                    sound += 3;
                    let all = sim.state::<Rounds>().at([0; 3]).len();
                    assert!(all >= sound, "a round failed or is late");
                }
            })
        });
        assert!(story.contains(text), "{text}: {story}");
    }
}

#[test]
fn mistakes_of_disk_faults_are_told() {
    let mistakes = PowerOffInCall::within(0).mistakes();
    assert_eq!(mistakes, ["`PowerOffInCall::within` must be at least 1 call, got 0"]);
}
