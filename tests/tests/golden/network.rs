//! Programs that use TCP and UDP, on links that use every setting of a profile.

use std::io;

use simmach::net::{PacketFate, TcpListener, TcpStream, UdpSocket};
use simmach::prelude::*;
use simmach::program::{Scenario, Spec};
use simmach::task::spawn;
use simmach::time::{sleep, timeout};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Golden;

pub(super) const ALL: &[Golden] = &[
    Golden { name: "bulk transfer over a narrow link", seeds: 6, spec: bulk_over_narrow_link },
    Golden { name: "requests over a bad link", seeds: 8, spec: requests_over_bad_link },
    Golden { name: "requests in both families", seeds: 4, spec: requests_in_both_families },
    Golden { name: "connections that end in every way", seeds: 4, spec: ends_of_connections },
    Golden { name: "filtered packets", seeds: 4, spec: filtered_packets },
    Golden { name: "datagrams over a bad link", seeds: 8, spec: datagrams_over_bad_link },
    Golden { name: "datagrams broadcast in a zone", seeds: 4, spec: broadcasts },
];

fn bad_link() -> NetworkProfile {
    NetworkProfile::uniform(5.millis(), 60.millis())
        .loss(0.05)
        .duplication(0.05)
        .reorder(0.1, 30.millis())
}

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

/// Reads to the end of the stream and answers with the number of bytes.
async fn count_bytes() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        spawn(async move {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await?;
            stream.write_u64(bytes.len() as u64).await
        });
    }
}

async fn ask(address: &str, questions: u32) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    for question in 0..questions {
        stream.write_u32(question).await?;
        assert_eq!(stream.read_u32().await?, question + 1);
    }
    Ok(())
}

fn bulk_over_narrow_link() -> Spec {
    let narrow = NetworkProfile::fixed(20.millis()).bandwidth(1 << 20, 64 << 10).loss(0.01);
    Scenario::new()
        .machine("server.dc", count_bytes)
        .link("clients", "dc", narrow.mtu(1_000))
        .client("app.clients")
        .body(async |_: Sim| -> Result {
            let mut stream = TcpStream::connect("server.dc:80").await?;
            stream.write_all(&vec![7; 300_000]).await?;
            stream.shutdown().await?;
            assert_eq!(stream.read_u64().await?, 300_000);
            Ok(())
        })
}

fn requests_over_bad_link() -> Spec {
    Scenario::new()
        .machine("server.dc", successor)
        .link("clients", "dc", bad_link())
        .client("app.clients")
        .body(async |sim: Sim| -> Result {
            for step in sim.steps(10) {
                ask("server.dc:80", step.random_range(1..20)).await?;
            }
            Ok(())
        })
}

fn requests_in_both_families() -> Spec {
    let topology = Topology::new()
        .machine("server{1..=2}.dc", successor)
        .dual_stack()
        .link("clients", "dc", NetworkProfile::internet())
        .link_between("app.clients", "server2.dc", NetworkProfile::mobile_4g());
    Scenario::new().topology(topology).client("app.clients").body(async |sim: Sim| -> Result {
        let other = sim.run_on("server1.dc", async { ask("server2.dc:80", 20).await });
        ask("server1.dc:80", 20).await?;
        ask("server2.dc:80", 20).await?;
        Ok(other.await??)
    })
}

fn ends_of_connections() -> Spec {
    Scenario::new().machine("server", successor).body(async |sim: Sim| -> Result {
        assert!(ask("server:81", 1).await.is_err());
        // The drop of a stream with unread data sends a reset.
        let mut unread = TcpStream::connect("server:80").await?;
        unread.write_u32(1).await?;
        sleep(1.secs()).await;
        drop(unread);
        let mut half_closed = TcpStream::connect("server:80").await?;
        half_closed.write_u32(1).await?;
        half_closed.shutdown().await?;
        assert_eq!(half_closed.read_u32().await?, 2);
        let mut cut = TcpStream::connect("server:80").await?;
        sim.power_off("server")?;
        assert!(timeout(5.secs(), cut.write_u32(1)).await?.is_ok());
        assert!(timeout(5.secs(), cut.read_u32()).await.is_err());
        sim.start("server")?;
        assert!(timeout(60.secs(), cut.read_u32()).await?.is_err());
        Ok(ask("server:80", 3).await?)
    })
}

fn filtered_packets() -> Spec {
    Scenario::new().machine("server", successor).body(async |sim: Sim| -> Result {
        let mut nth = 0;
        let filter = sim.filter_packets("client", "server", move |_| {
            nth += 1;
            match nth % 7 {
                3 => PacketFate::Drop,
                5 => PacketFate::Delay(Duration::from_millis(40)),
                _ => PacketFate::Pass,
            }
        })?;
        ask("server:80", 20).await?;
        drop(filter);
        Ok(ask("server:80", 20).await?)
    })
}

/// Sends each datagram back.
async fn reflect() -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:9").await?;
    let mut bytes = [0; 1_024];
    loop {
        let (length, from) = socket.recv_from(&mut bytes).await?;
        let _ = socket.send_to(&bytes[..length], from).await;
    }
}

fn datagrams_over_bad_link() -> Spec {
    Scenario::new()
        .machine("server.dc", reflect)
        .link("clients", "dc", bad_link())
        .client("app.clients")
        .body(async |sim: Sim| -> Result {
            let socket = UdpSocket::bind("0.0.0.0:0").await?;
            socket.connect("server.dc:9").await?;
            let mut came = 0;
            for step in sim.steps(40) {
                socket.send(&vec![step.number() as u8; step.random_range(0..600)]).await?;
                let mut bytes = [0; 1_024];
                while timeout(20.millis(), socket.recv(&mut bytes)).await.is_ok() {
                    came += 1;
                }
            }
            assert!(came > 10, "{came} datagrams came back");
            Ok(())
        })
}

fn broadcasts() -> Spec {
    Scenario::new().machine("member{1..=4}.zone", reflect).client("app.zone").body(
        async |_: Sim| -> Result {
            let socket = UdpSocket::bind("0.0.0.0:0").await?;
            socket.set_broadcast(true)?;
            socket.send_to(b"hello", "255.255.255.255:9").await?;
            let mut bytes = [0; 16];
            for _ in 0..4 {
                timeout(1.secs(), socket.recv_from(&mut bytes)).await??;
            }
            Ok(())
        },
    )
}
