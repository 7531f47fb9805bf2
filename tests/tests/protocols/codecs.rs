//! Tests the codecs of tokio-util: lines and length-delimited frames, on a stream and on its
//! halves.

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use simmach::net::{TcpListener, TcpStream};
use simmach::prelude::*;
use simmach::task::spawn;
use tokio_util::codec::{Framed, FramedRead, FramedWrite, LengthDelimitedCodec, LinesCodec};

use crate::helpers::{content, mobile, nothing_is_left};

/// Answers each line with its reverse.
async fn reverse_lines() -> Result {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    loop {
        let (stream, _) = listener.accept().await?;
        spawn(async {
            let mut lines = Framed::new(stream, LinesCodec::new());
            while let Some(line) = lines.next().await {
                let line = line.expect("a line");
                lines.send(line.chars().rev().collect::<String>()).await.expect("a client");
            }
        });
    }
}

/// Echoes each frame.
async fn echo() -> Result {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    loop {
        let (stream, _) = listener.accept().await?;
        spawn(async {
            let (read, write) = stream.into_split();
            let frames = FramedRead::new(read, LengthDelimitedCodec::new());
            let mut sink = FramedWrite::new(write, LengthDelimitedCodec::new());
            let mut frames = frames.map(|frame| frame.map(|bytes| bytes.freeze()));
            sink.send_all(&mut frames).await.expect("a client that reads to the end");
        });
    }
}

#[sim_test(seeds = 50, topology = mobile().machine("server.public", reverse_lines), client = "phone.mobile")]
async fn lines_are_answered(sim: Sim) -> Result {
    let stream = TcpStream::connect("server.public:80").await?;
    let mut lines = Framed::new(stream, LinesCodec::new());
    for step in sim.steps(10) {
        let line = format!("line {} of {}", step.number(), step.random_range(0..1_000_000));
        lines.send(&line).await?;
        let answer = lines.next().await.expect("an answer")?;
        assert_eq!(answer, line.chars().rev().collect::<String>());
    }
    drop(lines);
    nothing_is_left(sim).await
}

#[sim_test(seeds = 50, topology = mobile().machine("server.public", echo), client = "phone.mobile")]
async fn frames_come_back(sim: Sim) -> Result {
    let (read, write) = TcpStream::connect("server.public:80").await?.into_split();
    let frames: Vec<Bytes> = sim
        .steps(20)
        .map(|step| Bytes::from(content(step.random_range(0..5_000), step.number())))
        .collect();
    let sent = frames.clone();
    let sending = spawn(async move {
        let mut sink = FramedWrite::new(write, LengthDelimitedCodec::new());
        for frame in sent {
            sink.feed(frame).await?;
        }
        SinkExt::<Bytes>::close(&mut sink).await
    });
    let back = FramedRead::new(read, LengthDelimitedCodec::new());
    let back: Vec<_> = back.map(|frame| frame.map(|bytes| bytes.freeze())).collect().await;
    let back = back.into_iter().collect::<std::io::Result<Vec<Bytes>>>()?;
    assert!(back == frames, "{} frames came back, of {}", back.len(), frames.len());
    sending.await??;
    nothing_is_left(sim).await
}
