//! Tests tokio's Unix sockets between processes of one machine.

use std::io;
use std::time::Duration;

use simmach::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixDatagram, UnixListener, UnixStream};

const PATH: &str = "/run/echo.sock";

async fn echo() -> io::Result<()> {
    let listener = UnixListener::bind(PATH)?;
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

async fn ask() -> io::Result<()> {
    let mut stream = UnixStream::connect(PATH).await?;
    assert_eq!(stream.peer_addr()?.as_pathname(), Some(PATH.as_ref()));
    assert_eq!(stream.peer_cred()?.pid(), Some(std::process::id() as i32));
    for turn in 0..10u8 {
        stream.write_all(&[turn; 64]).await?;
        let mut buffer = [0; 64];
        stream.read_exact(&mut buffer).await?;
        assert_eq!(buffer, [turn; 64]);
    }
    stream.shutdown().await?;
    assert_eq!(stream.read(&mut [0; 1]).await?, 0);
    Ok(())
}

#[sim_test(seeds = 20, check = true, machines("a.zone" => echo, "b.zone" => echo))]
async fn each_machine_has_its_own_names(sim: Sim) -> io::Result<()> {
    tokio::time::sleep(Duration::from_millis(10)).await;
    // The test's machine has none.
    let error = UnixStream::connect(PATH).await.expect_err("no such name");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    for machine in ["a.zone", "b.zone"] {
        sim.run_on(machine, ask()).await.expect("no panic")?;
    }
    assert!(!std::path::Path::new(PATH).exists());
    Ok(())
}

#[sim_test(seeds = 20, check = true, machines("a.zone/echo" => echo))]
async fn killed_process_resets_its_connections(sim: Sim) -> io::Result<()> {
    tokio::time::sleep(Duration::from_millis(10)).await;
    let client = sim.run_on("a.zone", async {
        let mut stream = UnixStream::connect(PATH).await?;
        stream.write_all(b"ping").await?;
        stream.read_exact(&mut [0; 4]).await?;
        assert_eq!(stream.read(&mut [0; 4]).await?, 0);
        let error = stream.write(b"ping").await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        let error = UnixStream::connect(PATH).await.expect_err("nobody listens");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        io::Result::Ok(())
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    sim.kill("a.zone/echo").expect("it runs");
    client.await.expect("no panic")?;
    sim.start("a.zone/echo").expect("it is down");
    tokio::time::sleep(Duration::from_secs(1)).await;
    sim.run_on("a.zone", ask()).await.expect("no panic")
}

#[sim_test(seeds = 20, check = true, machines("a.zone" => echo))]
async fn power_loss_ends_both_ends(sim: Sim) -> io::Result<()> {
    tokio::time::sleep(Duration::from_millis(10)).await;
    drop(sim.run_on("a.zone", async {
        let mut stream = UnixStream::connect(PATH).await.expect("it listens");
        let read = stream.read(&mut [0; 4]).await;
        unreachable!("{read:?}");
    }));
    tokio::time::sleep(Duration::from_secs(1)).await;
    sim.power_off("a.zone").expect("it is on");
    tokio::time::sleep(Duration::from_secs(1)).await;
    sim.start("a.zone").expect("it is off");
    tokio::time::sleep(Duration::from_secs(1)).await;
    sim.run_on("a.zone", ask()).await.expect("no panic")
}

#[sim_test(seeds = 20, check = true)]
async fn datagrams_keep_their_boundaries() -> io::Result<()> {
    let server = UnixDatagram::bind("/run/log.sock")?;
    let client = UnixDatagram::bind("/run/client.sock")?;
    client.connect("/run/log.sock")?;
    let sends = tokio::spawn(async move {
        for length in 0..100 {
            client.send(&vec![7; length]).await?;
        }
        io::Result::Ok(client)
    });
    for length in 0..100 {
        let mut buffer = [0; 200];
        let (received, from) = server.recv_from(&mut buffer).await?;
        assert_eq!(received, length);
        assert_eq!(from.as_pathname(), Some("/run/client.sock".as_ref()));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let client = sends.await??;
    drop(server);
    let error = client.send(b"x").await.expect_err("nobody receives");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    Ok(())
}

/// More than the buffer holds.
#[sim_test(seeds = 20, check = true)]
async fn pair_carries_a_megabyte() -> io::Result<()> {
    let (mut one, mut other) = UnixStream::pair()?;
    let sent: Vec<u8> = (0..1_000_000_u32).map(|number| number as u8).collect();
    let expected = sent.clone();
    let writes = tokio::spawn(async move {
        one.write_all(&sent).await?;
        drop(one);
        io::Result::Ok(())
    });
    let mut received = Vec::new();
    other.read_to_end(&mut received).await?;
    assert!(received == expected);
    writes.await?
}

/// std's sockets block on threads.
#[sim_test(seeds = 20, check = true)]
async fn threads_use_std() -> io::Result<()> {
    use std::io::{Read, Write};
    use std::os::unix::net::{UnixListener, UnixStream};

    let listener = UnixListener::bind("/run/std.sock")?;
    let error = UnixListener::bind("/run/std.sock").expect_err("it is bound");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        let mut whole = Vec::new();
        stream.read_to_end(&mut whole)?;
        stream.write_all(&whole)?;
        io::Result::Ok(())
    });
    let client = tokio::task::spawn_blocking(|| {
        let mut stream = UnixStream::connect("/run/std.sock")?;
        stream.write_all(&vec![5; 500_000])?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut whole = Vec::new();
        stream.read_to_end(&mut whole)?;
        assert!(whole == vec![5; 500_000]);
        io::Result::Ok(())
    });
    client.await??;
    server.join().expect("no panic")
}
