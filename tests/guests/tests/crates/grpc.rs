//! Tests tonic: unary calls, streams in both directions, timeouts, keep-alive and a load-balanced
//! channel.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use simmach::prelude::*;
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tonic::body::Body;
use tonic::codegen::http::{self, uri::PathAndQuery};
use tonic::server::NamedService;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

use crate::support::{lossy, partitions, power_offs};

/// The only message type of the service.
#[derive(Clone, PartialEq, prost::Message)]
struct Entry {
    #[prost(uint64, tag = "1")]
    number: u64,
    #[prost(string, tag = "2")]
    text: String,
}

fn entry(number: u64) -> Entry {
    Entry { number, text: "x".repeat((number % 7) as usize * 500) }
}

/// A counter with four methods, one of each kind. The code that protoc would generate is written by
/// hand.
#[derive(Clone, Default)]
struct Counter(Arc<Mutex<u64>>);

type Answer<T> = Result<Response<T>, Status>;

impl Counter {
    /// Adds a number. Answers with the sum after a delay.
    async fn add(self, request: Request<Entry>) -> Answer<Entry> {
        let sum = {
            let mut sum = self.0.lock().expect("no panic while it is held");
            *sum += request.get_ref().number;
            *sum
        };
        tokio::time::sleep(20.millis()).await;
        Ok(Response::new(Entry { number: sum, text: request.into_inner().text }))
    }

    /// Never answers.
    async fn hang(_: Request<Entry>) -> Answer<Entry> {
        std::future::pending().await
    }

    /// Counts up to a number.
    async fn count(request: Request<Entry>) -> Answer<BoxStream<'static, Result<Entry, Status>>> {
        let last = request.into_inner().number;
        Ok(Response::new(Box::pin(async_stream::stream! {
            for number in 1..=last {
                tokio::time::sleep(10.millis()).await;
                yield Ok(entry(number));
            }
        })))
    }

    /// Sums what comes.
    async fn sum(request: Request<Streaming<Entry>>) -> Answer<Entry> {
        let mut entries = request.into_inner();
        let mut sum = 0;
        while let Some(entry) = entries.message().await? {
            sum += entry.number;
        }
        Ok(Response::new(Entry { number: sum, ..Entry::default() }))
    }

    /// Answers each entry with itself.
    async fn echo(
        request: Request<Streaming<Entry>>,
    ) -> Answer<BoxStream<'static, Result<Entry, Status>>> {
        Ok(Response::new(Box::pin(request.into_inner())))
    }
}

impl NamedService for Counter {
    const NAME: &'static str = "test.Counter";
}

impl Service<http::Request<Body>> for Counter {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let counter = self.clone();
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(ProstCodec::<Entry, Entry>::default());
            let add = move |request| counter.clone().add(request);
            Ok(match request.uri().path() {
                "/test.Counter/Add" => grpc.unary(service_fn(add), request).await,
                "/test.Counter/Hang" => grpc.unary(service_fn(Self::hang), request).await,
                "/test.Counter/Count" => {
                    grpc.server_streaming(service_fn(Self::count), request).await
                }
                "/test.Counter/Sum" => grpc.client_streaming(service_fn(Self::sum), request).await,
                "/test.Counter/Echo" => grpc.streaming(service_fn(Self::echo), request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

async fn serve() -> Result {
    Server::builder()
        .http2_keepalive_interval(Some(1.secs()))
        .http2_keepalive_timeout(Some(2.secs()))
        .add_service(Counter::default())
        .serve("0.0.0.0:50051".parse()?)
        .await?;
    Ok(())
}

fn endpoint(machine: &str) -> Result<Endpoint> {
    Ok(Endpoint::from_shared(format!("http://{machine}:50051"))?
        .connect_timeout(1500.millis())
        .timeout(2.secs())
        .http2_keep_alive_interval(1.secs())
        .keep_alive_timeout(2.secs())
        .keep_alive_while_idle(true))
}

/// The client, as protoc would have generated it.
struct Client(tonic::client::Grpc<Channel>);

fn method(name: &str) -> PathAndQuery {
    PathAndQuery::try_from(format!("/test.Counter/{name}")).expect("a valid path")
}

fn codec() -> ProstCodec<Entry, Entry> {
    ProstCodec::default()
}

impl Client {
    fn new(channel: Channel) -> Self {
        Self(tonic::client::Grpc::new(channel))
    }

    async fn ready(&mut self) -> Result<(), Status> {
        self.0.ready().await.map_err(|error| Status::unavailable(error.to_string()))
    }

    async fn unary(&mut self, name: &str, entry: Entry) -> Result<Entry, Status> {
        self.ready().await?;
        let answer = self.0.unary(Request::new(entry), method(name), codec()).await?;
        Ok(answer.into_inner())
    }

    async fn count(&mut self, last: u64) -> Result<Streaming<Entry>, Status> {
        self.ready().await?;
        let request = Request::new(Entry { number: last, ..Entry::default() });
        Ok(self.0.server_streaming(request, method("Count"), codec()).await?.into_inner())
    }

    async fn sum(&mut self, last: u64) -> Result<u64, Status> {
        self.ready().await?;
        let request = Request::new(tokio_stream::iter((1..=last).map(entry)));
        let answer = self.0.client_streaming(request, method("Sum"), codec()).await?;
        Ok(answer.into_inner().number)
    }

    async fn echo(&mut self, last: u64) -> Result<Streaming<Entry>, Status> {
        self.ready().await?;
        let paced = tokio_stream::iter((1..=last).map(entry)).throttle(5.millis());
        let answer = self.0.streaming(Request::new(paced), method("Echo"), codec()).await?;
        Ok(answer.into_inner())
    }
}

/// Reads a stream to its end or its error: the entries come in order, none is left out.
async fn check_order(mut entries: Streaming<Entry>, last: u64) {
    let mut next = 1;
    loop {
        match timeout(5.secs(), entries.message()).await {
            Ok(Ok(Some(got))) => {
                assert_eq!(got, entry(next));
                next += 1;
            }
            Ok(Ok(None)) => return assert_eq!(next, last + 1, "the stream ended"),
            Ok(Err(_)) => return,
            Err(_) => panic!("keep-alive did not find that the connection is dead"),
        }
    }
}

async fn work(sim: Sim, mut client: Client) -> Result {
    let mut answers = 0;
    for step in sim.steps(25) {
        tokio::time::sleep(step.random_range(0..300_u64).millis()).await;
        let last = step.random_range(1..30_u64);
        match step.random_range(0..5_u32) {
            0 => {
                if let Ok(sum) = client.unary("Add", entry(last)).await {
                    assert!(sum.number >= last && sum.text == entry(last).text);
                    answers += 1;
                }
            }
            1 => {
                if let Ok(entries) = client.count(last).await {
                    check_order(entries, last).await;
                    answers += 1;
                }
            }
            2 => {
                if let Ok(sum) = client.sum(last).await {
                    assert_eq!(sum, last * (last + 1) / 2);
                    answers += 1;
                }
            }
            3 => {
                if let Ok(entries) = client.echo(last).await {
                    check_order(entries, last).await;
                    answers += 1;
                }
            }
            _ => {
                let status = client.unary("Hang", entry(1)).await.expect_err("no answer");
                let possible = [
                    Code::Cancelled,
                    Code::DeadlineExceeded,
                    Code::Unavailable,
                    Code::Unknown,
                    Code::Internal,
                ];
                assert!(possible.contains(&status.code()), "{status:?}");
            }
        }
    }
    sim.log(format!("{answers} answers"));
    sim.settle().await?;
    for _ in 0..10 {
        if client.unary("Add", entry(1)).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(500.millis()).await;
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
async fn calls_and_streams_outlive_faults(sim: Sim) -> Result {
    work(sim, Client::new(endpoint("server.zone")?.connect_lazy())).await
}

#[sim_test(
    seeds = 200,
    check = true,
    topology = lossy().machine("server{1..=3}.zone", serve),
    client = "client.office",
    chaos = [power_offs(), partitions()],
)]
async fn balanced_channel_outlives_faults(sim: Sim) -> Result {
    let endpoints = (1..=3).map(|n| endpoint(&format!("server{n}.zone")));
    let endpoints: Vec<Endpoint> = endpoints.collect::<Result<_>>()?;
    work(sim, Client::new(Channel::balance_list(endpoints.into_iter()))).await
}

/// The bug: what was added is not counted when its timeout is over, although the server may have added it.
#[sim_test(
    topology = lossy().machine("server.zone", serve),
    client = "client.office",
    chaos = partitions(),
    expect_failure(faults <= 2, steps <= 3),
)]
async fn addition_is_taken_for_lost_after_a_time_out(sim: Sim) -> Result {
    let mut client = Client::new(endpoint("server.zone")?.connect_lazy());
    let mut sum = 0;
    for step in sim.steps(30) {
        tokio::time::sleep(step.random_range(0..200_u64).millis()).await;
        if let Ok(now) = client.unary("Add", entry(1)).await {
            sum += 1;
            assert_eq!(now.number, sum, "the sum");
        }
    }
    Ok(())
}
