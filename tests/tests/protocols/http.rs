//! Tests hyper 1 as client and server: HTTP/1 with sequential requests, and HTTP/2 with concurrent
//! requests.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, client, server};
use hyper_util::rt::TokioIo;
use simmach::compat::hyper::{Executor, Timer};
use simmach::net::{TcpListener, TcpStream};
use simmach::prelude::*;
use simmach::task::{JoinSet, spawn};

use crate::helpers::{content, mobile, nothing_is_left};

/// Echoes the request's body, and returns its method and path in a header.
async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let asked = format!("{} {}", request.method(), request.uri().path());
    let body = request.into_body().collect().await?.to_bytes();
    let response = Response::builder().header("x-asked", asked).body(Full::new(body));
    Ok(response.expect("a header of text"))
}

async fn accept(listener: &TcpListener) -> Result<(TokioIo<TcpStream>, SocketAddr)> {
    let (stream, peer) = listener.accept().await?;
    Ok((TokioIo::new(stream), peer))
}

async fn http1() -> Result {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    loop {
        let (io, _) = accept(&listener).await?;
        let mut builder = server::conn::http1::Builder::new();
        let connection = builder.timer(Timer).serve_connection(io, service_fn(echo));
        spawn(async {
            if let Err(error) = connection.await {
                assert!(error.is_timeout(), "no orderly end: {error}");
            }
        });
    }
}

async fn http2() -> Result {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    loop {
        let (io, _) = accept(&listener).await?;
        let mut builder = server::conn::http2::Builder::new(Executor);
        builder.timer(Timer).keep_alive_interval(Some(1.secs())).keep_alive_timeout(60.secs());
        let connection = builder.serve_connection(io, service_fn(echo));
        spawn(async {
            // A client that has all its answers closes while settings and acknowledgements are still in flight; its kernel
            // answers these with a reset. The client checks its answers itself, so the error does not matter.
            let _ = connection.await;
        });
    }
}

fn request(nth: u64, body: &Bytes) -> Request<Full<Bytes>> {
    let request = Request::post(format!("/things/{nth}")).header("host", "server.public");
    request.body(Full::new(body.clone())).expect("a path and a header of text")
}

async fn assert_echo<B>(response: Response<B>, nth: u64, sent: &Bytes)
where
    B: Body<Data = Bytes, Error: std::fmt::Debug>,
{
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["x-asked"], format!("POST /things/{nth}"));
    let body = response.into_body().collect().await.expect("the whole body").to_bytes();
    assert!(body == sent, "{} bytes came back, of {}", body.len(), sent.len());
}

#[sim_test(seeds = 50, topology = mobile().machine("server.public", http1), client = "phone.mobile")]
async fn http1_requests_are_answered(sim: Sim) -> Result {
    let stream = TcpStream::connect("server.public:80").await?;
    let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = spawn(connection);
    for step in sim.steps(5) {
        let body =
            Bytes::from(content(step.random_range(0..30_000), step.random_range(0..1 << 32)));
        sender.ready().await?;
        let response = sender.send_request(request(step.number(), &body)).await?;
        assert_echo(response, step.number(), &body).await;
    }
    drop(sender);
    connection.await??;
    nothing_is_left(sim).await
}

#[sim_test(seeds = 50, topology = mobile().machine("server.public", http2), client = "phone.mobile")]
async fn http2_concurrent_requests_are_answered(sim: Sim) -> Result {
    let stream = TcpStream::connect("server.public:80").await?;
    let mut builder = client::conn::http2::Builder::new(Executor);
    builder.timer(Timer).keep_alive_interval(1.secs()).keep_alive_timeout(60.secs());
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    let connection = spawn(connection);
    let mut asking = JoinSet::new();
    for step in sim.steps(8) {
        let nth = step.number();
        let body =
            Bytes::from(content(step.random_range(0..30_000), step.random_range(0..1 << 32)));
        let mut sender = sender.clone();
        asking.spawn(async move {
            let response = sender.send_request(request(nth, &body)).await.expect("an answer");
            assert_echo(response, nth, &body).await;
        });
    }
    asking.join_all().await;
    drop(sender);
    connection.await??;
    nothing_is_left(sim).await
}

/// hyper's timers use virtual time: a server that hears nothing gives up after exactly 30 s.
#[sim_test(seeds = 5, topology = mobile().machine("server.public", http1), client = "phone.mobile")]
async fn silent_client_times_out_in_virtual_time(sim: Sim) -> Result {
    let stream = TcpStream::connect("server.public:80").await?;
    let connected = sim.elapsed();
    stream.readable().await?;
    let waited = sim.elapsed() - connected;
    assert!((29.secs()..40.secs()).contains(&waited), "{waited:?}");
    drop(stream);
    nothing_is_left(sim).await
}
