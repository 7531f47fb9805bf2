//! A service runs, and then disposes of what it has: of a lease, of a lock.

use std::cell::Cell;
use std::rc::Rc;

use simmach::prelude::*;
use simmach::signal;
use simmach::time::sleep;

#[derive(Default)]
struct Disposed(Cell<bool>);

/// Runs, and disposes however that ends: which takes so long.
async fn engine(run: impl AsyncFn() -> Result, dispose: Duration) -> Result {
    let ended = run().await;
    sleep(dispose).await;
    Sim::current().state::<Disposed>().0.set(true);
    ended
}

async fn until_stopped() -> Result {
    signal::stopped().await;
    Ok(())
}

fn disposed(sim: Sim) -> bool {
    Rc::clone(&sim.state::<Disposed>()).0.get()
}

#[sim_test(seeds = 5, machines("server" => || engine(until_stopped, 1.secs())))]
async fn a_normal_end_disposes(sim: Sim) -> Result {
    sim.stop("server", 2.secs()).await?;
    assert!(disposed(sim));
    Ok(())
}

/// A service that faults disposes too; its machine is one on which a fault is no failure of the run.
#[sim_test(
    seeds = 5,
    topology = Topology::new().machine("server", faulty).on_exit("server", OnExit::StayDown),
)]
async fn an_abnormal_end_disposes(sim: Sim) {
    sleep(2.secs()).await;
    assert!(disposed(sim) && !sim.is_up("server"));
}

async fn faulty() -> Result {
    engine(async || Err("out of luck".into()), 1.secs()).await
}

#[sim_test(seeds = 5, machines("server" => || engine(until_stopped, 1.secs())))]
async fn a_kill_does_not_dispose(sim: Sim) -> Result {
    sim.kill("server")?;
    sleep(10.secs()).await;
    assert!(!disposed(sim));
    Ok(())
}

/// Disposing is part of the grace: what takes longer is killed in the middle of it.
#[sim_test(seeds = 5, machines("server" => || engine(until_stopped, 3.secs())))]
async fn a_slow_dispose_is_killed(sim: Sim) -> Result {
    sim.stop("server", 2.secs()).await?;
    sleep(10.secs()).await;
    assert!(!disposed(sim));
    Ok(())
}
