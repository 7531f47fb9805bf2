//! The server that all services use: it answers requests until the stop signal.

use std::future::{Future, poll_fn};
use std::io;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::future::{Either, select};
use serde::Serialize;
use serde::de::DeserializeOwned;
use simmach::net::{TcpListener, TcpStream};
use simmach::signal::{self, StopToken};
use simmach::task::{JoinError, JoinSet};
use simmach::time::{sleep, timeout};

use crate::wire::Connection;

/// Handles requests of one type.
pub(crate) trait Handler: Send + Sync + 'static {
    type Request: DeserializeOwned + Send + 'static;
    type Answer: Serialize + Send + Sync + 'static;

    fn handle(&self, request: Self::Request) -> impl Future<Output = Self::Answer> + Send;
}

/// Connections that are idle for this long are closed, because the client may have lost power.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves connections at an address until the stop signal. After the signal, it accepts no more
/// connections and finishes the current requests.
pub(crate) async fn serve<H: Handler>(handler: Arc<H>, address: &str) -> io::Result<()> {
    let stop = signal::token();
    let listener = TcpListener::bind(address).await?;
    let mut connections = JoinSet::new();
    loop {
        match unless_stopped(stop, accept(&listener, &mut connections)).await {
            None => break,
            Some(Ok(stream)) => {
                connections.spawn(serve_connection(stream, Arc::clone(&handler), stop));
            }
            Some(Err(error)) => {
                tracing::warn!("Cannot accept: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        propagate_panic(ended);
    }
    Ok(())
}

/// The future's output, or `None` if the stop signal comes first.
pub(crate) async fn unless_stopped<F: Future>(stop: StopToken, future: F) -> Option<F::Output> {
    match select(pin!(stop.stopped()), pin!(future)).await {
        Either::Left(((), _)) => None,
        Either::Right((output, _)) => Some(output),
    }
}

/// The next connection. Removes ended ones from `connections` meanwhile.
async fn accept(listener: &TcpListener, connections: &mut JoinSet<()>) -> io::Result<TcpStream> {
    let mut accepted = pin!(listener.accept());
    poll_fn(|cx| {
        while let Poll::Ready(Some(ended)) = connections.poll_join_next(cx) {
            propagate_panic(ended);
        }
        accepted.as_mut().poll(cx)
    })
    .await
    .map(|(stream, _)| stream)
}

/// Answers the requests of one connection, one after the other.
async fn serve_connection<H: Handler>(stream: TcpStream, handler: Arc<H>, stop: StopToken) {
    let mut connection = Connection::new(stream);
    loop {
        let next = timeout(IDLE_TIMEOUT, connection.receive::<H::Request>());
        let request = match unless_stopped(stop, next).await {
            Some(Ok(Ok(Some(request)))) => request,
            Some(Ok(Err(error))) => {
                tracing::debug!("A connection broke: {error}");
                return;
            }
            None | Some(Err(_) | Ok(Ok(None))) => return,
        };
        let answer = handler.handle(request).await;
        if let Err(error) = connection.send(&answer).await {
            tracing::debug!("An answer could not be sent: {error}");
            return;
        }
    }
}

fn propagate_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        resume_unwind(error.into_panic());
    }
}
