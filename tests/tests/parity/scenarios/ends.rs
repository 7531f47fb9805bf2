//! Scenarios of connections that end by shutdown, drop or reset, and of how the ends are reported.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::helpers::{kind, pair, pause, reset};

everywhere! {
    drop_ends_the_stream,
    drop_delivers_what_was_written,
    shutdown_closes_one_direction,
    write_after_a_shutdown_is_a_broken_pipe,
    shutdown_may_be_repeated,
    shutdown_by_both_ends,
    drop_with_unread_bytes_is_a_reset,
    drop_with_all_read_is_no_reset,
    reset_is_reported_to_a_reader_once,
    reset_is_reported_to_a_writer_once,
    reset_wakes_a_reader,
    reset_is_reported_after_unread_bytes,
    reset_is_reported_to_a_peek,
    reset_connection_has_no_peer,
    shutdown_after_a_reset_succeeds,
    write_to_a_closed_peer_is_reset_then_a_broken_pipe,
    reset_after_the_end_is_not_reported,
    end_is_read_before_a_later_reset,
    half_closed_connection_is_reset_by_late_bytes,
    reset_wakes_a_writer,
}

async fn drop_ends_the_stream() {
    let (near, mut far) = pair().await;
    drop(near);
    assert_eq!(far.read(&mut [0; 8]).await.expect("the stream ends"), 0);
    assert_eq!(far.read(&mut [0; 8]).await.expect("still the end"), 0);
}

async fn drop_delivers_what_was_written() {
    let (mut near, mut far) = pair().await;
    near.write_all(&[7; 100_000]).await.expect("the socket is open");
    drop(near);
    let mut bytes = Vec::new();
    far.read_to_end(&mut bytes).await.expect("the stream ends without an error");
    assert_eq!(bytes.len(), 100_000);
}

async fn shutdown_closes_one_direction() {
    let (mut near, mut far) = pair().await;
    near.write_all(b"question").await.expect("the socket is open");
    near.shutdown().await.expect("the socket is open");
    let mut bytes = Vec::new();
    far.read_to_end(&mut bytes).await.expect("the stream ends without an error");
    assert_eq!(bytes, b"question");
    far.write_all(b"answer").await.expect("this half is open");
    drop(far);
    bytes.clear();
    near.read_to_end(&mut bytes).await.expect("the stream ends without an error");
    assert_eq!(bytes, b"answer");
}

async fn write_after_a_shutdown_is_a_broken_pipe() {
    let (mut near, _far) = pair().await;
    near.shutdown().await.expect("the socket is open");
    assert_eq!(kind(near.write(b"x").await), "BrokenPipe 32");
    assert_eq!(kind(near.write(b"x").await), "BrokenPipe 32");
}

async fn shutdown_may_be_repeated() {
    let (mut near, _far) = pair().await;
    near.shutdown().await.expect("the socket is open");
    near.shutdown().await.expect("shut already");
}

async fn shutdown_by_both_ends() {
    let (mut near, mut far) = pair().await;
    near.shutdown().await.expect("the socket is open");
    far.shutdown().await.expect("the socket is open");
    assert_eq!(near.read(&mut [0; 8]).await.expect("the stream ends"), 0);
    assert_eq!(far.read(&mut [0; 8]).await.expect("the stream ends"), 0);
    pause().await;
    near.shutdown().await.expect("over already");
    // Both FINs were received, so only the kernel's state is left.
    assert_eq!(kind(near.peer_addr()), "NotConnected 107");
    assert_eq!(kind(far.peer_addr()), "NotConnected 107");
}

async fn drop_with_unread_bytes_is_a_reset() {
    let (mut near, far) = pair().await;
    near.write_all(b"never read").await.expect("the socket is open");
    pause().await;
    drop(far);
    pause().await;
    assert_eq!(kind(near.read(&mut [0; 8]).await), "ConnectionReset 104");
}

async fn drop_with_all_read_is_no_reset() {
    let (mut near, mut far) = pair().await;
    near.write_all(b"read").await.expect("the socket is open");
    far.read_exact(&mut [0; 4]).await.expect("the socket is open");
    drop(far);
    assert_eq!(near.read(&mut [0; 8]).await.expect("the stream ends"), 0);
}

async fn reset_is_reported_to_a_reader_once() {
    let mut near = reset().await;
    assert_eq!(kind(near.read(&mut [0; 8]).await), "ConnectionReset 104");
    assert_eq!(near.read(&mut [0; 8]).await.expect("the error was reported before"), 0);
    assert_eq!(kind(near.write(b"x").await), "BrokenPipe 32");
}

async fn reset_is_reported_to_a_writer_once() {
    let mut near = reset().await;
    assert_eq!(kind(near.write(b"x").await), "ConnectionReset 104");
    assert_eq!(kind(near.write(b"x").await), "BrokenPipe 32");
    assert_eq!(near.read(&mut [0; 8]).await.expect("the error was reported before"), 0);
}

async fn reset_wakes_a_reader() {
    let (mut near, far) = pair().await;
    far.set_zero_linger().expect("the socket is open");
    let mut buf = [0; 8];
    let (read, ()) = futures::join!(near.read(&mut buf), async {
        pause().await;
        drop(far);
    });
    assert_eq!(kind(read), "ConnectionReset 104");
}

async fn reset_is_reported_after_unread_bytes() {
    let (mut near, mut far) = pair().await;
    far.write_all(b"last").await.expect("the socket is open");
    pause().await;
    far.set_zero_linger().expect("the socket is open");
    drop(far);
    pause().await;
    let mut buf = [0; 8];
    assert_eq!(near.read(&mut buf).await.expect("what came before"), 4);
    assert_eq!(kind(near.read(&mut buf).await), "ConnectionReset 104");
}

async fn reset_is_reported_to_a_peek() {
    let near = reset().await;
    let mut buf = [0; 8];
    assert_eq!(kind(near.peek(&mut buf).await), "ConnectionReset 104");
    assert_eq!(near.peek(&mut buf).await.expect("the error was reported before"), 0);
}

async fn reset_connection_has_no_peer() {
    let near = reset().await;
    assert_eq!(kind(near.peer_addr()), "NotConnected 107");
    near.local_addr().expect("its own it still has");
}

async fn shutdown_after_a_reset_succeeds() {
    let mut near = reset().await;
    near.shutdown().await.expect("nothing is left to shut");
}

async fn write_to_a_closed_peer_is_reset_then_a_broken_pipe() {
    let (mut near, far) = pair().await;
    drop(far);
    pause().await;
    near.write_all(b"its kernel resets").await.expect("half is open");
    pause().await;
    assert_eq!(kind(near.write(b"x").await), "BrokenPipe 32");
}

async fn reset_after_the_end_is_not_reported() {
    let (mut near, far) = pair().await;
    drop(far);
    assert_eq!(near.read(&mut [0; 8]).await.expect("the stream ends"), 0);
    near.write_all(b"its kernel resets").await.expect("half is open");
    pause().await;
    assert_eq!(near.read(&mut [0; 8]).await.expect("still the end"), 0);
}

async fn end_is_read_before_a_later_reset() {
    let (mut near, far) = pair().await;
    drop(far);
    pause().await;
    near.write_all(b"its kernel resets").await.expect("half is open");
    pause().await;
    assert_eq!(near.read(&mut [0; 8]).await.expect("the stream ends"), 0);
}

async fn half_closed_connection_is_reset_by_late_bytes() {
    let (mut near, mut far) = pair().await;
    near.shutdown().await.expect("the socket is open");
    assert_eq!(far.read(&mut [0; 8]).await.expect("the stream ends"), 0);
    drop(near);
    far.write_all(b"nobody reads this").await.expect("half is open");
    pause().await;
    assert_eq!(kind(far.write(b"x").await), "BrokenPipe 32");
}

async fn reset_wakes_a_writer() {
    let (mut near, far) = pair().await;
    let bytes = vec![1; 16 << 20];
    let (written, ()) = futures::join!(near.write_all(&bytes), async {
        pause().await;
        drop(far);
    });
    assert_eq!(kind(written), "ConnectionReset 104");
}
