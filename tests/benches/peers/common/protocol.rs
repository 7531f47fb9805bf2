//! The protocols over a connection, which are the same for every simulator. Messages have 64 bytes.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub(crate) const MESSAGE: usize = 64;
pub(crate) const CHUNK: usize = 64 * 1024;

/// Echoes messages until the end of the stream.
pub(crate) async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut message = [0; MESSAGE];
    while stream.read_exact(&mut message).await.is_ok() {
        if say(&mut stream, &message).await.is_err() {
            return;
        }
    }
}

/// Makes `count` round trips and checks each answer.
pub(crate) async fn round_trips(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), count: u64) {
    let mut message = [0; MESSAGE];
    for n in 0..count {
        message[..8].copy_from_slice(&n.to_le_bytes());
        say(stream, &message).await.expect("it is connected");
        stream.read_exact(&mut message).await.expect("an answer");
        assert_eq!(message[..8], n.to_le_bytes());
    }
}

/// Passes on each message with its counter decremented, until the counter is 0 or the stream ends.
/// Returns whether the counter reached 0 here.
pub(crate) async fn pass_on(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    first: Option<u64>,
) -> bool {
    let mut message = [0; MESSAGE];
    if let Some(first) = first {
        message[..8].copy_from_slice(&first.to_le_bytes());
        say(&mut to, &message).await.expect("it is connected");
    }
    while from.read_exact(&mut message).await.is_ok() {
        let left = u64::from_le_bytes(message[..8].try_into().expect("eight bytes"));
        if left == 0 {
            return true;
        }
        message[..8].copy_from_slice(&(left - 1).to_le_bytes());
        if say(&mut to, &message).await.is_err() {
            return false;
        }
    }
    false
}

/// Writes `bytes` bytes.
pub(crate) async fn pour(mut stream: impl AsyncWrite + Unpin, bytes: u64) {
    let chunk = vec![7; CHUNK];
    for _ in 0..bytes / CHUNK as u64 {
        say(&mut stream, &chunk).await.expect("it is connected");
    }
}

/// Reads `bytes` bytes.
pub(crate) async fn drink(mut stream: impl AsyncRead + Unpin, bytes: u64) {
    let mut chunk = vec![0; CHUNK];
    let mut left = bytes;
    while left > 0 {
        let read = stream.read(&mut chunk).await.expect("it is connected");
        assert!(read > 0, "{left} bytes are missing");
        left -= read as u64;
    }
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}
