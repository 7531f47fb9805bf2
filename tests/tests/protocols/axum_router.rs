//! Tests an axum router that hyper serves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, client, server};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use simmach::compat::hyper::Timer;
use simmach::net::{TcpListener, TcpStream};
use simmach::prelude::*;
use simmach::task::spawn;

use crate::helpers::{content, mobile, nothing_is_left};

type Things = Arc<Mutex<BTreeMap<u32, Bytes>>>;

async fn put(State(things): State<Things>, Path(key): Path<u32>, body: Bytes) -> StatusCode {
    match things.lock().expect("no panic while it is held").insert(key, body) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::CREATED,
    }
}

async fn find(State(things): State<Things>, Path(key): Path<u32>) -> Result<Bytes, StatusCode> {
    let things = things.lock().expect("no panic while it is held");
    things.get(&key).cloned().ok_or(StatusCode::NOT_FOUND)
}

async fn serve() -> Result {
    let router = Router::new().route("/things/{key}", get(find).put(put));
    let router = router.with_state(Things::default());
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(router.clone());
        let mut builder = server::conn::http1::Builder::new();
        let connection = builder.timer(Timer).serve_connection(TokioIo::new(stream), service);
        spawn(async { connection.await.expect("an orderly end") });
    }
}

#[sim_test(seeds = 50, topology = mobile().machine("server.public", serve), client = "phone.mobile")]
async fn router_stores_and_returns_values(sim: Sim) -> Result {
    let stream = TcpStream::connect("server.public:80").await?;
    let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = spawn(connection);
    let mut ask = async |method: Method, key: u32, body: Bytes| -> Result<(StatusCode, Bytes)> {
        let request = Request::builder().method(method).uri(format!("/things/{key}"));
        sender.ready().await?;
        let response = sender.send_request(request.body(Full::new(body))?).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    };
    let mut books: BTreeMap<u32, Bytes> = BTreeMap::new();
    for step in sim.steps(10) {
        let key = step.random_range(0..3_u32);
        if step.random_bool(0.5) {
            let body = Bytes::from(content(step.random_range(0..10_000), step.number()));
            let new = books.insert(key, body.clone()).is_none();
            let expected = if new { StatusCode::CREATED } else { StatusCode::NO_CONTENT };
            assert_eq!(ask(Method::PUT, key, body).await?, (expected, Bytes::new()));
        } else {
            let expected = match books.get(&key) {
                Some(body) => (StatusCode::OK, body.clone()),
                None => (StatusCode::NOT_FOUND, Bytes::new()),
            };
            assert_eq!(ask(Method::GET, key, Bytes::new()).await?, expected);
        }
    }
    drop(sender);
    connection.await??;
    nothing_is_left(sim).await
}
