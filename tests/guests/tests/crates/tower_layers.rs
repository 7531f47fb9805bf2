//! Tests tower: timeout, buffer, rate limit, retry and balance.

use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};

use simmach::prelude::*;
use tokio::time::Instant;
use tower::balance::p2c::Balance;
use tower::discover::ServiceList;
use tower::load::{CompleteOnResponse, PendingRequests};
use tower::retry::Policy;
use tower::util::BoxCloneService;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{ask_line, lossy, partitions, power_offs, serve_lines};

/// Stores one value, and answers each request with the value.
async fn serve() -> Result {
    let stored = Arc::new(Mutex::new(String::from("-")));
    serve_lines(move |line| {
        let stored = Arc::clone(&stored);
        async move {
            tokio::time::sleep(10.millis()).await;
            let mut stored = stored.lock().expect("no panic while it is held");
            if let Some(value) = line.strip_prefix("set ") {
                *stored = value.to_owned();
            }
            stored.clone()
        }
    })
    .await
}

/// A retry policy with a number of remaining attempts.
#[derive(Clone)]
struct Attempts(u32);

impl<T> Policy<String, T, BoxError> for Attempts {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut String, result: &mut Result<T, BoxError>) -> Option<Ready<()>> {
        if result.is_ok() || self.0 == 0 {
            return None;
        }
        self.0 -= 1;
        Some(ready(()))
    }

    fn clone_request(&mut self, request: &String) -> Option<String> {
        Some(request.clone())
    }
}

fn asks(
    machine: String,
) -> impl Service<String, Response = String, Error = BoxError, Future: Send> + Clone + Send + 'static
{
    service_fn(move |line: String| {
        let machine = machine.clone();
        async move { ask_line(&machine, line).await }
    })
}

type Ask = BoxCloneService<String, String, BoxError>;

#[sim_test(
    seeds = 200,
    check = true,
    topology = lossy().machine("server.zone", serve),
    client = "client.office",
    chaos = [power_offs(), partitions()],
)]
async fn layers_outlive_faults(sim: Sim) -> Result {
    let ask: Ask = ServiceBuilder::new()
        .boxed_clone()
        .buffer(16)
        .rate_limit(5, 1.secs())
        .retry(Attempts(2))
        .timeout(500.millis())
        .service(asks("server.zone".to_owned()));
    let begin = Instant::now();
    let (mut asked, mut answers) = (0, 0);
    for step in sim.steps(20) {
        tokio::time::sleep(step.random_range(0..300_u64).millis()).await;
        let burst = step.random_range(1..6_u64);
        asked += burst;
        let value = format!("value{}", step.number());
        let requests = (0..burst).map(|_| ask.clone().oneshot(format!("set {value}")));
        for answer in futures::future::join_all(requests).await.into_iter().flatten() {
            assert_eq!(answer, value);
            answers += 1;
        }
    }
    sim.log(format!("{answers} answers of {asked}"));
    let least = Duration::from_secs(asked.div_ceil(5) - 1);
    assert!(begin.elapsed() >= least, "{asked} requests took {:?}", begin.elapsed());
    Ok(())
}

fn balanced() -> Ask {
    let servers = (1..=3).map(|n| {
        let ask = ServiceBuilder::new().timeout(1.secs()).service(asks(format!("server{n}.zone")));
        PendingRequests::new(ask, CompleteOnResponse::default())
    });
    let balance = Balance::new(ServiceList::new::<String>(servers));
    ServiceBuilder::new().boxed_clone().buffer(16).service(balance)
}

#[sim_test(
    seeds = 200,
    check = true,
    topology = lossy().machine("server{1..=3}.zone", serve),
    client = "client.office",
    chaos = [power_offs(), partitions()],
)]
async fn balance_outlives_faults(sim: Sim) -> Result {
    let ask = balanced();
    let mut answers = 0;
    for step in sim.steps(20) {
        tokio::time::sleep(step.random_range(0..300_u64).millis()).await;
        let value = format!("value{}", step.number());
        let requests = (0..6).map(|_| ask.clone().oneshot(format!("set {value}")));
        for answer in futures::future::join_all(requests).await.into_iter().flatten() {
            assert_eq!(answer, value);
            answers += 1;
        }
    }
    sim.log(format!("{answers} answers"));
    Ok(())
}

/// The bug: the servers do not share their data, so that a client may fail to read what it has written.
#[sim_test(
    topology = lossy().machine("server{1..=3}.zone", serve),
    client = "client.office",
    expect_failure(faults <= 0, steps <= 5),
)]
async fn own_write_is_not_read_from_another_server(sim: Sim) -> Result {
    let ask = balanced();
    for step in sim.steps(10) {
        tokio::time::sleep(100.millis()).await;
        let value = format!("value{}", step.number());
        if ask.clone().oneshot(format!("set {value}")).await.is_err() {
            continue;
        }
        let Ok(read) = ask.clone().oneshot("get".to_owned()).await else { continue };
        assert_eq!(read, value);
    }
    Ok(())
}
