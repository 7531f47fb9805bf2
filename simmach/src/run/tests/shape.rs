//! Tests of the shape of a spec: a hash that shows whether a token fits a test.

use crate::engine::record::deviations::RecordLevel;
use crate::net::{NetworkProfile, TcpConfig};
use crate::run::tests::*;

/// A token contains the shape of its spec, and is rejected as stale if the shape has changed. So
/// shapes must not change between versions of simmach, except for specs with new settings.
#[test]
fn shape_of_a_spec_is_stable() {
    fn plain() -> SpecBuilder {
        SpecBuilder::new().machine("a{1..=2}.x", obeys)
    }
    fn full() -> SpecBuilder {
        let topology = Topology::new()
            .machine("a.x/web", obeys)
            .machine("b.y", ignores)
            .machine("a.x/db", obeys)
            .host("h{1..=2}.y")
            .link("x", "y", NetworkProfile::fixed(3.millis()).loss(0.5))
            .on_exit("b.y", OnExit::Restart(2.secs()))
            .tcp(TcpConfig::new().syn_retries(2))
            .tcp_of("a.x", TcpConfig::new().syn_retries(3))
            .link_between("a.x", "b.y", NetworkProfile::lan())
            .disk("b.y", crate::storage::DiskProfile::default())
            .dual_stack();
        let monkey = crate::chaos::PowerOffs::new().machines("b.y");
        SpecBuilder::new().topology(topology).client("h2.y").plan(monkey).plan(async |_: Sim| {})
    }
    let words: Vec<_> = [
        SpecBuilder::new,
        plain,
        || plain().time_limit(9.secs()).stall_limit(8.secs()).poll_limit(7_000),
        full,
    ]
    .into_iter()
    .map(|spec: fn() -> SpecBuilder| {
        let spec = move || spec().body(async |_| Err::<(), _>("no luck"));
        outcome(0, spec).shape
    })
    .collect();
    assert_eq!(
        words,
        [
            7_676_059_063_739_985_246,
            3_168_833_257_888_114_730,
            1_814_985_862_614_419_630,
            10_714_311_218_279_597_345,
        ]
    );
}

/// A sweep does not need the shape of a passing run; replaying a token does.
#[test]
fn shape_is_computed_only_when_needed() {
    let shape = |keep, fails: bool| {
        let spec = move || {
            SpecBuilder::new().machine("a", obeys).body(async move |_| match fails {
                true => Err("no luck"),
                false => Ok(()),
            })
        };
        run_spec(spec, 0, Overlay::default(), keep, Arc::default()).shape
    };
    let replay = Keep { deviations: RecordLevel::All, ..Keep::default() };
    assert_eq!(shape(Keep::default(), false), 0);
    assert_ne!(shape(Keep::default(), true), 0);
    assert_eq!(shape(replay, false), shape(Keep::default(), true));
}
