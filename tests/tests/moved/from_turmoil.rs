//! A service on axum. Its test was written for turmoil.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;

type Votes = Arc<Mutex<BTreeMap<String, u64>>>;

async fn vote(State(votes): State<Votes>, Path(name): Path<String>) {
    *votes.lock().expect("no panic while it is held").entry(name).or_default() += 1;
}

async fn count(State(votes): State<Votes>, Path(name): Path<String>) -> String {
    let votes = votes.lock().expect("no panic while it is held");
    votes.get(&name).unwrap_or(&0).to_string()
}

fn app() -> Router {
    Router::new().route("/votes/{name}", get(count).post(vote)).with_state(Votes::default())
}

use simmach::prelude::*;
use tokio::net::TcpListener;

async fn serve() -> std::io::Result<()> {
    axum::serve(TcpListener::bind("0.0.0.0:80").await?, app()).await
}

#[sim_test(seeds = 100, machines("server" => serve), client = "client")]
async fn votes_survive_a_partition(sim: Sim) -> Result {
    let url = "http://server/votes/blue";
    let client = reqwest::Client::builder().timeout(1.secs()).build()?;
    client.post(url).send().await?;
    sim.partition("client", "server")?;
    assert!(client.post(url).send().await.is_err());
    sim.heal("client", "server")?;
    let votes = client.get(url).send().await?.text().await?;
    assert!(votes == "1" || votes == "2", "{votes} votes");
    Ok(())
}
