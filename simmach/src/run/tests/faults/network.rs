//! Faults of the network: between two sides, of packets, and of single connections.

use std::collections::{BTreeMap, BTreeSet};

use futures::{AsyncReadExt, AsyncWriteExt};

use crate::chaos::Target;
use crate::engine::acts::Impairment;
use crate::faults::{Bridge, Duplicate, Isolate, OneConnection, Reorder, Throttle};
use crate::net::{NetworkProfile, TcpListener, TcpStream, UdpSocket};
use crate::run::tests::faults::*;

/// A datagram that arrived: times in microseconds, and the numbers of the machines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) sent: u64,
    arrived: u64,
    pub(super) path: (u8, u8),
}

#[derive(Default)]
pub(super) struct Arrivals(pub(super) RefCell<Vec<Arrival>>);

fn micros() -> u64 {
    crate::engine::now() / 1_000
}

/// Every 10 ms from 5 ms on, sends a datagram of 100 bytes to each of `machines` machines, of which it is number `own`.
async fn gossips(own: u8, machines: u8) -> Result {
    let socket = Rc::new(UdpSocket::bind("0.0.0.0:9").await?);
    let receiving = Rc::clone(&socket);
    spawn_local(async move {
        let mut bytes = [0; 100];
        while receiving.recv_from(&mut bytes).await.is_ok() {
            let sent = u64::from_le_bytes(bytes[1..9].try_into().expect("eight bytes"));
            let arrival = Arrival { sent, arrived: micros(), path: (bytes[0], own) };
            Sim::current().state::<Arrivals>().0.borrow_mut().push(arrival);
        }
    });
    sleep(5.millis()).await;
    loop {
        let mut bytes = [own; 100];
        bytes[1..9].copy_from_slice(&micros().to_le_bytes());
        for other in (1..=machines).filter(|other| *other != own) {
            socket.send_to(&bytes, (format!("kv{other}").as_str(), 9)).await?;
        }
        sleep(10.millis()).await;
    }
}

pub(super) fn cluster(machines: u8) -> SpecBuilder {
    let add = |spec: SpecBuilder, own: u8| {
        spec.machine(&format!("kv{own}"), move || gossips(own, machines))
    };
    (1..=machines).fold(SpecBuilder::new().identical_hardware(), add)
}

pub(super) const ALL: std::ops::Range<u64> = 0..1_000;
const WHILE_IT_LASTS: std::ops::Range<u64> = 100..300;

/// What arrived in a run of one second, by the time at which it was sent, in milliseconds.
pub(super) struct Seen(Vec<Arrival>);

impl Seen {
    pub(super) fn sent_within(
        &self,
        within: std::ops::Range<u64>,
    ) -> impl Iterator<Item = &Arrival> {
        self.0.iter().filter(move |one| within.contains(&(one.sent / 1_000)))
    }

    /// The paths on which something arrived.
    pub(super) fn paths(&self, within: std::ops::Range<u64>) -> BTreeSet<(u8, u8)> {
        self.sent_within(within).map(|one| one.path).collect()
    }

    /// The paths on which a datagram arrived twice.
    pub(super) fn doubled(&self, within: std::ops::Range<u64>) -> BTreeSet<(u8, u8)> {
        let mut counts = BTreeMap::<_, u32>::new();
        self.sent_within(within)
            .for_each(|one| *counts.entry((one.path, one.sent)).or_default() += 1);
        counts.into_iter().filter(|(_, count)| *count > 1).map(|((path, _), _)| path).collect()
    }

    /// The paths on which a datagram was overtaken.
    fn overtaken(&self, within: std::ops::Range<u64>) -> BTreeSet<(u8, u8)> {
        let mut latest = BTreeMap::<_, u64>::new();
        let mut paths = BTreeSet::new();
        for one in self.sent_within(within) {
            let latest = latest.entry(one.path).or_default();
            if one.sent < *latest {
                paths.insert(one.path);
            }
            *latest = one.sent.max(*latest);
        }
        paths
    }

    /// The paths on which a datagram took longer than this many milliseconds.
    fn late(&self, within: std::ops::Range<u64>, millis: u64) -> BTreeSet<(u8, u8)> {
        let late = self.sent_within(within).filter(|one| one.arrived - one.sent > millis * 1_000);
        late.map(|one| one.path).collect()
    }
}

pub(super) fn seen(seed: u64, machines: u8, plan: fn() -> FaultPlan) -> (Outcome, Seen) {
    seen_with(seed, machines, plan, async |sim: Sim| {
        sleep(1.secs()).await;
        sim.log(sim.state::<Arrivals>().0.borrow().len());
    })
}

fn seen_with<B: AsyncFnOnce(Sim) + Send + Copy + 'static>(
    seed: u64,
    machines: u8,
    plan: fn() -> FaultPlan,
    body: B,
) -> (Outcome, Seen) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let there = Arc::clone(&seen);
    let ran = repeats(seed, move || {
        let seen = Arc::clone(&there);
        cluster(machines).plan(plan()).body(async move |sim: Sim| {
            body(sim).await;
            seen.lock().expect("no panic").clone_from(&sim.state::<Arrivals>().0.borrow());
        })
    });
    let seen = seen.lock().expect("no panic").clone();
    (ran, Seen(seen))
}

/// Both directions between two groups.
fn between(some: &[u8], others: &[u8]) -> BTreeSet<(u8, u8)> {
    some.iter().flat_map(|a| others.iter().flat_map(|b| [(*a, *b), (*b, *a)])).collect()
}

pub(super) fn all_paths(machines: u8) -> BTreeSet<(u8, u8)> {
    let all: Vec<u8> = (1..=machines).collect();
    between(&all, &all).into_iter().filter(|(a, b)| a != b).collect()
}

#[test]
fn bridge_leaves_one_machine_that_reaches_both_sides() {
    let mut bridges = BTreeSet::new();
    for seed in 0..6 {
        let (ran, seen) = seen(seed, 5, || once(Bridge).on(Target::from("kv*").minority()));
        let cut: BTreeSet<_> =
            all_paths(5).difference(&seen.paths(WHILE_IT_LASTS)).copied().collect();
        let touched: BTreeSet<u8> = cut.iter().map(|path| path.0).collect();
        let bridge = (1..=5).find(|n| !touched.contains(n)).expect("one reaches both sides");
        assert_eq!(touched.len(), 4, "{cut:?}");
        let first = *touched.iter().next().expect("two sides");
        let beyond: Vec<u8> =
            touched.iter().copied().filter(|n| cut.contains(&(first, *n))).collect();
        let side: Vec<u8> = touched.iter().copied().filter(|n| !beyond.contains(n)).collect();
        assert_eq!(cut, between(&side, &beyond));
        assert_eq!(seen.paths(305..1_000), all_paths(5));
        assert_eq!(ran.effects.count(Effect::Partition), 1);
        bridges.insert(bridge);
    }
    assert!(bridges.len() > 1, "{bridges:?}");
}

#[test]
fn bridge_needs_three_machines() {
    let ran = pass(|| cluster(2).plan(once(Bridge)).body(async |_| sleep(1.secs()).await));
    assert_eq!(ran.effects.count(Effect::Partition), 0);
    let idle = ran.plans[0].idle.clone();
    assert!(matches!(idle, Some(crate::sim::Idle::TooFew(why)) if why.contains("two machines")));
}

/// Two groups are what `Isolate` makes of a minority or a majority.
#[test]
fn isolated_majority_makes_two_groups() {
    let (_, seen) = seen(0, 5, || once(Isolate).on(Target::from("kv*").majority()));
    let cut: BTreeSet<_> = all_paths(5).difference(&seen.paths(WHILE_IT_LASTS)).copied().collect();
    assert_eq!(cut.len(), 3 * 2 * 2);
    assert_eq!(seen.paths(305..1_000), all_paths(5));
}

/// Whether the paths are those in one direction between one machine and the others.
fn is_one_direction(paths: &BTreeSet<(u8, u8)>) -> bool {
    let ends = |end: fn(&(u8, u8)) -> u8| paths.iter().map(end).collect::<BTreeSet<_>>().len();
    paths.len() == 2 && (ends(|path| path.0) == 1 || ends(|path| path.1) == 1)
}

#[test]
fn packets_arrive_twice_while_the_fault_lasts() {
    let (ran, seen) = seen(1, 3, || once(Duplicate::up_to(100)));
    let doubled = seen.doubled(WHILE_IT_LASTS);
    assert!(is_one_direction(&doubled), "{doubled:?}");
    assert_eq!(seen.doubled(ALL), doubled);
    assert_eq!((seen.doubled(0..100).len(), seen.doubled(300..1_000).len()), (0, 0));
    assert!(ran.effects.count(Effect::PacketDuplicated) > 4);
    assert_eq!(ran.effects.count(Effect::Impairment), 1);
}

#[test]
fn packets_overtake_each_other_while_the_fault_lasts() {
    let (ran, seen) = seen(2, 3, || once(Reorder::by(50.millis())));
    let overtaken = seen.overtaken(WHILE_IT_LASTS);
    assert!(is_one_direction(&overtaken), "{overtaken:?}");
    assert_eq!((seen.overtaken(0..100).len(), seen.overtaken(300..1_000).len()), (0, 0));
    assert!(seen.late(ALL, 51).is_empty(), "no packet is late by more than the delay");
    assert_eq!(ran.effects.count(Effect::Impairment), 1);
}

/// Of 128 bytes with headers every 10 ms, at 10,000 bytes per second, the last one waits for 56 ms.
#[test]
fn packets_wait_for_a_slow_link_while_the_fault_lasts() {
    let (_, seen) = seen(3, 3, || once(Throttle::to(10_000..=10_000)));
    let late = seen.late(WHILE_IT_LASTS, 40);
    assert!(is_one_direction(&late), "{late:?}");
    assert!(seen.late(ALL, 70).is_empty() && seen.late(0..100, 1).is_empty());
    assert!(seen.late(370..1_000, 1).is_empty());
    let sent = (5..1_000).step_by(10).count();
    assert_eq!(seen.sent_within(0..1_000).count(), 6 * sent, "no packet is lost");
}

/// The bandwidth of a strike is the largest one, or halved several times.
#[test]
fn bandwidth_is_drawn_in_octaves() {
    let drawn: BTreeSet<u64> = (0..40)
        .filter_map(|seed| {
            let (ran, _) = seen(seed, 2, || once(Throttle::to(1_000..=9_000)));
            ran.acts.iter().find_map(|one| match one.act {
                Act::Impair {
                    impairment: Impairment::Throttle { bytes_per_second, .. }, ..
                } => Some(bytes_per_second),
                _ => None,
            })
        })
        .collect();
    assert_eq!(drawn, [1_125, 2_250, 4_500, 9_000].into());
}

/// The profile that the test sets meanwhile stays when the fault is undone.
#[test]
fn links_are_as_the_test_set_them_when_the_fault_is_undone() {
    let (_, seen) = seen_with(
        1,
        3,
        || once(Duplicate::up_to(100)),
        async |sim: Sim| {
            sleep(200.millis()).await;
            let slow = NetworkProfile::fixed(5.millis());
            sim.set_link_between("kv*", "kv*", slow).expect("the machines exist");
            sleep(800.millis()).await;
        },
    );
    assert_eq!(seen.late(205..990, 4), all_paths(3));
    assert!(!seen.doubled(205..300).is_empty(), "the fault goes on");
    assert!(seen.doubled(300..1_000).is_empty());
}

/// The impairment of a plan ends with the plan. That of a script ends, too.
#[test]
fn settle_ends_impairments() {
    let plan = || {
        let plan = FaultPlan::new(Duplicate::up_to(100)).lasting(60.secs());
        plan.when(Cadence::once(100.millis()))
    };
    let doubled = |script: Option<Script>| {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let there = Arc::clone(&seen);
        let spec = move || {
            cluster(3).plan(plan()).body(async move |sim: Sim| {
                sleep(300.millis()).await;
                sim.settle().await?;
                there.lock().expect("no panic").clone_from(&sim.state::<Arrivals>().0.borrow());
                Result::<()>::Ok(())
            })
        };
        let keep = Keep { deviations: RecordLevel::All, ..Keep::default() };
        let overlay = Overlay::default().with_script(script);
        let ran = run_spec(spec, 0, overlay, keep, Arc::default());
        assert_eq!(ran.verdict, Verdict::Passed);
        let seen = Seen(seen.lock().expect("no panic").clone());
        (ran, [seen.doubled(WHILE_IT_LASTS).len(), seen.doubled(301..2_000).len()])
    };
    let (ran, counts) = doubled(None);
    assert_eq!(counts, [2, 0]);
    let mut script = Script::of(&ran.acts);
    script.acts.iter_mut().for_each(|act| act.repairs.clear());
    assert_eq!(doubled(Some(script)).1, [2, 0]);
}

/// Answers each byte, on each connection.
async fn echoes() -> Result {
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        spawn_local(async move {
            let mut byte = [0];
            while stream.read_exact(&mut byte).await.is_ok() {
                let _ = stream.write_all(&byte).await;
            }
        });
    }
}

#[derive(Default)]
struct Answers(RefCell<Vec<(u64, u8)>>);

/// Has three connections to `kv2`, and notes the time of each answer.
async fn asks() -> Result {
    sleep(5.millis()).await;
    for number in 0..3 {
        let mut stream = TcpStream::connect("kv2:7").await?;
        spawn_local(async move {
            loop {
                stream.write_all(&[number]).await?;
                stream.read_exact(&mut [0]).await?;
                Sim::current().state::<Answers>().0.borrow_mut().push((now(), number));
                sleep(10.millis()).await;
            }
            #[expect(unreachable_code, reason = "it gives the block a type")]
            std::io::Result::Ok(())
        });
    }
    std::future::pending().await
}

#[test]
fn one_connection_of_several_is_cut_while_the_fault_lasts() {
    let mut cut = BTreeSet::new();
    for seed in 0..10 {
        let answers = Arc::new(Mutex::new(Vec::new()));
        let there = Arc::clone(&answers);
        repeats(seed, move || {
            let there = Arc::clone(&there);
            let spec =
                SpecBuilder::new().identical_hardware().machine("kv1", asks).machine("kv2", echoes);
            spec.plan(once(OneConnection).on("kv*")).body(async move |sim: Sim| {
                sleep(1.secs()).await;
                let answers = sim.state::<Answers>();
                sim.log(format!("{:?}", answers.0.borrow()));
                there.lock().expect("no panic").clone_from(&answers.0.borrow());
            })
        });
        let answers = answers.lock().expect("no panic").clone();
        let count = |number: u8, within: std::ops::Range<u64>| {
            answers.iter().filter(|one| one.1 == number && within.contains(&one.0)).count()
        };
        let silent: Vec<u8> = (0..3).filter(|number| count(*number, 105..300) == 0).collect();
        assert_eq!(silent.len(), 1, "{answers:?}");
        let others = (0..3).filter(|number| !silent.contains(number));
        assert!(others.into_iter().all(|number| count(number, 105..300) > 15));
        assert!((0..3).all(|number| count(number, 700..1_000) > 20), "it goes on");
        cut.extend(silent);
    }
    assert_eq!(cut, [0, 1, 2].into());
}

#[test]
fn without_a_connection_nothing_is_cut() {
    let ran = pass(|| {
        let spec = SpecBuilder::new()
            .identical_hardware()
            .machine("kv{1..=2}", echoes)
            .plan(once(OneConnection));
        spec.body(async |_| sleep(1.secs()).await)
    });
    assert_eq!(ran.effects.count(Effect::PacketDropped), 0);
    assert!(
        matches!(&ran.plans[0].idle, Some(crate::sim::Idle::NoEvent(why)) if why.contains("connection"))
    );
}

#[test]
fn network_faults_shrink_to_one_strike() {
    /// What a plan must not lead to.
    type Check = fn(&Seen) -> bool;
    // Each packet that arrives twice or is held back counts as a fault, too.
    let plans: [(u64, MakePlan, Check, &str); 4] = [
        (
            1,
            || FaultPlan::new(Bridge),
            |seen| seen.sent_within(ALL).count() % 20 == 0,
            "partitioned: ",
        ),
        (
            2,
            || FaultPlan::new(Duplicate::up_to(100)),
            |seen| seen.doubled(ALL).is_empty(),
            "packets arrive twice: ",
        ),
        (
            2,
            || FaultPlan::new(Reorder::by(50.millis())),
            |seen| seen.overtaken(ALL).is_empty(),
            "packets overtake each other: ",
        ),
        (
            1,
            || FaultPlan::new(Throttle::to(500..=5_000)),
            |seen| seen.late(ALL, 5).is_empty(),
            "bandwidth limited to ",
        ),
    ];
    for (faults, plan, check, text) in plans {
        let story = shrinks(faults, move || {
            let plan = plan().when(Cadence::every(50.millis())).lasting(45.millis());
            cluster(5).plan(plan).body(async move |sim: Sim| {
                for _ in 0..50 {
                    sleep(10.millis()).await;
                    let seen = Seen(sim.state::<Arrivals>().0.borrow().clone());
                    assert!(check(&seen), "the packets are wrong");
                }
            })
        });
        assert!(story.contains(text), "{text}: {story}");
    }
}

#[test]
fn mistakes_of_network_faults_are_told() {
    let mistakes = |fault: &dyn Fault| fault.mistakes().join("\n");
    assert!(
        mistakes(&Duplicate::up_to(0))
            .contains("`Duplicate::up_to` must be a percentage in 1..=100, got 0")
    );
    assert!(mistakes(&Duplicate::up_to(101)).contains("got 101"));
    assert!(mistakes(&Reorder::by(2.secs()..1.secs())).contains("`Reorder::by`"));
    assert!(mistakes(&Throttle::to(0..=5)).contains("`Throttle::to` must be a range"));
    let backwards = std::ops::RangeInclusive::new(9, 5);
    assert!(mistakes(&Throttle::to(backwards)).contains("got 9..=5"));
    assert_eq!(mistakes(&Throttle::to(5..=5)), "");
}
