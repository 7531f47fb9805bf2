//! Tests pools of connections with deadpool and bb8, and retries with backon.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use backon::{ExponentialBuilder, Retryable};
use deadpool::managed::{self, Metrics, RecycleResult};
use futures::{SinkExt, StreamExt};
use simmach::prelude::*;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_util::codec::{Framed, LinesCodec};

use crate::support::{ask_line, lossy, partitions, power_offs, serve_lines};

async fn echo() -> Result {
    serve_lines(async |line| {
        tokio::time::sleep(20.millis()).await;
        line
    })
    .await
}

type Lines = Framed<TcpStream, LinesCodec>;

async fn connect() -> Result<Lines> {
    let stream = timeout(2.secs(), TcpStream::connect("server.zone:7")).await??;
    Ok(Framed::new(stream, LinesCodec::new()))
}

async fn ask(lines: &mut Lines, line: String) -> Result<String> {
    lines.send(line).await?;
    Ok(lines.next().await.ok_or("closed")??)
}

/// The manager of connections for both pools. With `pings`, a pool checks a connection before it is
/// used again.
#[derive(Default)]
struct Connections {
    pings: bool,
    pinged: AtomicU64,
}

impl Connections {
    /// Looks whether a connection still answers, with nothing else on its way.
    async fn ping(&self, lines: &mut Lines) -> Result {
        let ping = format!("ping {}", self.pinged.fetch_add(1, Ordering::Relaxed));
        let answer = timeout(500.millis(), ask(lines, ping.clone())).await??;
        if answer == ping { Ok(()) } else { Err("an answer to something else".into()) }
    }
}

impl managed::Manager for Connections {
    type Type = Lines;
    type Error = BoxError;

    async fn create(&self) -> Result<Lines> {
        connect().await
    }

    async fn recycle(&self, lines: &mut Lines, _: &Metrics) -> RecycleResult<BoxError> {
        if self.pings {
            self.ping(lines).await?;
        }
        Ok(())
    }
}

impl bb8::ManageConnection for Connections {
    type Connection = Lines;
    type Error = BoxError;

    async fn connect(&self) -> Result<Lines> {
        connect().await
    }

    async fn is_valid(&self, lines: &mut Lines) -> Result {
        self.ping(lines).await
    }

    fn has_broken(&self, _: &mut Lines) -> bool {
        false
    }
}

/// Several users at a time, each of which gets the answer to its own question.
async fn work<F: Future<Output = Result<String>>>(sim: Sim, ask: impl Fn(String) -> F) -> Result {
    let mut answers = 0;
    for step in sim.steps(20) {
        tokio::time::sleep(step.random_range(0..300_u64).millis()).await;
        let users = step.random_range(1..6_u64);
        let asked = (0..users).map(|user| {
            let question = format!("question {} of {user}", step.number());
            let ask = ask(question.clone());
            async move { (question, ask.await) }
        });
        for (question, answer) in futures::future::join_all(asked).await {
            if let Ok(answer) = answer {
                assert_eq!(answer, question);
                answers += 1;
            }
        }
    }
    sim.log(format!("{answers} answers"));
    Ok(())
}

fn deadpool(pings: bool) -> Result<managed::Pool<Connections>> {
    let builder = managed::Pool::builder(Connections { pings, ..Connections::default() });
    Ok(builder
        .max_size(3)
        .wait_timeout(Some(2.secs()))
        .runtime(deadpool::Runtime::Tokio1)
        .build()?)
}

#[sim_test(
    seeds = 200,
    check = true,
    topology = lossy().machine("server.zone", echo),
    client = "client.office",
    chaos = [power_offs(), partitions()],
)]
async fn deadpool_outlives_faults(sim: Sim) -> Result {
    let pool = deadpool(true)?;
    let ask = async |question| {
        let mut lines = pool.get().await.map_err(|error| error.to_string())?;
        timeout(1.secs(), ask(&mut lines, question)).await?
    };
    work(sim, ask).await
}

#[sim_test(
    seeds = 200,
    check = true,
    topology = lossy().machine("server.zone", echo),
    client = "client.office",
    chaos = [power_offs(), partitions()],
)]
async fn bb8_outlives_faults(sim: Sim) -> Result {
    let builder = bb8::Pool::builder().max_size(3).connection_timeout(2.secs());
    let pool = builder.test_on_check_out(true).build_unchecked(Connections::default());
    let ask = async |question| {
        let mut lines = pool.get().await.map_err(|error| format!("{error:?}"))?;
        timeout(1.secs(), ask(&mut lines, question)).await?
    };
    work(sim, ask).await
}

/// The bug: a connection goes back to the pool with an answer on its way, which the next user takes for its own.
#[sim_test(
    topology = lossy().machine("server.zone", echo),
    client = "client.office",
    chaos = partitions(),
    expect_failure(faults <= 1, steps <= 3),
)]
async fn late_answer_is_taken_for_another(sim: Sim) -> Result {
    let pool = deadpool(false)?;
    let ask = async |question| {
        let mut lines = pool.get().await.map_err(|error| error.to_string())?;
        timeout(1.secs(), ask(&mut lines, question)).await?
    };
    work(sim, ask).await
}

fn backoff() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(100.millis())
        .with_max_delay(1.secs())
        .with_max_times(10)
        .with_jitter()
}

async fn ask_in_time(line: String) -> Result<String> {
    timeout(1.secs(), ask_line("server.zone", line)).await?
}

#[sim_test(
    seeds = 200,
    check = true,
    topology = lossy().machine("server.zone", echo),
    client = "client.office",
    chaos = [power_offs(), partitions()],
)]
async fn backon_tries_again(sim: Sim) -> Result {
    for step in sim.steps(10) {
        tokio::time::sleep(step.random_range(0..300_u64).millis()).await;
        let question = format!("question {}", step.number());
        let begin = Instant::now();
        let mut tries = 0;
        let answer = (|| {
            tries += 1;
            ask_in_time(question.clone())
        })
        .retry(backoff())
        .await;
        match answer {
            Ok(answer) => assert_eq!(answer, question),
            Err(error) => {
                assert_eq!(tries, 11, "{error}");
                assert!(begin.elapsed() >= 3.secs(), "{:?}", begin.elapsed());
            }
        }
    }
    Ok(())
}

/// Draws tickets: each is given away once.
async fn tickets() -> Result {
    let next = Arc::new(Mutex::new(0_u64));
    serve_lines(move |_| {
        let next = Arc::clone(&next);
        async move {
            let mut next = next.lock().expect("no panic while it is held");
            *next += 1;
            next.to_string()
        }
    })
    .await
}

/// The bug: a ticket whose answer is lost is drawn again, and one is missing.
#[sim_test(
    topology = lossy().machine("server.zone", tickets),
    client = "client.office",
    chaos = partitions(),
    expect_failure(faults <= 1, steps <= 1),
)]
async fn ticket_is_drawn_again(sim: Sim) -> Result {
    for step in sim.steps(50) {
        tokio::time::sleep(step.random_range(0..200_u64).millis()).await;
        let drawn = (|| ask_in_time("draw".to_owned())).retry(backoff()).await;
        let Ok(ticket) = drawn else { return Ok(()) };
        assert_eq!(ticket, step.number().to_string(), "the ticket");
    }
    Ok(())
}
