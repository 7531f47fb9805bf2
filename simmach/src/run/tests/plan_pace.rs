//! Tests of how often the library's plans strike, and of reports about plans that do nothing.

use crate::engine::Family;
use crate::engine::draws::overlay::{Rule, RuleAction};
use crate::engine::record::deviations::RecordLevel;
use crate::run::tests::*;
use crate::sim::{Idle, PlanActivity};

/// Runs one plan on three machines for a number of virtual seconds.
fn three_machines(
    seed: u64,
    secs: u64,
    plan: impl FnOnce() -> Box<dyn Plan> + Send + 'static,
) -> Outcome {
    let ran = outcome(seed, move || {
        let spec = SpecBuilder::new().identical_hardware().machine("n{1..=3}", obeys);
        let spec = spec.plan(Boxed(plan()));
        spec.body(async move |_| {
            for _ in 0..secs {
                sleep(1.secs()).await;
            }
        })
    });
    assert_eq!(ran.verdict, Verdict::Passed, "seed {seed}");
    ran
}

/// A boxed plan, as a plan.
struct Boxed(Box<dyn Plan>);

impl Plan for Boxed {
    fn run(
        self: Box<Self>,
        sim: Sim,
    ) -> futures::future::LocalBoxFuture<'static, std::result::Result<(), String>> {
        self.0.run(sim)
    }

    fn name(&self) -> &'static str {
        self.0.name()
    }
}

const DEFAULTS: [fn() -> Box<dyn Plan>; 3] = [
    || Box::new(PowerOffs::new()),
    || Box::new(Partitions::new()),
    || Box::new(GracefulMonkey::new()),
];

#[test]
fn short_test_is_struck_in_most_seeds() {
    for plan in DEFAULTS {
        let acts: Vec<u64> =
            (0..100).map(|seed| three_machines(seed, 10, plan).plans[0].faults).collect();
        let struck = acts.iter().filter(|acts| **acts > 0).count();
        assert!(struck >= 75, "{struck} of 100");
        // Often in some, once or twice in others.
        assert!(acts.iter().filter(|acts| **acts >= 50).count() >= 15, "{acts:?}");
        assert!(acts.iter().filter(|acts| (1..=8).contains(*acts)).count() >= 15, "{acts:?}");
    }
}

/// At any tempo the pauses between strikes get longer, so that a long run can make progress.
#[test]
fn long_test_is_struck_ever_less_often() {
    for seed in 0..20 {
        let ran = three_machines(seed, 3_000, DEFAULTS[0]);
        let offs = ran.effects.count(Effect::PowerOff);
        assert!((40..1_600).contains(&offs), "seed {seed}: {offs}");
    }
}

/// Times of power loss and restoration.
fn times(ran: &Outcome) -> Vec<u64> {
    ran.faults.iter().map(|fault| fault.at / 1_000_000).collect()
}

#[test]
fn given_every_is_kept() {
    for seed in 0..5 {
        let exact =
            || -> Box<dyn Plan> { Box::new(PowerOffs::new().every(3.secs()).downtime(1.secs())) };
        let ran = three_machines(seed, 200, exact);
        let expected: Vec<u64> = (1..=ran.effects.count(Effect::PowerOff))
            .flat_map(|nth| [nth * 4_000 - 1_000, nth * 4_000])
            .collect();
        assert!(expected.len() >= 98, "{expected:?}");
        assert_eq!(times(&ran)[..98], expected[..98]);
        // With nothing else said, the times are those that they always were.
        let every = || -> Box<dyn Plan> { Box::new(PowerOffs::new().every(3.secs())) };
        let ran = three_machines(seed, 200, every);
        for pair in times(&ran)[..20].chunks_exact(2) {
            assert!((1_000..=10_000).contains(&(pair[1] - pair[0])), "{pair:?}");
        }
    }
}

/// The settings in a token of a plan with a given tempo must not change, or old tokens would be stale.
#[test]
fn settings_with_every_are_unchanged() {
    const ONE: &str = "DurationRange { least: 1s, most: 1s }";
    let range =
        |least: u64, most: u64| format!("DurationRange {{ least: {least}s, most: {most}s }}");
    let read = |plan: &dyn Plan| plan.settings();
    assert_eq!(
        read(&PowerOffs::new().every(1.secs())),
        format!("PowerOffs {{ machines: None, every: {ONE}, downtime: {} }}", range(1, 10))
    );
    assert_eq!(
        read(&Partitions::new().every(1.secs())),
        format!("Partitions {{ machines: None, every: {ONE}, lasting: {} }}", range(1, 15))
    );
    assert_eq!(
        read(&GracefulMonkey::new().every(1.secs()).wipes(0.5).downtime(1.secs())),
        format!(
            "GracefulMonkey {{ machines: None, every: {ONE}, grace: DurationRange {{ least: 0ns, most: 5s }}, downtime: \
             {ONE}, wipes: 0.5 }}"
        )
    );
    for [given, drawn] in [
        [read(&PowerOffs::new().every(1.secs())), read(&PowerOffs::new())],
        [read(&Partitions::new().every(1.secs())), read(&Partitions::new())],
        [read(&GracefulMonkey::published()), read(&GracefulMonkey::new())],
    ] {
        assert_ne!(given, drawn);
    }
}

#[test]
fn published_figures_are_kept() {
    let published = GracefulMonkey::published();
    let secs = |least: u64, most: u64| least.secs()..most.secs();
    let new = GracefulMonkey::new().every(secs(20, 90)).grace(secs(0, 5)).downtime(secs(2, 10));
    assert_eq!(published.settings(), new.settings());
    for seed in 0..10 {
        let ran = three_machines(seed, 90, || Box::new(GracefulMonkey::published()));
        let first = times(&ran)[0];
        assert!((20_000..=90_000).contains(&first), "{first}");
    }
}

/// A strike whose time is set by an overlay keeps its duration.
#[test]
fn strike_keeps_its_tempo_when_others_are_left_out() {
    let mut kept = 0;
    for seed in 0..30 {
        let made = move |overlay: Overlay| {
            let keep = Keep { deviations: RecordLevel::All, ..Keep::default() };
            let spec = || {
                let spec = SpecBuilder::new()
                    .identical_hardware()
                    .machine("n{1..=3}", obeys)
                    .plan(PowerOffs::new());
                spec.body(async |_| sleep(20.secs()).await)
            };
            run_spec(spec, seed, overlay, keep, Arc::default())
        };
        let whole = made(Overlay::default());
        let mut strikes = whole.deviations.iter().filter(|deviation| !deviation.pins.is_empty());
        let Some(last) = strikes.next_back() else { continue };
        let [plan, number, _] = last.address;
        let mut overlay = Overlay::calm();
        overlay.push(Rule {
            address: [Some((plan, plan)), Some((number, number)), None],
            ..Rule::all(Some(Family::Strike), RuleAction::Seeded)
        });
        for (field, value) in &last.pins {
            overlay.push(Rule::one(
                Family::Strike,
                [plan, number, *field],
                RuleAction::Value(*value),
            ));
        }
        let alone = made(overlay);
        let down = |ran: &Outcome, at: u64| {
            let texts = ran.faults.iter().filter(|fault| fault.at >= at);
            texts.map(|fault| fault.at).take(2).collect::<Vec<_>>()
        };
        assert_eq!(alone.effects.count(Effect::PowerOff), 1);
        assert_eq!(down(&alone, 0), down(&whole, last.at), "seed {seed}");
        kept += 1;
    }
    assert!(kept > 20, "{kept}");
}

/// Runs a plan for 10 s with these machines.
fn acted(
    machines: &'static str,
    client: &'static str,
    plan: impl FnOnce() -> Box<dyn Plan> + Send + 'static,
) -> PlanActivity {
    let ran = outcome(1, move || {
        let spec = SpecBuilder::new().machine(machines, obeys).client(client).plan(Boxed(plan()));
        spec.body(async |_| sleep(10.secs()).await)
    });
    assert_eq!(ran.verdict, Verdict::Passed);
    ran.plans[0].clone()
}

#[test]
fn plan_with_too_few_machines_names_them() {
    let words = |machines, client, plan: fn() -> Box<dyn Plan>| {
        let acted = acted(machines, client, plan);
        assert_eq!(acted.faults, 0, "{}", acted.name);
        match acted.idle {
            Some(Idle::TooFew(words)) => words,
            other => panic!("{}: {other:?}", acted.name),
        }
    };
    const LEFT_OUT: &str = "the machine of the test's body, `me`, is excluded by default; include";
    for (machines, client, plan, said) in [
        ("x", "me", DEFAULTS[1], ["at least two machines", "only `x`", LEFT_OUT]),
        ("me", "me", DEFAULTS[1], ["at least two machines", "no machine", LEFT_OUT]),
        ("m{1..=2}", "m1", DEFAULTS[1], ["two machines", "only `m2`", "body, `m1`, is excluded"]),
        (
            "x{1..=3}",
            "me",
            || Box::new(Partitions::new().machines("x1").every(1.secs())),
            ["at least two machines", "only `x1`", "name more machines with `machines`"],
        ),
        ("me", "me", DEFAULTS[2], ["a machine that has services", "no machine", LEFT_OUT]),
        (
            "me",
            "me",
            DEFAULTS[0],
            ["a machine that has services", "no machine", "`me`, is never hit; add"],
        ),
        (
            "me",
            "me",
            || Box::new(PowerOffs::new().machines("me")),
            ["a machine that has services", "no machine", "`me`, is never hit; name more machines"],
        ),
        (
            "x",
            "me",
            || Box::new(GracefulMonkey::new().machines("me").every(1.secs())),
            ["a machine that has services", "no machine", "name more machines"],
        ),
    ] {
        let words = words(machines, client, plan);
        assert!(said.iter().all(|said| words.contains(said)), "{machines}: {words}");
    }
}

#[test]
fn plan_without_faults_is_explained() {
    let late = acted("x{1..=3}", "me", || Box::new(PowerOffs::new().every(30.secs())));
    assert_eq!((late.faults, late.idle), (0, Some(Idle::NotDue(30_000_000_000))));
    let late = acted("x{1..=3}", "me", || Box::new(Partitions::new().every(12.secs())));
    assert_eq!((late.faults, late.idle), (0, Some(Idle::NotDue(12_000_000_000))));
    let busy = acted("x{1..=3}", "me", || Box::new(Partitions::new().every(1.secs())));
    assert!(busy.faults > 0 && busy.idle.is_none());

    let down = outcome(1, || {
        let spec = SpecBuilder::new().machine("x", obeys).plan(PowerOffs::new().every(2.secs()));
        spec.body(async |sim: Sim| {
            sim.kill("x")?;
            sleep(10.secs()).await;
            Result::<()>::Ok(())
        })
    });
    assert_eq!((down.plans[0].faults, &down.plans[0].idle), (0, &Some(Idle::AllDown)));

    let sides: Vec<_> = (0..40)
        .map(|seed| {
            let plan = || Partitions::new().every(4.secs()).lasting(1.secs());
            let ran = outcome(seed, move || {
                let spec = SpecBuilder::new().machine("x{1..=2}", obeys).plan(plan());
                spec.body(async |_| sleep(6.secs()).await)
            });
            ran.plans[0].idle.clone()
        })
        .collect();
    assert!(sides.contains(&None) && sides.contains(&Some(Idle::OneSide)), "{sides:?}");
}
