//! Tests quinn, with rustls on ring.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use quinn::{ClientConfig, Connection, Endpoint, IdleTimeout, ServerConfig, TransportConfig};
use simmach::prelude::*;
use tokio::time::timeout;

use crate::support::{lossy, partitions, power_offs};
use crate::web::{certificate, use_ring};

fn transport() -> Result<Arc<TransportConfig>> {
    let mut transport = TransportConfig::default();
    transport.max_idle_timeout(Some(IdleTimeout::try_from(3.secs())?));
    transport.keep_alive_interval(Some(1.secs()));
    Ok(Arc::new(transport))
}

/// Echoes the contents of bidirectional streams, and adds up the lengths of the contents of
/// unidirectional streams.
async fn serve() -> Result {
    use_ring();
    let (certificate, key) = certificate("server.zone")?;
    let mut config = ServerConfig::with_single_cert(vec![certificate.into()], key.try_into()?)?;
    config.transport_config(transport()?);
    let endpoint = Endpoint::server(config, "0.0.0.0:443".parse()?)?;
    let sum = Arc::new(Mutex::new(0_usize));
    while let Some(incoming) = endpoint.accept().await {
        let sum = Arc::clone(&sum);
        tokio::spawn(async move {
            let Ok(connection) = incoming.await else { return };
            loop {
                tokio::select! {
                    stream = connection.accept_bi() => {
                        let Ok((mut send, mut receive)) = stream else { return };
                        let sum = Arc::clone(&sum);
                        tokio::spawn(async move {
                            let Ok(mut content) = receive.read_to_end(100_000).await else { return };
                            if content.is_empty() {
                                let sum = *sum.lock().expect("no panic while it is held");
                                content = sum.to_string().into_bytes();
                            }
                            if send.write_all(&content).await.is_ok() {
                                // The client may be gone.
                                let _ = send.finish();
                            }
                        });
                    }
                    stream = connection.accept_uni() => {
                        let Ok(mut receive) = stream else { return };
                        let Ok(content) = receive.read_to_end(100_000).await else { return };
                        *sum.lock().expect("no panic while it is held") += content.len();
                    }
                }
            }
        });
    }
    Ok(())
}

fn client() -> Result<Endpoint> {
    use_ring();
    let (certificate, _) = certificate("server.zone")?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.into())?;
    let mut config = ClientConfig::with_root_certificates(Arc::new(roots))?;
    config.transport_config(transport()?);
    let mut endpoint = Endpoint::client("0.0.0.0:0".parse()?)?;
    endpoint.set_default_client_config(config);
    Ok(endpoint)
}

async fn connect(endpoint: &Endpoint) -> Result<Connection> {
    let address: SocketAddr =
        tokio::net::lookup_host("server.zone:443").await?.next().ok_or("no address")?;
    Ok(endpoint.connect(address, "server.zone")?.await?)
}

async fn ask(connection: &Connection, content: &[u8]) -> Result<Vec<u8>> {
    let (mut send, mut receive) = connection.open_bi().await?;
    send.write_all(content).await?;
    send.finish()?;
    Ok(receive.read_to_end(100_000).await?)
}

#[sim_test(
    seeds = 200,
    check = true,
    topology = lossy().machine("server.zone", serve),
    client = "client.office",
    chaos = [power_offs(), partitions()],
)]
async fn streams_outlive_faults(sim: Sim) -> Result {
    let endpoint = client()?;
    let mut connection = None;
    let mut answers = 0;
    for step in sim.steps(20) {
        tokio::time::sleep(step.random_range(0..300_u64).millis()).await;
        let connected = match connection.take() {
            Some(connection) => connection,
            None => match connect(&endpoint).await {
                Ok(connection) => connection,
                Err(_) => continue,
            },
        };
        let lengths: Vec<usize> = (0..4).map(|_| step.random_range(1..10_000)).collect();
        let asked = lengths.iter().map(|length| {
            let (connected, content) = (&connected, vec![*length as u8; *length]);
            async move { (ask(connected, &content).await, content) }
        });
        let mut is_alive = true;
        for (answer, content) in futures::future::join_all(asked).await {
            match answer {
                Ok(answer) => {
                    assert!(answer == content, "{} bytes came back", answer.len());
                    answers += 1;
                }
                Err(_) => is_alive = false,
            }
        }
        if is_alive {
            connection = Some(connected);
        }
    }
    sim.log(format!("{answers} answers"));
    Ok(())
}

/// The bug: what was sent on a finished stream is taken for delivered.
#[sim_test(
    topology = lossy().machine("server.zone", serve),
    client = "client.office",
    chaos = partitions(),
    expect_failure(faults <= 2, steps <= 2),
)]
async fn finished_stream_is_taken_for_delivered(sim: Sim) -> Result {
    let endpoint = client()?;
    let mut connection = None;
    let mut sum = 0;
    for step in sim.steps(30) {
        tokio::time::sleep(step.random_range(0..300_u64).millis()).await;
        let connected = match connection.take() {
            Some(connection) => connection,
            None => match connect(&endpoint).await {
                Ok(connection) => connection,
                Err(_) => continue,
            },
        };
        let send = async {
            let mut send = connected.open_uni().await?;
            send.write_all(&[1; 10]).await?;
            send.finish()?;
            Ok::<(), BoxError>(())
        };
        if send.await.is_err() {
            continue;
        }
        sum += 10;
        tokio::time::sleep(300.millis()).await;
        let answer = timeout(4.secs(), ask(&connected, b"")).await;
        let Ok(Ok(answer)) = answer else { continue };
        assert_eq!(std::str::from_utf8(&answer)?, sum.to_string(), "bytes received");
        connection = Some(connected);
    }
    Ok(())
}
