//! Tests every form of `#[sim_test]`. libtest and `simmach::main!()` both run them, and the
//! compiler must give no warning.

mod fragments;

use simmach::prelude::*;

async fn service() -> Result<()> {
    simmach::signal::stopped().await;
    Ok(())
}

async fn named(_name: &str) {
    simmach::signal::stopped().await;
}

fn cluster() -> Topology {
    Topology::new().machine("cl.internal", service)
}

fn client() -> &'static str {
    "mover.botnet"
}

#[sim_test]
async fn bare() {
    simmach::task::yield_now().await;
}

/// A test with documentation and a visibility.
#[sim_test(seeds = 3)]
pub(crate) async fn documented(sim: Sim) {
    assert!(sim.seed() < 3);
    simmach::task::yield_now().await;
}

#[sim_test(
    seeds = 2 + 1,
    base_seed = 7,
    machines(
        "cl.internal" => service,
        "api{1..=2}.public" => || named("cl.internal:443"),
        "worker" => async || named("cl.internal:443").await,
    ),
    links(
        "botnet" <-> "public" => NetworkProfile::lan(),
        "public" -> "internal" => NetworkProfile::azure_intranet(),
        "internal" -> "public" => NetworkProfile::lan(),
    ),
    client = "mover.botnet",
    chaos = [GracefulMonkey::new().machines("api*"), async |_: Sim| {}],
    time_limit = "10m",
    stall_limit = 30.secs(),
    poll_limit = 1_000_000,
)]
async fn everything(sim: Sim) -> Result<()> {
    assert!((7..10).contains(&sim.seed()));
    simmach::time::sleep(1.secs()).await;
    Ok(())
}

#[sim_test(seeds = 3, topology = cluster(), client = client(), chaos = GracefulMonkey::new())]
async fn with_a_topology() -> Result<()> {
    simmach::time::sleep(1.secs()).await;
    Ok(())
}

#[sim_test(seeds = 10, machines("kv{1..=3}" => service), hardware = identical)]
async fn on_identical_hardware(sim: Sim) {
    assert!(sim.elapsed().is_zero(), "all machines boot at once");
}

#[sim_test(seeds = 10, machines("kv{1..=3}" => service), hardware = varied)]
async fn on_varied_hardware(sim: Sim) {
    assert!(sim.elapsed() <= 50.millis());
}

#[sim_test(seeds = 3)]
async fn with_an_error_of_its_own() -> std::result::Result<(), std::fmt::Error> {
    simmach::task::yield_now().await;
    Ok(())
}

#[sim_test(seeds = 3)]
#[should_panic(expected = "on purpose")]
async fn that_panics() {
    simmach::task::yield_now().await;
    panic!("on purpose");
}

#[sim_test(seeds = 3)]
#[should_panic]
async fn that_never_returns(mut sim: Sim) -> ! {
    sim.fail("never", "on purpose");
    let _ = &mut sim;
    std::future::pending().await
}

#[ignore = "it would fail"]
#[sim_test]
async fn ignored() {
    simmach::task::yield_now().await;
    panic!("this test is ignored");
}

#[sim_test(seeds = 3)]
#[cfg_attr(any(unix, windows), should_panic(expected = "by platform"), allow(unused_variables))]
async fn by_platform() {
    let nothing = 3;
    simmach::task::yield_now().await;
    panic!("by platform");
}

#[cfg_attr(any(unix, windows), ignore)]
#[sim_test]
async fn ignored_by_platform() {
    simmach::task::yield_now().await;
    panic!("this test is ignored");
}

#[sim_test(seeds = 3, crate = "simmach")]
async fn r#try() {
    simmach::task::yield_now().await;
}

mod elsewhere {
    use simmach as renamed;

    macro_rules! sweep {
        ($name:ident, $seeds:expr, $machine:literal, $service:expr, $limit:literal) => {
            #[renamed::sim_test(
                                                                seeds = $seeds,
                                                                machines($machine => $service),
                                                                time_limit = $limit,
                                                                crate = self::renamed,
                                                            )]
            async fn $name() {
                renamed::task::yield_now().await;
            }
        };
    }

    sweep!(from_a_macro, 3, "a{1..=3}.z", super::service, "5s");
}
