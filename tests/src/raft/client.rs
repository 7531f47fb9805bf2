//! The clients. Each appends its numbers and reads the list, with one request after another.

use simmach::net::UdpSocket;
use simmach::prelude::*;
use simmach::task::JoinSet;
use simmach::time::{Instant, sleep, timeout};

use super::message::{Message, Request};
use super::oracle;
use super::server::{self, PORT};

const CLIENTS: u64 = 3;
const STEPS: u64 = 20;
/// Maximum pause before a request, in milliseconds.
const PAUSE: u64 = 300;
/// How long a client waits for an answer before it asks another server.
const ANSWER: Duration = Duration::from_millis(200);
/// How long a client retries a request.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the faults continue after the last request. Otherwise, a run with few requests would
/// end before the next election.
const REST: Duration = Duration::from_secs(1);
/// How long the cluster may take to answer after the last fault is over.
const RECOVERY: Duration = Duration::from_secs(20);

pub(super) async fn body(sim: Sim, servers: u64) -> Result {
    let mut clients = JoinSet::new();
    for number in 1..=CLIENTS {
        clients.spawn_local(work(sim, number, servers));
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    sleep(REST).await;
    sim.settle().await?;
    let mut last = Client::new(CLIENTS + 1, servers).await?;
    if last.request(0, RECOVERY).await.is_none() {
        sim.fail("unavailable", format!("no answer within {RECOVERY:?} after all faults are over"));
    }
    Ok(())
}

async fn work(sim: Sim, number: u64, servers: u64) -> Result {
    let mut client = Client::new(number, servers).await?;
    for step in sim.steps(STEPS) {
        sleep(step.random_range(0..PAUSE).millis()).await;
        let value = if step.random_bool(0.4) { 0 } else { number * 1_000 + step.number() + 1 };
        client.request(value, PATIENCE).await;
    }
    Ok(())
}

struct Client {
    number: u64,
    sequence: u64,
    servers: u64,
    /// The server that is asked next.
    server: u64,
    socket: UdpSocket,
}

impl Client {
    async fn new(number: u64, servers: u64) -> Result<Self> {
        let socket = UdpSocket::bind("0.0.0.0:0").await?;
        Ok(Self { number, sequence: 0, servers, server: (number - 1) % servers + 1, socket })
    }

    /// Appends `value`, or reads the list if it is 0. Returns the length of the list, or `None` if there is no answer in time:
    /// then an append may have taken effect, or may take effect later.
    async fn request(&mut self, value: u64, patience: Duration) -> Option<u64> {
        self.sequence += 1;
        let request = Request { client: self.number, sequence: self.sequence, value };
        let (floor, began) = (oracle::floor(), Instant::now());
        while began.elapsed() < patience {
            match self.ask(request).await {
                Some(Message::Answer { length, last, .. }) => {
                    oracle::answered(request, floor, length, last);
                    return Some(length);
                }
                Some(Message::Elsewhere { leader, .. }) if leader != 0 => self.server = leader,
                _ => {
                    self.server = self.server % self.servers + 1;
                    sleep(20.millis()).await;
                }
            }
        }
        None
    }

    /// Sends the request to a server, and waits for the answer.
    async fn ask(&self, request: Request) -> Option<Message> {
        let bytes = Message::Request(request).encode();
        self.socket.send_to(&bytes, (server::name(self.server).as_str(), PORT)).await.ok()?;
        timeout(ANSWER, self.receive(request)).await.ok()?
    }

    /// Receives the answer to this request. Answers to earlier ones are late.
    async fn receive(&self, request: Request) -> Option<Message> {
        let mut bytes = [0; 256];
        loop {
            let (length, _) = self.socket.recv_from(&mut bytes).await.ok()?;
            let message = Message::decode(&bytes[..length])?;
            let (Message::Answer { sequence, .. } | Message::Elsewhere { sequence, .. }) = message
            else {
                continue;
            };
            if sequence == request.sequence {
                return Some(message);
            }
        }
    }
}
