//! Tests mini-redis, as server and client, and the crate redis as a client of mini-redis.

use std::collections::BTreeMap;

use redis::AsyncCommands;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use simmach::prelude::*;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::support::{Possible, lossy, partitions, power_offs};

const SERVER: &str = "server.zone:6379";

async fn serve() -> mini_redis::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:6379").await?;
    mini_redis::server::run(listener, tokio::signal::ctrl_c()).await
}

#[sim_test(
    seeds = 200,
    check = true,
    topology = lossy().machine("server.zone", serve),
    client = "client.office",
    chaos = [power_offs(), partitions()],
)]
async fn mini_redis_client_outlives_faults(sim: Sim) -> Result {
    let mut client = None;
    let mut possible = Possible::default();
    for step in sim.steps(30) {
        tokio::time::sleep(step.random_range(0..300_u64).millis()).await;
        let mut connected = match client.take() {
            Some(client) => client,
            None => match timeout(2.secs(), mini_redis::client::connect(SERVER)).await {
                Ok(Ok(client)) => client,
                Ok(Err(_)) | Err(_) => continue,
            },
        };
        let key = format!("key{}", step.random_range(0..3_u32));
        if step.random_bool(0.5) {
            let value = step.number().to_string();
            let set = connected.set(&key, value.into());
            let set = timeout(1.secs(), set).await.unwrap_or_else(|late| Err(late.into()));
            possible.record(&key, step.number(), &set);
            if set.is_err() {
                continue;
            }
        } else {
            let Ok(Ok(value)) = timeout(1.secs(), connected.get(&key)).await else { continue };
            if let Some(value) = value {
                possible.check(&key, std::str::from_utf8(&value)?.parse()?);
            }
        }
        client = Some(connected);
    }
    Ok(())
}

#[sim_test(
    seeds = 50,
    check = true,
    topology = lossy().machine("server.zone", serve).host("other.office"),
    client = "client.office",
)]
async fn messages_reach_subscribers_in_order(sim: Sim) -> Result {
    tokio::time::sleep(10.millis()).await;
    let subscriber = sim.run_on("other.office", async {
        let client = mini_redis::client::connect(SERVER).await?;
        let mut subscriber = client.subscribe(vec!["news".to_owned()]).await?;
        let mut numbers = Vec::new();
        while numbers.len() < 20 {
            let Some(message) = subscriber.next_message().await? else { break };
            numbers.push(std::str::from_utf8(&message.content)?.parse::<u64>()?);
        }
        mini_redis::Result::Ok(numbers)
    });
    let mut publisher = mini_redis::client::connect(SERVER).await?;
    while publisher.publish("news", "0".into()).await? == 0 {
        tokio::time::sleep(10.millis()).await;
    }
    for number in 1..20_u64 {
        publisher.publish("news", number.to_string().into()).await?;
    }
    let numbers = subscriber.await??;
    assert_eq!(numbers, (0..20).collect::<Vec<_>>());
    Ok(())
}

fn client() -> Result<redis::Client> {
    Ok(redis::Client::open(format!("redis://{SERVER}"))?)
}

#[sim_test(
    seeds = 200,
    check = true,
    topology = lossy().machine("server.zone", serve),
    client = "client.office",
    chaos = [power_offs(), partitions()],
)]
async fn multiplexed_connection_outlives_faults(sim: Sim) -> Result {
    let config = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(2.secs()))
        .set_response_timeout(Some(1.secs()));
    let client = client()?;
    let mut connection = None;
    let mut answers = 0;
    for step in sim.steps(20) {
        tokio::time::sleep(step.random_range(0..300_u64).millis()).await;
        let shared = match &connection {
            Some(connection) => connection,
            None => {
                let new = client.get_multiplexed_async_connection_with_config(&config).await;
                let Ok(new) = new else { continue };
                connection.insert(new)
            }
        };
        // Several at a time, over one connection.
        let many = (0..10_u64).map(|n| {
            let mut shared = redis::aio::MultiplexedConnection::clone(shared);
            async move {
                let key = format!("key{n}");
                shared.set::<_, _, ()>(&key, n).await?;
                shared.get::<_, Option<u64>>(&key).await
            }
        });
        let got = futures::future::join_all(many).await;
        for (n, got) in (0..).zip(&got) {
            if let Ok(value) = got {
                // The server may have been started anew in between: then the connection is another.
                assert_eq!(*value, Some(n));
                answers += 1;
            }
        }
        if got.iter().any(|got| got.is_err()) {
            connection = None;
        }
    }
    sim.log(format!("{answers} answers"));
    Ok(())
}

async fn manager() -> Result<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(2.secs()))
        .set_response_timeout(Some(1.secs()))
        .set_min_delay(10.millis())
        .set_max_delay(500.millis())
        .set_number_of_retries(20);
    Ok(ConnectionManager::new_with_config(client()?, config).await?)
}

#[sim_test(
    seeds = 200,
    check = true,
    topology = lossy().machine("server.zone", serve),
    client = "client.office",
    chaos = [power_offs(), partitions()],
)]
async fn connection_manager_connects_again(sim: Sim) -> Result {
    let mut manager = manager().await?;
    let mut possible = Possible::default();
    for step in sim.steps(30) {
        tokio::time::sleep(step.random_range(0..300_u64).millis()).await;
        let key = format!("key{}", step.random_range(0..3_u32));
        if step.random_bool(0.5) {
            let set = manager.set::<_, _, ()>(&key, step.number()).await;
            possible.record(&key, step.number(), &set);
        } else if let Ok(Some(value)) = manager.get::<_, Option<u64>>(&key).await {
            possible.check(&key, value);
        }
    }
    sim.settle().await?;
    // The connection to a server that lost power may live until TCP gives up.
    tokio::time::sleep(30.mins()).await;
    for _ in 0..10 {
        if manager.set::<_, _, ()>("last", 1).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(500.millis()).await;
    }
    Err("no answer although all faults are over".into())
}

/// The bug: the cache outlives the server, which forgets all when it loses power.
#[sim_test(
    topology = lossy().machine("server.zone", serve),
    client = "client.office",
    chaos = power_offs(),
    expect_failure(faults <= 1, steps <= 3),
)]
async fn cache_is_stale_after_a_restart(sim: Sim) -> Result {
    let mut manager = manager().await?;
    let mut cache: BTreeMap<String, u64> = BTreeMap::new();
    for step in sim.steps(20) {
        tokio::time::sleep(step.random_range(0..300_u64).millis()).await;
        let key = format!("key{}", step.random_range(0..3_u32));
        if let Some(cached) = cache.get(&key) {
            let Ok(stored) = manager.get::<_, Option<u64>>(&key).await else { continue };
            assert_eq!(Some(*cached), stored, "the cache's value");
        } else if manager.set::<_, _, ()>(&key, step.number()).await.is_ok() {
            cache.insert(key, step.number());
        }
    }
    Ok(())
}
