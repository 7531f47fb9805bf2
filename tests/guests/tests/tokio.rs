//! Tests tokio itself, as programs use it.

use std::io;
use std::time::Duration;

use simmach::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

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

#[sim_test(seeds = 20, check = true, machines("server.zone" => echo))]
async fn echo_answers() -> io::Result<()> {
    tokio::time::sleep(Duration::from_millis(10)).await;
    let mut stream = TcpStream::connect("10.0.0.1:7").await?;
    for turn in 0..100u8 {
        stream.write_all(&[turn; 64]).await?;
        let mut buffer = [0; 64];
        stream.read_exact(&mut buffer).await?;
        assert_eq!(buffer, [turn; 64]);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

#[sim_test(seeds = 20, check = true, machines("server.zone" => echo))]
async fn threads_connect_and_sleep() -> io::Result<()> {
    tokio::time::sleep(Duration::from_millis(10)).await;
    let answer = tokio::task::spawn_blocking(|| {
        use std::io::{Read, Write};
        let before = std::time::Instant::now();
        let mut stream = std::net::TcpStream::connect("10.0.0.1:7")?;
        stream.write_all(b"ping")?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer)?;
        std::thread::sleep(Duration::from_secs(5));
        io::Result::Ok((answer, before.elapsed()))
    });
    let (answer, took) = answer.await??;
    assert_eq!(&answer, b"ping");
    assert!(took >= Duration::from_secs(5) && took < Duration::from_secs(6), "{took:?}");
    Ok(())
}

async fn starts_a_thread() {
    drop(std::thread::spawn(|| ()));
}

#[sim_test(seeds = 5, check = true, machines("server.zone" => starts_a_thread))]
async fn detached_thread_ends() {}
