//! Messages on a connection: frames with a length prefix, each with one value in postcard's format.

use std::io;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use simmach::net::TcpStream;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// Identifies a client's request. A repeated request has the same ID.
///
/// A client sends one request at a time, so a higher number supersedes the lower ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestId {
    /// The client's random number, which it draws itself.
    pub client: u64,
    /// The number of the request, counted from 1 for each client.
    pub number: u64,
}

/// A connection that carries messages.
pub(crate) struct Connection {
    frames: Framed<TcpStream, LengthDelimitedCodec>,
}

impl Connection {
    pub(crate) async fn open(address: &str) -> io::Result<Self> {
        Ok(Self::new(TcpStream::connect(address).await?))
    }

    pub(crate) fn new(stream: TcpStream) -> Self {
        // Each message is written in one go and answered before the next, so Nagle's algorithm would only delay it.
        let _ = stream.set_nodelay(true);
        Self { frames: Framed::new(stream, LengthDelimitedCodec::new()) }
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn ask<Q: Serialize, A: DeserializeOwned>(
        &mut self,
        question: &Q,
    ) -> io::Result<A> {
        self.send(question).await?;
        self.receive().await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    pub(crate) async fn send<M: Serialize>(&mut self, message: &M) -> io::Result<()> {
        let frame = postcard::to_stdvec(message).map_err(invalid)?;
        self.frames.send(Bytes::from(frame)).await
    }

    /// The next message; `None` at the end of the stream.
    pub(crate) async fn receive<M: DeserializeOwned>(&mut self) -> io::Result<Option<M>> {
        let Some(frame) = self.frames.next().await else { return Ok(None) };
        postcard::from_bytes(&frame?).map(Some).map_err(invalid)
    }
}

fn invalid(error: postcard::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
