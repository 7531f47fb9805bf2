//! Tests axum and reqwest, without TLS and with rustls on ring.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Once};

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use reqwest::{Client, StatusCode};
use serde::{Deserialize, Serialize};
use simmach::prelude::*;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::support::{Possible, lossy, partitions, power_offs};

/// The value that the service stores under a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Item {
    version: u64,
    content: String,
}

type Items = Arc<Mutex<BTreeMap<String, Item>>>;

async fn put(State(items): State<Items>, Path(name): Path<String>, Json(item): Json<Item>) {
    items.lock().expect("no panic while it is held").insert(name, item);
}

async fn find(
    State(items): State<Items>,
    Path(name): Path<String>,
) -> Result<Json<Item>, StatusCode> {
    let items = items.lock().expect("no panic while it is held");
    items.get(&name).cloned().map(Json).ok_or(StatusCode::NOT_FOUND)
}

/// Computes a sum on a thread of the blocking pool.
async fn sum(Path(limit): Path<u64>) -> String {
    let sum = tokio::task::spawn_blocking(move || (0..limit).sum::<u64>());
    sum.await.expect("a sum does not panic").to_string()
}

fn app() -> Router {
    Router::new()
        .route("/items/{name}", get(find).put(put))
        .route("/sums/{limit}", get(sum))
        .with_state(Items::default())
}

async fn serve() -> std::io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    axum::serve(listener, app()).await
}

/// The key of the certificate, so that server and client make the same one.
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgTPWt/Q1hMMZQNUkr
48DkFlIoyINJl7FDvveo/PpbSLKhRANCAARCsJLwX4lhOEMdm+vQW+7lkzaig6x0
phx0IE/7PdvcMqjJIZyscMIJH5nlRXYb25PGIdOlWFsQG+4F9fnrGJg1
-----END PRIVATE KEY-----";

/// A certificate for `name`, signed by its own key.
pub(crate) fn certificate(name: &str) -> Result<(Vec<u8>, Vec<u8>)> {
    let key = rcgen::KeyPair::from_pem(KEY)?;
    let mut parameters = rcgen::CertificateParams::new(vec![name.to_owned()])?;
    parameters.not_before = rcgen::date_time_ymd(2025, 12, 1);
    parameters.not_after = rcgen::date_time_ymd(2026, 3, 1);
    let certificate = parameters.self_signed(&key)?;
    Ok((certificate.der().to_vec(), key.serialize_der()))
}

/// Installs rustls's provider, once in a process: three machines of a run share it.
pub(crate) fn use_ring() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // It may be installed already, by a test before.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// Connections of axum's with TLS on them.
struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, peer)) = self.listener.accept().await else { continue };
            let handshake = self.acceptor.accept(stream);
            if let Ok(Ok(stream)) = tokio::time::timeout(3.secs(), handshake).await {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

async fn serve_tls() -> Result {
    use_ring();
    let (certificate, key) = certificate("server.zone")?;
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], key.try_into()?)?;
    let listener = TcpListener::bind("0.0.0.0:443").await?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    axum::serve(TlsListener { listener, acceptor }, app()).await?;
    Ok(())
}

fn client() -> reqwest::ClientBuilder {
    use_ring();
    Client::builder()
        .tls_certs_only([])
        .no_proxy()
        .timeout(2.secs())
        .connect_timeout(1500.millis())
        .pool_idle_timeout(3.secs())
}

fn tls_client() -> Result<Client> {
    use_ring();
    let (certificate, _) = certificate("server.zone")?;
    let root = reqwest::Certificate::from_der(&certificate)?;
    Ok(client().tls_certs_only([root]).build()?)
}

/// Puts and reads items. What is read must be what was put last, or may have been: unless a restart forgot it.
async fn work(sim: Sim, client: &Client, url: &str) -> Result {
    let mut possible = Possible::default();
    let mut answers = 0;
    for step in sim.steps(30) {
        tokio::time::sleep(step.random_range(0..400_u64).millis()).await;
        let name = format!("item{}", step.random_range(0..3_u32));
        let address = format!("{url}/items/{name}");
        match step.random_range(0..5_u32) {
            0 | 1 => {
                let content = "x".repeat(step.random_range(0..20_000));
                let item = Item { version: step.number(), content };
                let sent = client.put(address).json(&item).send().await;
                let put = sent.and_then(reqwest::Response::error_for_status).map(drop);
                possible.record(&name, item, &put);
            }
            2 => {
                let Ok(response) = client.get(format!("{url}/sums/1000")).send().await else {
                    continue;
                };
                if let Ok(text) = response.text().await {
                    assert_eq!(text, "499500");
                    answers += 1;
                }
            }
            _ => {
                let Ok(response) = client.get(address).send().await else { continue };
                if response.status() == StatusCode::NOT_FOUND {
                    continue;
                }
                if let Ok(item) = response.json::<Item>().await {
                    possible.check(&name, item);
                    answers += 1;
                }
            }
        }
    }
    sim.log(format!("{answers} answers"));
    sim.settle().await?;
    // A few packets may still be lost.
    for _ in 0..5 {
        if let Ok(response) = client.get(format!("{url}/sums/10")).send().await {
            assert_eq!(response.text().await?, "45");
            return Ok(());
        }
    }
    Err("no answer although all faults are over".into())
}

#[sim_test(
    seeds = 200,
    check = true,
    topology = lossy().machine("server.zone", serve),
    client = "client.office",
    chaos = [power_offs(), partitions()],
)]
async fn requests_outlive_faults(sim: Sim) -> Result {
    work(sim, &client().build()?, "http://server.zone").await
}

#[sim_test(
    seeds = 200,
    check = true,
    topology = lossy().machine("server.zone", serve_tls),
    client = "client.office",
    chaos = [power_offs(), partitions()],
)]
async fn requests_over_tls_outlive_faults(sim: Sim) -> Result {
    work(sim, &tls_client()?, "https://server.zone").await
}

#[sim_test(seeds = 20, check = true, topology = lossy().machine("server.zone", serve), client = "client.office")]
async fn errors_are_those_of_the_network() -> Result {
    tokio::time::sleep(10.millis()).await;
    let client = client().build()?;
    let unknown = client.get("http://nobody.zone/").send().await.expect_err("no such machine");
    assert!(unknown.is_connect(), "{unknown:?}");
    let refused = client.get("http://server.zone:81/").send().await.expect_err("nobody listens");
    assert!(refused.is_connect(), "{refused:?}");
    let other = client.get("http://server.zone/other").send().await?;
    assert_eq!(other.status(), StatusCode::NOT_FOUND);
    Ok(())
}

/// Counts the orders that the shop has taken.
async fn shop() -> std::io::Result<()> {
    let orders = Arc::new(Mutex::new(0_u64));
    let counted = Arc::clone(&orders);
    let order = async move || {
        *counted.lock().expect("no panic while it is held") += 1;
        // It is packed.
        tokio::time::sleep(50.millis()).await;
        StatusCode::CREATED
    };
    let taken =
        move || async move { orders.lock().expect("no panic while it is held").to_string() };
    let app = Router::new().route("/orders", post(order).get(taken));
    axum::serve(TcpListener::bind("0.0.0.0:80").await?, app).await
}

/// The bug: an order whose answer is lost is sent again, although it may have been taken.
#[sim_test(
    topology = lossy().machine("server.zone", shop),
    client = "client.office",
    chaos = partitions(),
    expect_failure(faults <= 1, steps <= 1),
)]
async fn order_is_sent_again_after_a_time_out(sim: Sim) -> Result {
    let client = client().build()?;
    let url = "http://server.zone/orders";
    let mut ordered = 0;
    for step in sim.steps(20) {
        tokio::time::sleep(step.random_range(0..400_u64).millis()).await;
        while client.post(url).send().await.is_err() {}
        ordered += 1;
        let Ok(taken) = client.get(url).send().await else { continue };
        let Ok(taken) = taken.text().await else { continue };
        assert_eq!(taken, ordered.to_string(), "orders taken");
    }
    Ok(())
}
