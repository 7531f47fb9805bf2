//! Tests tokio's blocking pool.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use simmach::prelude::*;
use simmach::storage::{self, types::Str};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Handle;
use tokio::task::{JoinSet, spawn_blocking};

/// An echo server with a thread for each connection, without async functions.
fn serve_on_threads() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:7")?;
    loop {
        let (mut stream, _) = listener.accept()?;
        thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                if stream.write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
        });
    }
}

async fn threaded_server() -> io::Result<()> {
    spawn_blocking(serve_on_threads).await?
}

fn echo_once(number: u8) -> io::Result<()> {
    let mut stream = TcpStream::connect("server.zone:7")?;
    for turn in 0..10 {
        stream.write_all(&[number, turn])?;
        let mut answer = [0; 2];
        stream.read_exact(&mut answer)?;
        assert_eq!(answer, [number, turn]);
    }
    Ok(())
}

#[sim_test(seeds = 50, check = true, machines("server.zone" => threaded_server))]
async fn blocking_sockets_of_several_threads() -> io::Result<()> {
    tokio::time::sleep(Duration::from_millis(10)).await;
    let mut clients = JoinSet::new();
    for number in 0..4 {
        clients.spawn_blocking(move || echo_once(number));
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    Ok(())
}

async fn native_echo() -> io::Result<()> {
    let listener = simmach::net::TcpListener::bind("0.0.0.0:9").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        simmach::task::spawn(async move {
            let mut buffer = [0; 64];
            while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                if stream.write_all(&buffer[..length]).await.is_err() {
                    break;
                }
            }
        });
    }
}

/// simmach's own modules, polled on a thread of the pool.
#[sim_test(seeds = 50, check = true, machines("server.zone" => native_echo))]
async fn own_modules_work_on_threads(sim: Sim) -> io::Result<()> {
    simmach::time::sleep(Duration::from_millis(10)).await;
    let mut threads = JoinSet::new();
    for number in 0..3u8 {
        threads.spawn_blocking(move || {
            Handle::current().block_on(async move {
                let mut stream = simmach::net::TcpStream::connect("server.zone:9").await?;
                let before = simmach::time::Instant::now();
                let drawn = simmach::rand::random().to_be_bytes();
                for _ in 0..3 {
                    stream.write_all(&drawn).await?;
                    let mut answer = [0; 8];
                    stream.read_exact(&mut answer).await?;
                    assert_eq!(answer, drawn);
                    simmach::time::sleep(Duration::from_millis(20)).await;
                }
                assert!(before.elapsed() >= Duration::from_millis(60));
                io::Result::Ok((number, drawn))
            })
        });
    }
    while let Some(ended) = threads.join_next().await {
        sim.log(format!("{:?}", ended??));
    }
    Ok(())
}

/// A store is opened and written on threads of the pool.
#[sim_test(seeds = 20, check = true)]
async fn stores_are_used_on_threads() -> Result<(), storage::Error> {
    let db = storage::open("db").await?;
    let other = db.clone();
    let written = spawn_blocking(move || {
        Handle::current().block_on(other.write(|txn| {
            let users = txn.table::<Str, Str>("users")?;
            users.put(txn, "a", "first")?;
            Ok(())
        }))
    });
    written.await.expect("it returns")?;
    let found = db.read(|txn| {
        let users = txn.table::<Str, Str>("users")?.expect("it was written");
        Ok(users.get(txn, "a")?.map(str::to_owned))
    });
    assert_eq!(found.await?.as_deref(), Some("first"));
    Ok(())
}

#[sim_test(seeds = 50, check = true)]
async fn async_locks_are_taken_on_threads() {
    let lock = Arc::new(tokio::sync::Mutex::new(0));
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let mut threads = JoinSet::new();
    for number in 0..4 {
        let (lock, sender) = (Arc::clone(&lock), sender.clone());
        threads.spawn_blocking(move || {
            let mut value = lock.blocking_lock();
            let before = *value;
            thread::sleep(Duration::from_millis(3));
            *value = before + 1;
            drop(value);
            sender.blocking_send(number).expect("there is a receiver");
        });
    }
    drop(sender);
    let mut received = Vec::new();
    while let Some(number) = receiver.recv().await {
        received.push(number);
    }
    received.sort_unstable();
    assert_eq!(received, [0, 1, 2, 3]);
    while let Some(ended) = threads.join_next().await {
        ended.expect("it returns");
    }
    assert_eq!(*lock.lock().await, 4);
}

/// A blocking task that runs cannot be aborted; one that waits for a thread of the pool can.
#[sim_test(seeds = 20, check = true)]
async fn blocking_tasks_are_aborted_before_they_begin() {
    let ran = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&ran);
    let task = spawn_blocking(move || {
        thread::sleep(Duration::from_millis(10));
        seen.store(true, Ordering::SeqCst);
    });
    tokio::time::sleep(Duration::from_millis(2)).await;
    task.abort();
    assert!(task.await.is_ok());
    assert!(ran.load(Ordering::SeqCst));

    let mut set = JoinSet::new();
    set.spawn(async { std::future::pending::<()>().await });
    set.spawn_blocking(|| thread::sleep(Duration::from_millis(5)));
    tokio::time::sleep(Duration::from_millis(1)).await;
    set.abort_all();
    let (mut cancelled, mut ended) = (0, 0);
    while let Some(joined) = set.join_next().await {
        match joined {
            Ok(()) => ended += 1,
            Err(error) if error.is_cancelled() => cancelled += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((cancelled, ended), (1, 1));
}

/// tokio keeps an idle thread for ten seconds.
#[sim_test(seeds = 10, check = true)]
async fn idle_threads_of_the_pool_end() {
    for _ in 0..3 {
        spawn_blocking(|| ()).await.expect("it returns");
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
}
