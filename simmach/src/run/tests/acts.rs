//! Tests that plans are recorded as acts, and that a script of these acts does the same without the
//! plans.

use crate::engine::acts::{Act, Script};
use crate::engine::record::deviations::RecordLevel;
use crate::engine::record::effects::Fault;
use crate::net::{PacketFate, TcpListener, TcpStream};
use crate::run::tests::*;
use crate::sim::ControlError;
use crate::time::timeout;
use crate::{ClockSkew, net};

use futures::{AsyncReadExt, AsyncWriteExt};

/// Counts its connections on disk, in a store and in a file, and sends the count to each client.
async fn counter() -> Result {
    let db = crate::storage::open("db").await?;
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        let db = db.clone();
        spawn_local(async move {
            let count = db.write(|txn| {
                let table = txn.table::<Str, Str>("counts")?;
                let count = table.get(txn, "n")?.map_or(0, str::len) + 1;
                table.put(txn, "n", &"x".repeat(count))?;
                Ok(count)
            });
            let count = count.await.map_or(0, |count| count as u8);
            let log = std::fs::OpenOptions::new().create(true).append(true).open("log");
            let written = log.and_then(|mut log| {
                std::io::Write::write_all(&mut log, &[count])?;
                log.sync_all()
            });
            drop(written);
            let _ = stream.write_all(&[count]).await;
        });
    }
}

async fn ask(machine: &str) -> std::io::Result<u8> {
    let asked = async {
        let mut stream = TcpStream::connect(format!("{machine}:7")).await?;
        let mut count = [0];
        stream.read_exact(&mut count).await?;
        Ok(count[0])
    };
    timeout(300.millis(), asked).await.unwrap_or(Err(std::io::ErrorKind::TimedOut.into()))
}

async fn body(sim: Sim) -> Result {
    for step in sim.steps(25) {
        let machine = *step.choose(&["a1.z", "a2.z", "a3.z"]);
        let answer = ask(machine).await;
        sim.log(format!("{answer:?}"));
        sleep(step.random_range(50..400u64).millis()).await;
    }
    sim.settle().await?;
    for machine in ["a1.z", "a2.z", "a3.z"] {
        sim.log(format!("{:?}", ask(machine).await));
    }
    Ok(())
}

fn cluster() -> SpecBuilder {
    let link = net::NetworkProfile::uniform(1.millis(), 20.millis()).loss(0.01);
    let topology = Topology::new().machine("a{1..=3}.z", counter).link("b", "z", link);
    SpecBuilder::new().topology(topology).client("c.b")
}

fn kept(seed: u64, overlay: Overlay, spec: fn() -> Spec) -> Outcome {
    let keep = Keep { deviations: RecordLevel::All, log: true, ..Keep::default() };
    run_spec(spec, seed, overlay, keep, Arc::default())
}

/// The acts shortly before and at a time.
fn near(run: &Outcome, at: u64) -> Vec<String> {
    let acts = run.acts.iter().filter(|act| act.at <= at && act.at + 400_000_000 > at);
    acts.map(|act| format!("{} {:?} {:?}", act.at, act.when.place, act.act)).collect()
}

/// Compares a run with that of its acts alone.
#[track_caller]
fn acts_do_the_same(spec: fn() -> Spec, least: usize) -> Vec<Act> {
    let mut all = Vec::new();
    for seed in 0..20 {
        let whole = kept(seed, Overlay::default(), spec);
        let script = Script::of(&whole.acts);
        let scripted = kept(seed, Overlay::default().with_script(Some(script)), spec);
        assert_eq!(whole.verdict, Verdict::Passed, "seed {seed}");
        assert_eq!(scripted.verdict, Verdict::Passed, "seed {seed}");
        let both = whole.faults.iter().zip(&scripted.faults);
        for (nth, (one, other)) in both.enumerate() {
            let what = |fault: &Fault| (fault.at, fault.effect, fault.machine);
            let near = near(&whole, one.at);
            assert_eq!(what(one), what(other), "seed {seed}, fault {nth}: {near:?}");
        }
        assert_eq!(whole.faults.len(), scripted.faults.len(), "seed {seed}");
        let figures = |run: &Outcome| (run.virtual_nanos, run.sockets);
        assert_eq!(figures(&whole), figures(&scripted), "seed {seed}");
        assert_eq!(whole.effects, scripted.effects, "seed {seed}");
        let of_the_body = |run: &Outcome| -> Vec<_> {
            let own = run.log.iter().filter(|line| line.machine == crate::engine::MachineId(3));
            own.cloned().collect()
        };
        assert_eq!(of_the_body(&whole), of_the_body(&scripted), "seed {seed}");
        let sizes = [&whole, &scripted].map(|run| run.size.expect("it is recorded"));
        assert_eq!(sizes[0].faults, sizes[1].faults, "seed {seed}");
        all.extend(whole.acts.into_iter().map(|one| one.act));
    }
    assert!(all.len() >= least, "{}", all.len());
    all
}

#[test]
fn acts_of_the_librarys_plans_do_the_same() {
    acts_do_the_same(|| cluster().plan(GracefulMonkey::new()).body(body), 30);
    acts_do_the_same(|| cluster().plan(PowerOffs::new()).body(body), 30);
    acts_do_the_same(|| cluster().plan(Partitions::new()).body(body), 30);
    acts_do_the_same(
        || {
            let spec = cluster().plan(GracefulMonkey::new().every(300.millis()..1.secs()));
            let spec = spec.plan(PowerOffs::new().every(300.millis()..1.secs()));
            spec.plan(Partitions::new().every(300.millis()..1.secs())).body(body)
        },
        100,
    );
}

/// Does everything that a plan can do.
async fn everything(sim: Sim) -> Result<(), ControlError> {
    let profile = || net::NetworkProfile::uniform(5.millis(), 90.millis()).loss(0.2);
    let filter = sim.filter_packets("a1.z", "c.b", |packet| match packet.nth % 5 {
        3 => PacketFate::Drop,
        4 => PacketFate::Delay(30.millis()),
        _ => PacketFate::Pass,
    })?;
    let mut copy = sim.snapshot("a1.z")?;
    for round in 0..40 {
        let victim = *sim.choose(&["a1.z", "a2.z", "a3.z"]);
        let others = || vec!["a1.z", "a2.z", "c.b"];
        match sim.random_range(0..22u32) {
            0 => sim.stop(victim, 20.millis()).await?,
            1 => sim.kill(victim)?,
            2 => sim.power_off(victim)?,
            3 => sim.partition(victim, "b")?,
            4 => sim.partition_one_way(victim, others())?,
            5 => sim.clog("c.b", victim)?,
            6 => sim.set_link_between(victim, "c.b", profile())?,
            7 => sim.set_link("b", "z", profile())?,
            8 => sim.set_clock(victim, ClockSkew::exact().ahead(3.secs()).drift_ppm(50_000))?,
            9 => sim.pause(victim)?,
            11 => sim.isolate(victim)?,
            10 => {
                sim.kill(victim)?;
                sim.wipe(victim)?;
            }
            12 => sim.fail_sync(victim)?,
            13 => sim.fail_reads(others())?,
            14 => sim.fail_writes(victim)?,
            15 => sim.fill_disk(victim)?,
            16 => sim.stall_disk(victim)?,
            17 => sim.power_off_at_call(victim, sim.random_range(1..9))?,
            18 => {
                sim.kill("a2.z")?;
                sim.restore("a2.z", copy)?;
                copy = sim.snapshot(victim)?;
            }
            19 => sim.slow_cpu(victim, 5.millis(), 50.millis())?,
            20 => sim.freeze_clock(victim)?,
            _ => sim.power_off("a*.z")?,
        }
        sleep(sim.random_range(1..200u64).millis()).await;
        match round % 3 {
            0 => {
                sim.heal_all();
                sim.heal(victim, "b")?;
                sim.unclog("c.b", victim)?;
                sim.set_link("b", "z", net::NetworkProfile::lan())?;
                sim.resume(victim)?;
                sim.rejoin(victim)?;
                sim.repair_disk(others())?;
                sim.restore_cpu(others())?;
            }
            1 => sim.set_clock(victim, ClockSkew::exact())?,
            _ => {}
        }
        let _ = sim.start(victim);
        sleep(sim.random_range(0..90u64).millis()).await;
    }
    drop(filter);
    sim.settle().await
}

/// Each kind of act happens, and does the same in a script.
#[test]
fn acts_of_a_users_plan_do_the_same() {
    let acts = acts_do_the_same(|| cluster().plan(everything).body(body), 300);
    let kinds: std::collections::BTreeSet<String> = acts
        .iter()
        .map(|act| format!("{act:?}").split([' ', '{']).next().unwrap_or_default().to_owned())
        .collect();
    for kind in [
        "Stop",
        "Kill",
        "Pause",
        "Resume",
        "PowerOff",
        "Start",
        "Wipe",
        "Partition",
        "HealAll",
        "Clog",
        "Unclog",
        "Link",
        "Clock",
        "Filter",
        "EndFilter",
        "BreakDisk",
        "RepairDisk",
        "PowerOffAtCall",
        "Snapshot",
        "Restore",
        "SlowCpu",
        "RestoreCpu",
        "FreezeClock",
    ] {
        assert!(kinds.contains(kind), "{kind}: {kinds:?}");
    }
    let verdicts = acts.iter().any(|act| match act {
        Act::Filter { verdicts, .. } => verdicts.len() > 2,
        _ => false,
    });
    assert!(verdicts, "the decisions of the filter are recorded");
}

/// What the body does is no act: it happens in a run with an empty script, too.
#[test]
fn body_and_its_clients_do_no_acts() {
    fn spec() -> Spec {
        cluster().plan(PowerOffs::new()).body(async |sim: Sim| {
            sim.kill("a1.z")?;
            sim.run_on("a2.z", async move { sim.partition("a1.z", "a2.z") }).await??;
            sim.start("a1.z")?;
            Ok::<_, BoxError>(())
        })
    }
    let whole = kept(0, Overlay::default(), spec);
    assert_eq!((whole.verdict, whole.acts.len()), (Verdict::Passed, 0));
    let scripted = kept(0, Overlay::default().with_script(Some(Script::default())), spec);
    assert_eq!(scripted.effects.count(Effect::Kill), 1);
    assert_eq!(scripted.effects.count(Effect::Partition), 1);
}

/// A token of acts fits when the plans are changed or removed.
#[test]
fn plans_are_not_part_of_the_shape_of_a_scripted_run() {
    let shape = |script: Option<Script>, plan: Option<PowerOffs>| {
        let keep = Keep { log: true, ..Keep::default() };
        let overlay = Overlay::default().with_script(script);
        let spec = move || match plan {
            Some(plan) => cluster().plan(plan).body(async |_| ()),
            None => cluster().body(async |_| ()),
        };
        run_spec(spec, 0, overlay, keep, Arc::default()).shape
    };
    let script = || Some(Script::default());
    let [one, other] = [1.secs(), 2.secs()].map(|every| Some(PowerOffs::new().every(every)));
    assert_ne!(shape(None, one.clone()), shape(None, other.clone()));
    assert_eq!(shape(script(), one.clone()), shape(script(), other));
    assert_eq!(shape(script(), one), shape(script(), None));
}

#[test]
fn isolated_machine_is_cut_off_until_it_is_rejoined() {
    let ran = pass(|| {
        cluster().body(async |sim: Sim| {
            sleep(10.millis()).await;
            sim.isolate("a1.z")?;
            assert!(ask("a1.z").await.is_err() && ask("a2.z").await.is_ok());
            let neighbour = sim.run_on("a2.z", ask("a1.z")).await?;
            assert!(neighbour.is_err());
            assert!(sim.run_on("a1.z", ask("a1.z")).await?.is_ok(), "within the group");
            sim.rejoin("a1.z")?;
            sleep(2.secs()).await;
            assert!(ask("a1.z").await.is_ok());
            Ok::<_, BoxError>(())
        })
    });
    assert_eq!(ran.effects.count(Effect::Partition), 1);
}
