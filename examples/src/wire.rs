//! Messages on a connection: frames with their length in front, and in each one value in postcard's format.

use std::io;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use simmach::net::TcpStream;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// What a client calls one of its requests, however often it sends it.
///
/// A client has one request at a time, so its latest number makes the earlier ones history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestId {
    /// Who asks: drawn by each client for itself.
    pub client: u64,
    /// Its requests, counted.
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
        // A message is written at once and answered before the next: there is nothing to gather.
        let _ = stream.set_nodelay(true);
        Self { frames: Framed::new(stream, LengthDelimitedCodec::new()) }
    }

    /// Sends a question and waits for its answer.
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

    /// The next message; `None` when the other side has no more.
    pub(crate) async fn receive<M: DeserializeOwned>(&mut self) -> io::Result<Option<M>> {
        let Some(frame) = self.frames.next().await else { return Ok(None) };
        postcard::from_bytes(&frame?).map(Some).map_err(invalid)
    }
}

fn invalid(error: postcard::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
