//! What every service does: it answers requests on a port until it is told to stop.

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

/// Answers requests of one kind.
pub(crate) trait Handler: Send + Sync + 'static {
    type Request: DeserializeOwned + Send + 'static;
    type Answer: Serialize + Send + Sync + 'static;

    fn handle(&self, request: Self::Request) -> impl Future<Output = Self::Answer> + Send;
}

/// A connection on which nothing was asked for so long is closed: its client may have lost its power.
const IDLE: Duration = Duration::from_secs(30);

/// Serves connections at an address until the process is told to stop. Then it takes no more, and finishes the requests in hand.
pub(crate) async fn serve<H: Handler>(handler: Arc<H>, address: &str) -> io::Result<()> {
    let stop = signal::token();
    let listener = TcpListener::bind(address).await?;
    let mut connections = JoinSet::new();
    loop {
        match unless_stopped(stop, accept(&listener, &mut connections)).await {
            None => break,
            Some(Ok(stream)) => {
                connections.spawn(converse(stream, Arc::clone(&handler), stop));
            }
            Some(Err(error)) => {
                tracing::warn!("Cannot accept: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        pass_on_panic(ended);
    }
    Ok(())
}

/// `None` if the process is told to stop first, or has been.
pub(crate) async fn unless_stopped<F: Future>(stop: StopToken, future: F) -> Option<F::Output> {
    match select(pin!(stop.stopped()), pin!(future)).await {
        Either::Left(((), _)) => None,
        Either::Right((output, _)) => Some(output),
    }
}

/// The next connection; forgets those that have ended.
async fn accept(listener: &TcpListener, connections: &mut JoinSet<()>) -> io::Result<TcpStream> {
    let mut accepted = pin!(listener.accept());
    poll_fn(|cx| {
        while let Poll::Ready(Some(ended)) = connections.poll_join_next(cx) {
            pass_on_panic(ended);
        }
        accepted.as_mut().poll(cx)
    })
    .await
    .map(|(stream, _)| stream)
}

/// Answers what is asked on a connection, one request after the other.
async fn converse<H: Handler>(stream: TcpStream, handler: Arc<H>, stop: StopToken) {
    let mut connection = Connection::new(stream);
    loop {
        let next = timeout(IDLE, connection.receive::<H::Request>());
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

fn pass_on_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        resume_unwind(error.into_panic());
    }
}
