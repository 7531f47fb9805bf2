//! Tests runtimes that a program builds itself, and whole programs.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use simmach::guest;
use simmach::prelude::*;
use simmach::program::{FailureKind, Program, Scenario, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinSet, spawn_blocking};

fn millis(time: u64) -> Duration {
    Duration::from_millis(time)
}

fn current_thread() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn multi_thread() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(3).enable_all().build()
}

async fn echo() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut buffer = [0; 64];
            while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                if stream.write_all(&buffer[..length]).await.is_err() {
                    break;
                }
            }
        });
    }
}

async fn echo_once(number: u8) -> io::Result<()> {
    let mut stream = TcpStream::connect("server.zone:7").await?;
    for turn in 0..5 {
        stream.write_all(&[number, turn]).await?;
        let mut answer = [0; 2];
        stream.read_exact(&mut answer).await?;
        assert_eq!(answer, [number, turn]);
        tokio::time::sleep(millis(u64::from(number))).await;
    }
    Ok(())
}

/// Tasks, timers, sockets, the blocking pool, and a `select!`.
async fn works(sim: Sim) -> io::Result<()> {
    let before = Instant::now();
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut tasks = JoinSet::new();
    for number in 0..6 {
        let order = Arc::clone(&order);
        tasks.spawn(async move {
            echo_once(number).await?;
            let slept = spawn_blocking(move || {
                thread::sleep(millis(5));
                number
            });
            let number = slept.await?;
            tokio::select! {
                () = std::future::ready(()) => order.lock().expect("no panic").push(number),
                () = std::future::ready(()) => order.lock().expect("no panic").push(number + 100),
            }
            io::Result::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let order = order.lock().expect("no panic").clone();
    assert_eq!(order.len(), 6);
    assert!(before.elapsed() >= millis(30));
    sim.log(format!("{order:?}"));
    Ok(())
}

/// Runs `works` on a thread of the test's process.
async fn on_own_runtime(sim: Sim, build: fn() -> io::Result<Runtime>) -> io::Result<()> {
    tokio::time::sleep(millis(10)).await;
    spawn_blocking(move || build()?.block_on(works(sim))).await?
}

#[sim_test(seeds = 50, check = true, machines("server.zone" => echo))]
async fn current_thread_runtime(sim: Sim) -> io::Result<()> {
    on_own_runtime(sim, current_thread).await
}

#[sim_test(seeds = 50, check = true, machines("server.zone" => echo))]
async fn multi_thread_runtime(sim: Sim) -> io::Result<()> {
    on_own_runtime(sim, multi_thread).await
}

/// A program that ends by itself.
#[tokio::main(worker_threads = 3)]
async fn counts_to_ten() -> io::Result<()> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    COUNT.store(0, Ordering::SeqCst);
    let mut tasks = JoinSet::new();
    for number in 0..10 {
        tasks.spawn(async move {
            tokio::time::sleep(millis(number)).await;
            COUNT.fetch_add(1, Ordering::SeqCst);
        });
    }
    while tasks.join_next().await.is_some() {}
    assert_eq!(COUNT.load(Ordering::SeqCst), 10);
    Ok(())
}

#[sim_test(seeds = 30, check = true, machines("server.zone" => guest::main(counts_to_ten)))]
async fn whole_program_ends(sim: Sim) {
    let _ = sim;
    tokio::time::sleep(millis(100)).await;
}

#[tokio::main(worker_threads = 3)]
async fn multi_thread_server() -> io::Result<()> {
    echo().await
}

#[tokio::main(flavor = "current_thread")]
async fn current_thread_server() -> io::Result<()> {
    echo().await
}

async fn asks_ten_times() -> io::Result<()> {
    tokio::time::sleep(millis(10)).await;
    for number in 0..10 {
        echo_once(number).await?;
    }
    Ok(())
}

#[sim_test(seeds = 20, check = true, machines("server.zone" => guest::main(multi_thread_server)))]
async fn whole_program_with_workers_serves() -> io::Result<()> {
    asks_ten_times().await
}

#[sim_test(seeds = 20, check = true, machines("server.zone" => guest::main(current_thread_server)))]
async fn whole_program_serves() -> io::Result<()> {
    asks_ten_times().await
}

#[sim_test(seeds = 10, check = true, machines("server.zone" => guest::main(multi_thread_server)))]
async fn whole_program_is_killed_and_started_again(sim: Sim) -> io::Result<()> {
    for _ in 0..3 {
        asks_ten_times().await?;
        sim.kill("server.zone").map_err(io::Error::other)?;
        tokio::time::sleep(millis(5)).await;
        assert!(TcpStream::connect("server.zone:7").await.is_err());
        sim.start("server.zone").map_err(io::Error::other)?;
    }
    Ok(())
}

fn verdict_of(main: impl Fn() -> io::Result<()> + Clone + Send + Sync + 'static) -> Verdict {
    let program = Program::new(move || {
        let main = guest::main(main.clone());
        Scenario::new()
            .topology(Topology::new().machine("server.zone", main))
            .body(async |_: Sim| tokio::time::sleep(millis(100)).await)
    });
    program.run(1).verdict().clone()
}

#[test]
fn error_of_a_whole_program_is_its_services() {
    let verdict = verdict_of(|| Err(io::Error::other("no disk")));
    let Verdict::Failed(failure) = &verdict else { panic!("{verdict:?}") };
    assert!(failure.message.contains("no disk"), "{failure:?}");
    assert_eq!(failure.machine.as_deref(), Some("server.zone"));
}

#[test]
fn panic_of_a_whole_program_is_its_services() {
    let verdict = verdict_of(|| panic!("no disk"));
    let Verdict::Failed(failure) = &verdict else { panic!("{verdict:?}") };
    assert_eq!(failure.kind, FailureKind::Panic);
    assert_eq!(failure.message, "no disk");
    let place = failure.location.as_deref().unwrap_or_default();
    assert!(place.contains("own_runtimes.rs"), "{failure:?}");
}
