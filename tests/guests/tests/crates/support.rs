//! The network and the plans of the tests of crates.

use std::collections::BTreeMap;
use std::fmt::Debug;

use futures::{SinkExt, StreamExt};
use simmach::prelude::*;
use tokio::net::TcpListener;
use tokio_util::codec::{Framed, LinesCodec};

/// Clients in one zone, services in another zone, and a link between them that loses packets.
pub(crate) fn lossy() -> Topology {
    let link = NetworkProfile::uniform(1.millis(), 20.millis()).loss(0.03);
    Topology::new().host("client.office").link("office", "zone", link)
}

/// Power losses in the middle of requests.
pub(crate) fn power_offs() -> PowerOffs {
    PowerOffs::new().every(500.millis()..4.secs()).downtime(50.millis()..2.secs())
}

/// Partitions between all machines. Some connections survive them.
pub(crate) fn partitions() -> Partitions {
    Partitions::new().machines("*").every(500.millis()..4.secs()).lasting(100.millis()..3.secs())
}

/// The values that each key may have. A key may have no value, if it was never written or the
/// server lost its values.
pub(crate) struct Possible<T>(BTreeMap<String, Values<T>>);

struct Values<T> {
    last: Option<T>,
    /// Values written by requests that were not answered. The network may deliver such requests at
    /// any time.
    maybe: Vec<T>,
}

impl<T> Default for Possible<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: PartialEq + Debug> Possible<T> {
    fn of(&mut self, key: &str) -> &mut Values<T> {
        self.0.entry(key.to_owned()).or_insert(Values { last: None, maybe: Vec::new() })
    }

    /// A write was answered, unless it failed.
    pub(crate) fn record<E>(&mut self, key: &str, value: T, written: &Result<(), E>) {
        let values = self.of(key);
        match written {
            Ok(()) => values.last = Some(value),
            Err(_) => values.maybe.push(value),
        }
    }

    #[track_caller]
    pub(crate) fn check(&mut self, key: &str, value: T) {
        let Values { last, maybe } = self.of(key);
        let is_possible = last.as_ref() == Some(&value) || maybe.contains(&value);
        assert!(is_possible, "{key} is {value:?}, neither {last:?} nor one of {maybe:?}");
    }
}

/// Serves a protocol of lines on port 7: each is answered by `answer`.
pub(crate) async fn serve_lines<R>(answer: impl Fn(String) -> R + Clone + Send + 'static) -> Result
where
    R: Future<Output = String> + Send,
{
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let answer = answer.clone();
        tokio::spawn(async move {
            let mut lines = Framed::new(stream, LinesCodec::new());
            while let Some(Ok(line)) = lines.next().await {
                if lines.send(answer(line).await).await.is_err() {
                    break;
                }
            }
        });
    }
}

/// Asks for one answer, over a connection of its own.
pub(crate) async fn ask_line(machine: &str, line: String) -> Result<String> {
    let stream = tokio::net::TcpStream::connect((machine, 7)).await?;
    let mut lines = Framed::new(stream, LinesCodec::new());
    lines.send(line).await?;
    Ok(lines.next().await.ok_or("closed")??)
}
