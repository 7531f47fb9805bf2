//! Tests tokio-tungstenite, as server and client.

use std::sync::{Arc, Mutex};

use futures::{SinkExt, StreamExt};
use simmach::prelude::*;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{accept_async, connect_async};

use crate::support::{lossy, partitions, power_offs};

/// Sends numbered messages to each client. The next message is sent after the previous one was
/// acknowledged.
async fn serve() -> std::io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    let acknowledged = Arc::new(Mutex::new(0_u64));
    loop {
        let (stream, _) = listener.accept().await?;
        let acknowledged = Arc::clone(&acknowledged);
        tokio::spawn(async move {
            let Ok(Ok(mut socket)) = timeout(2.secs(), accept_async(stream)).await else { return };
            loop {
                let next = *acknowledged.lock().expect("no panic while it is held") + 1;
                if socket.send(Message::text(next.to_string())).await.is_err() {
                    return;
                }
                let answer = timeout(2.secs(), socket.next()).await;
                let Ok(Some(Ok(Message::Text(number)))) = answer else { return };
                let number = number.parse().expect("clients send numbers");
                *acknowledged.lock().expect("no panic while it is held") = number;
                tokio::time::sleep(50.millis()).await;
            }
        });
    }
}

/// Receives messages until an error occurs.
async fn receive(mut handle: impl FnMut(u64)) -> Result {
    let (mut socket, _) = timeout(2.secs(), connect_async("ws://server.zone/")).await??;
    loop {
        let message = timeout(2.secs(), socket.next()).await?.ok_or("closed")??;
        if let Message::Text(number) = message {
            handle(number.parse()?);
            socket.send(Message::Text(number)).await?;
        }
    }
}

#[sim_test(
    seeds = 200,
    check = true,
    topology = lossy().machine("server.zone", serve),
    client = "client.office",
    chaos = [power_offs(), partitions()],
)]
async fn messages_are_received_in_order(sim: Sim) -> Result {
    let mut last = 0;
    let mut received = 0;
    let work = async {
        loop {
            // A restarted server begins anew.
            let mut is_first = true;
            let ended = receive(|number| {
                let follows = number == last + 1 || (is_first && (number == last || number == 1));
                assert!(follows, "{number} comes after {last}");
                last = number;
                is_first = false;
                received += 1;
            });
            if ended.await.is_err() {
                tokio::time::sleep(200.millis()).await;
            }
        }
    };
    // It never ends.
    let _ = timeout(20.secs(), work).await;
    sim.log(format!("{received} messages"));
    Ok(())
}

/// The bug: a message whose acknowledgement is lost comes again, and is handled again.
#[sim_test(
    topology = lossy().machine("server.zone", serve),
    client = "client.office",
    chaos = partitions(),
    expect_failure(faults <= 1),
)]
async fn message_is_handled_twice() -> Result {
    let mut handled = 0;
    let work = async {
        loop {
            let ended = receive(|number| {
                handled += 1;
                assert_eq!(number, handled, "messages handled");
            });
            if ended.await.is_err() {
                tokio::time::sleep(200.millis()).await;
            }
        }
    };
    // It never ends.
    let _ = timeout(60.secs(), work).await;
    Ok(())
}
