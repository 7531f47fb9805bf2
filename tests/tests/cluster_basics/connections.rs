//! Tests connections between machines.

use std::collections::BTreeSet;
use std::future::pending;
use std::io;

use simmach::net::{SocketState, TcpListener, TcpStream};
use simmach::prelude::*;
use simmach::task::{JoinSet, spawn};
use simmach::time::{Instant, timeout};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Answers each number with its successor.
async fn successor() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        spawn(async move {
            while let Ok(number) = stream.read_u32().await {
                if stream.write_u32(number + 1).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// A server that listens, but never accepts a connection.
async fn deaf() -> io::Result<()> {
    let _listener = TcpListener::bind("0.0.0.0:80").await?;
    pending().await
}

/// Forwards each question to another server, and returns the answer.
async fn proxy() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        spawn(async move {
            let question = stream.read_u32().await?;
            stream.write_u32(ask("server.internal:80", question).await?).await
        });
    }
}

async fn ask(address: &str, question: u32) -> io::Result<u32> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_u32(question).await?;
    stream.read_u32().await
}

fn kind<T>(result: io::Result<T>) -> Option<io::ErrorKind> {
    result.err().map(|error| error.kind())
}

/// A machine without a route is an error at once, not a hang.
#[sim_test(
    seeds = 5,
    machines("server.island" => successor, "server.public" => successor),
    links("bot" <-> "public" => NetworkProfile::lan()),
    client = "bot",
)]
async fn connect_without_a_route_fails_at_once(sim: Sim) {
    let began = sim.elapsed();
    let answer = ask("server.island:80", 1).await;
    assert_eq!(kind(answer), Some(io::ErrorKind::HostUnreachable));
    assert_eq!(sim.elapsed(), began);
}

/// A machine that is up answers with a reset: the client does not wait for a timeout.
#[sim_test(seeds = 5, machines("server" => successor))]
async fn connect_to_a_closed_port_is_refused() {
    let began = Instant::now();
    assert_eq!(kind(ask("server:81", 1).await), Some(io::ErrorKind::ConnectionRefused));
    assert!(began.elapsed() < 1.millis());
}

/// A server that hangs costs its client the timeout and no more.
#[sim_test(seeds = 5, machines("server" => deaf))]
async fn request_to_a_hanging_server_times_out() {
    let began = Instant::now();
    assert!(timeout(5.secs(), ask("server:80", 1)).await.is_err());
    assert_eq!(began.elapsed(), 5.secs());
}

#[sim_test(seeds = 20, machines("server" => successor))]
async fn request_is_answered() -> Result {
    assert_eq!(ask("server:80", 1).await?, 2);
    Ok(())
}

/// After a reboot the port is free, and a client can connect anew.
#[sim_test(seeds = 20, machines("server" => successor))]
async fn request_is_answered_after_a_reboot(sim: Sim) -> Result {
    let mut old = TcpStream::connect("server:80").await?;
    sim.stop("server", 1.secs()).await?;
    assert_eq!(kind(ask("server:80", 1).await), Some(io::ErrorKind::ConnectionRefused));
    sim.start("server")?;
    assert_eq!(ask("server:80", 1).await?, 2);
    sim.power_off("server")?;
    sim.start("server")?;
    assert_eq!(ask("server:80", 3).await?, 4);
    assert!(old.write_u32(1).await.is_err() || old.read_u32().await.is_err());
    Ok(())
}

#[sim_test(
    seeds = 20,
    machines("proxy.public" => proxy, "server.internal" => successor),
    links(
        "bot" <-> "public" => NetworkProfile::internet(),
        "public" <-> "internal" => NetworkProfile::azure_intranet(),
    ),
    client = "bot",
)]
async fn request_is_answered_through_a_proxy() -> Result {
    assert!(ask("server.internal:80", 1).await.is_err(), "the proxy is the only way");
    assert_eq!(ask("proxy.public:80", 1).await?, 2);
    Ok(())
}

/// Packets that arrive in reverse order are read in the order they were written.
#[sim_test(
    seeds = 20,
    machines("server.far" => successor),
    links("bot" <-> "far" => NetworkProfile::reverse_latency()),
    client = "bot",
)]
async fn packets_out_of_order_are_reordered() -> Result {
    let mut stream = TcpStream::connect("server.far:80").await?;
    stream.set_nodelay(true)?;
    for number in 0..50 {
        stream.write_u32(number).await?;
    }
    for number in 0..50 {
        assert_eq!(stream.read_u32().await?, number + 1);
    }
    Ok(())
}

#[sim_test(
    seeds = 20,
    machines("server.far" => successor),
    links("bot" <-> "far" => NetworkProfile::internet()),
    client = "bot",
)]
async fn connections_to_one_machine_run_in_parallel() -> Result {
    let began = Instant::now();
    let mut asking = JoinSet::new();
    for number in 0..20 {
        asking.spawn(async move { ask("server.far:80", number).await });
    }
    let answers: io::Result<BTreeSet<u32>> = asking.join_all().await.into_iter().collect();
    assert_eq!(answers?, (1..=20).collect());
    assert!(began.elapsed() <= 400.millis(), "two round trips in all, not for each connection");
    Ok(())
}

/// Connections to the same server differ only in the client's port.
#[sim_test(seeds = 20, machines("server" => successor))]
async fn connections_have_a_port_each(sim: Sim) -> Result {
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(TcpStream::connect("server:80").await?);
    }
    let ports: io::Result<BTreeSet<u16>> =
        streams.iter().map(|stream| Ok(stream.local_addr()?.port())).collect();
    assert_eq!(ports?.len(), 10);
    let sockets = sim.sockets("client");
    let open = sockets.iter().filter(|socket| socket.state == SocketState::Established);
    assert_eq!(open.count(), 10);
    Ok(())
}

/// A server that sends several messages for one request.
#[sim_test(
    seeds = 20,
    machines("server.far" => publisher),
    links("bot" <-> "far" => NetworkProfile::mobile_3g()),
    client = "bot",
)]
async fn subscription_delivers_all_events() -> Result {
    let mut stream = TcpStream::connect("server.far:80").await?;
    stream.write_all(b"subscribe\n").await?;
    let mut events = Vec::new();
    loop {
        match stream.read_u32().await? {
            END => break,
            event => events.push(event),
        }
    }
    assert_eq!(events, [0, 1, 2, 3, 4]);
    assert_eq!(stream.read(&mut [0]).await?, 0, "nothing follows");
    Ok(())
}

const END: u32 = u32::MAX;

async fn publisher() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    let (mut stream, _) = listener.accept().await?;
    let mut asked = [0; 10];
    stream.read_exact(&mut asked).await?;
    assert_eq!(&asked, b"subscribe\n");
    for event in 0..5 {
        simmach::time::sleep(50.millis()).await;
        stream.write_u32(event).await?;
    }
    stream.write_u32(END).await?;
    stream.shutdown().await
}
