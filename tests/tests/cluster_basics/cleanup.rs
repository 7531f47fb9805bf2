//! Tests when a service can clean up at its end, for example to release a lease.

use std::cell::Cell;
use std::rc::Rc;

use simmach::prelude::*;
use simmach::signal;
use simmach::time::sleep;

#[derive(Default)]
struct CleanedUp(Cell<bool>);

/// Runs a service, then cleans up. The clean-up takes the time `cleanup`.
async fn service(run: impl AsyncFn() -> Result, cleanup: Duration) -> Result {
    let ended = run().await;
    sleep(cleanup).await;
    Sim::current().state::<CleanedUp>().0.set(true);
    ended
}

async fn until_stopped() -> Result {
    signal::stopped().await;
    Ok(())
}

fn is_cleaned_up(sim: Sim) -> bool {
    Rc::clone(&sim.state::<CleanedUp>()).0.get()
}

#[sim_test(seeds = 5, machines("server" => || service(until_stopped, 1.secs())))]
async fn stop_lets_cleanup_run(sim: Sim) -> Result {
    sim.stop("server", 2.secs()).await?;
    assert!(is_cleaned_up(sim));
    Ok(())
}

/// With `OnExit::StayDown`, an error of a service on this machine does not fail the run.
#[sim_test(
    seeds = 5,
    topology = Topology::new().machine("server", faulty).on_exit("server", OnExit::StayDown),
)]
async fn error_lets_cleanup_run(sim: Sim) {
    sleep(2.secs()).await;
    assert!(is_cleaned_up(sim) && !sim.is_up("server"));
}

async fn faulty() -> Result {
    service(async || Err("out of luck".into()), 1.secs()).await
}

#[sim_test(seeds = 5, machines("server" => || service(until_stopped, 1.secs())))]
async fn kill_skips_cleanup(sim: Sim) -> Result {
    sim.kill("server")?;
    sleep(10.secs()).await;
    assert!(!is_cleaned_up(sim));
    Ok(())
}

/// Cleaning up is part of the grace time: a service that takes longer is killed meanwhile.
#[sim_test(seeds = 5, machines("server" => || service(until_stopped, 3.secs())))]
async fn cleanup_past_its_grace_is_killed(sim: Sim) -> Result {
    sim.stop("server", 2.secs()).await?;
    sleep(10.secs()).await;
    assert!(!is_cleaned_up(sim));
    Ok(())
}
