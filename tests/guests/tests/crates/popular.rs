//! Tests ten more popular crates on tokio, each with its usual work over a link that loses packets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::StreamExt;
use simmach::prelude::*;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::{Instant, sleep, timeout};

use crate::support::lossy;
use crate::web::use_ring;

async fn warp_server() {
    use warp::Filter;
    let greet = warp::path!("hello" / String).map(|name| format!("hello {name}"));
    warp::serve(greet).run(([0, 0, 0, 0], 80)).await;
}

#[sim_test(seeds = 50, check = true, topology = lossy().machine("server.zone", warp_server), client = "client.office")]
async fn warp_answers() -> Result {
    sleep(10.millis()).await;
    use_ring();
    let client = reqwest::Client::builder().tls_certs_only([]).no_proxy().build()?;
    for name in ["a", "b", "c"] {
        let answer = client.get(format!("http://server.zone/hello/{name}")).send().await?;
        assert_eq!(answer.text().await?, format!("hello {name}"));
    }
    Ok(())
}

mod greeting {
    #[tarpc::service]
    pub(super) trait Greeting {
        async fn greet(name: String) -> String;
    }
}

use greeting::Greeting;

#[derive(Clone)]
struct Greeter;

impl Greeting for Greeter {
    async fn greet(self, _: tarpc::context::Context, name: String) -> String {
        format!("hello {name}")
    }
}

async fn tarpc_server() -> std::io::Result<()> {
    use tarpc::server::{BaseChannel, Channel};
    use tarpc::tokio_serde::formats::Json;
    let mut incoming = tarpc::serde_transport::tcp::listen("0.0.0.0:80", Json::default).await?;
    while let Some(transport) = incoming.next().await {
        let channel = BaseChannel::with_defaults(transport?);
        tokio::spawn(channel.execute(Greeter.serve()).for_each(async |answer| {
            tokio::spawn(answer);
        }));
    }
    Ok(())
}

#[sim_test(seeds = 50, check = true, topology = lossy().machine("server.zone", tarpc_server), client = "client.office")]
async fn tarpc_answers() -> Result {
    sleep(10.millis()).await;
    let json = tarpc::tokio_serde::formats::Json::default;
    let transport = tarpc::serde_transport::tcp::connect("server.zone:80", json).await?;
    let client = greeting::GreetingClient::new(tarpc::client::Config::default(), transport).spawn();
    for name in ["a", "b", "c"] {
        let answer = client.greet(tarpc::context::current(), name.to_owned()).await?;
        assert_eq!(answer, format!("hello {name}"));
    }
    Ok(())
}

async fn jsonrpsee_server() -> Result {
    let server = jsonrpsee::server::Server::builder().build("0.0.0.0:80").await?;
    let mut module = jsonrpsee::RpcModule::new(());
    module.register_method("add", |parameters, _, _| {
        let (a, b) = parameters.parse::<(u64, u64)>()?;
        Ok::<u64, jsonrpsee::types::ErrorObjectOwned>(a + b)
    })?;
    server.start(module).stopped().await;
    Ok(())
}

#[sim_test(seeds = 50, check = true, topology = lossy().machine("server.zone", jsonrpsee_server), client = "client.office")]
async fn jsonrpsee_answers() -> Result {
    use jsonrpsee::core::client::ClientT;
    sleep(10.millis()).await;
    let client =
        jsonrpsee::ws_client::WsClientBuilder::default().build("ws://server.zone:80").await?;
    for n in 0..5_u64 {
        let sum: u64 = client.request("add", jsonrpsee::rpc_params![n, 7]).await?;
        assert_eq!(sum, n + 7);
    }
    Ok(())
}

/// Answers every question for an address with 10.9.8.7.
async fn hickory_server() -> Result {
    use hickory_resolver::net::runtime::TokioRuntimeProvider;
    use hickory_server::proto::rr::Name;
    use hickory_server::proto::rr::{RData, Record};
    use hickory_server::server::Server;
    use hickory_server::store::in_memory::InMemoryZoneHandler;
    use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
    let origin = Name::from_ascii("example.test.")?;
    let mut zone: InMemoryZoneHandler<TokioRuntimeProvider> =
        InMemoryZoneHandler::empty(origin.clone(), ZoneType::Primary, AxfrPolicy::Deny);
    let name = Name::from_ascii("www.example.test.")?;
    zone.upsert_mut(Record::from_rdata(name, 60, RData::A("10.9.8.7".parse()?)), 0);
    let mut catalog = Catalog::new();
    catalog.upsert(origin.into(), vec![Arc::new(zone)]);
    let mut server = Server::new(catalog);
    server.register_socket(UdpSocket::bind("0.0.0.0:53").await?);
    server.block_until_done().await?;
    Ok(())
}

#[sim_test(seeds = 50, check = true, topology = lossy().machine("server.zone", hickory_server), client = "client.office")]
async fn hickory_resolves() -> Result {
    use hickory_resolver::TokioResolver;
    use hickory_resolver::config::{NameServerConfig, ResolverConfig};
    use hickory_resolver::net::runtime::TokioRuntimeProvider;
    sleep(10.millis()).await;
    let server = tokio::net::lookup_host("server.zone:53").await?.next().ok_or("no address")?;
    let config = ResolverConfig::from_parts(None, vec![], vec![NameServerConfig::udp(server.ip())]);
    let resolver =
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).build()?;
    let found = resolver.lookup_ip("www.example.test.").await?;
    assert_eq!(found.iter().next(), Some("10.9.8.7".parse()?));
    assert!(resolver.lookup_ip("other.example.test.").await.is_err());
    Ok(())
}

#[sim_test(seeds = 50, check = true)]
async fn moka_forgets_in_time(sim: Sim) {
    let cache: moka::future::Cache<u64, u64> =
        moka::future::Cache::builder().max_capacity(100).time_to_live(10.secs()).build();
    let begin = Instant::now();
    for step in sim.steps(20) {
        let key = step.random_range(0..4_u64);
        let made = cache.get_with(key, async { begin.elapsed().as_millis() as u64 }).await;
        let age = begin.elapsed() - made.millis();
        assert!(age <= 10.secs() + 1.millis(), "{age:?}");
        sleep(step.random_range(0..5_000_u64).millis()).await;
    }
}

#[sim_test(seeds = 50, check = true, topology = lossy().machine("server.zone", warp_server), client = "client.office")]
async fn actix_rt_runs_on_a_thread_of_its_own() -> Result {
    let asked = std::thread::spawn(|| {
        actix_rt::System::new().block_on(async {
            actix_rt::time::sleep(10.millis()).await;
            let task = actix_rt::spawn(async { TcpStream::connect("server.zone:80").await });
            task.await.expect("it does not panic").is_ok()
        })
    });
    let joined = tokio::task::spawn_blocking(|| asked.join()).await?;
    assert!(joined.is_ok_and(|is_connected| is_connected));
    Ok(())
}

#[sim_test(seeds = 50, check = true)]
async fn cron_jobs_are_run_on_time() -> Result {
    use tokio_cron_scheduler::{Job, JobScheduler};
    let mut scheduler = JobScheduler::new().await?;
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let job = Job::new_async("1/5 * * * * *", move |_, _| {
        let counted = Arc::clone(&counted);
        Box::pin(async move {
            counted.fetch_add(1, Ordering::Relaxed);
        })
    })?;
    scheduler.add(job).await?;
    scheduler.start().await?;
    sleep(30.secs()).await;
    scheduler.shutdown().await?;
    let runs = runs.load(Ordering::Relaxed);
    assert!((5..=7).contains(&runs), "{runs} runs in 30 s");
    Ok(())
}

/// Enough of PostgreSQL's protocol for a simple query: one row with one column.
async fn postgres_stub() -> std::io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:5432").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let length = stream.read_u32().await?;
            stream.read_exact(&mut vec![0; length as usize - 4]).await?;
            stream.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").await?;
            while let Ok(kind) = stream.read_u8().await {
                let length = stream.read_u32().await?;
                stream.read_exact(&mut vec![0; length as usize - 4]).await?;
                if kind == b'Q' {
                    let row =
                        b"T\0\0\0\x1a\0\x01n\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0";
                    stream.write_all(row).await?;
                    stream.write_all(b"D\0\0\0\x0c\0\x01\0\0\0\x0242").await?;
                    stream.write_all(b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I").await?;
                }
            }
            std::io::Result::Ok(())
        });
    }
}

#[sim_test(seeds = 50, check = true, topology = lossy().machine("server.zone", postgres_stub), client = "client.office")]
async fn tokio_postgres_queries() -> Result {
    use tokio_postgres::{NoTls, SimpleQueryMessage};
    sleep(10.millis()).await;
    let (client, connection) =
        tokio_postgres::connect("host=server.zone user=test sslmode=disable", NoTls).await?;
    tokio::spawn(connection);
    for _ in 0..5 {
        let messages = client.simple_query("SELECT n FROM numbers").await?;
        let row = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        assert_eq!(row, Some("42"));
    }
    Ok(())
}

/// Enough of MQTT for publishing with an acknowledgement.
async fn mqtt_stub() -> std::io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:1883").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            while let Ok(kind) = stream.read_u8().await {
                let length = stream.read_u8().await?;
                let mut packet = vec![0; length.into()];
                stream.read_exact(&mut packet).await?;
                match kind >> 4 {
                    1 => stream.write_all(&[0x20, 2, 0, 0]).await?,
                    3 => {
                        let topic = usize::from(u16::from_be_bytes([packet[0], packet[1]]));
                        let id = [packet[2 + topic], packet[3 + topic]];
                        stream.write_all(&[0x40, 2, id[0], id[1]]).await?;
                    }
                    12 => stream.write_all(&[0xd0, 0]).await?,
                    _ => {}
                }
            }
            std::io::Result::Ok(())
        });
    }
}

#[sim_test(seeds = 50, check = true, topology = lossy().machine("server.zone", mqtt_stub), client = "client.office")]
async fn rumqttc_publishes() -> Result {
    use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
    sleep(10.millis()).await;
    let mut options = MqttOptions::new("client", "server.zone", 1883);
    options.set_keep_alive(5.secs());
    let (client, mut events) = AsyncClient::new(options, 10);
    for n in 0..5_u8 {
        client.publish("numbers", QoS::AtLeastOnce, false, [n]).await?;
    }
    let (mut acknowledged, mut answered) = (0, 0);
    while acknowledged < 5 || answered < 2 {
        match timeout(20.secs(), events.poll()).await?? {
            Event::Incoming(Packet::PubAck(_)) => acknowledged += 1,
            Event::Incoming(Packet::PingResp) => answered += 1,
            Event::Incoming(_) | Event::Outgoing(_) => {}
        }
    }
    Ok(())
}

/// Enough of NATS for one subscription: what is published comes back.
async fn nats_stub() -> std::io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:4222").await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut stream = BufReader::new(stream);
            let info = b"INFO {\"server_id\":\"a\",\"version\":\"2.10.0\",\"proto\":1,\"host\":\"a\",\"port\":4222,\
                \"headers\":true,\"max_payload\":1048576}\r\n";
            stream.write_all(info).await?;
            let (mut line, mut subscription) = (String::new(), String::new());
            while stream.read_line(&mut line).await? > 0 {
                let words: Vec<&str> = line.split_whitespace().collect();
                match words[..] {
                    ["PING"] => stream.write_all(b"PONG\r\n").await?,
                    ["SUB", .., id] => subscription = id.to_owned(),
                    ["PUB", subject, .., length] => {
                        let mut content = vec![0; length.parse::<usize>().unwrap_or(0) + 2];
                        stream.read_exact(&mut content).await?;
                        let head = format!("MSG {subject} {subscription} {length}\r\n");
                        stream.write_all(head.as_bytes()).await?;
                        stream.write_all(&content).await?;
                    }
                    _ => {}
                }
                line.clear();
            }
            std::io::Result::Ok(())
        });
    }
}

#[sim_test(seeds = 50, check = true, topology = lossy().machine("server.zone", nats_stub), client = "client.office")]
async fn async_nats_subscribes() -> Result {
    sleep(10.millis()).await;
    use_ring();
    let client = async_nats::connect("nats://server.zone:4222").await?;
    let mut messages = client.subscribe("numbers").await?;
    for n in 0..5_u8 {
        client.publish("numbers", vec![n].into()).await?;
    }
    client.flush().await?;
    for n in 0..5_u8 {
        let message = messages.next().await.ok_or("no message")?;
        assert_eq!(message.payload[..], [n]);
    }
    Ok(())
}
