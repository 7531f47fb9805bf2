//! How connections end, and what is told of it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::helpers::{kind, pair, pause, reset};

both_ways! {
    a_drop_is_the_end_of_the_stream,
    what_was_written_before_a_drop_arrives,
    half_a_connection_can_be_shut,
    after_a_shutdown_a_write_breaks,
    a_shutdown_may_be_repeated,
    both_may_shut_and_both_see_the_end,
    unread_bytes_make_a_drop_a_reset,
    a_drop_with_all_read_is_no_reset,
    a_reset_is_told_once_to_a_reader,
    a_reset_is_told_once_to_a_writer,
    a_reset_wakes_a_reader,
    a_reset_is_told_before_the_bytes_in_front_of_it,
    a_peek_tells_of_a_reset_too,
    after_a_reset_there_is_no_peer,
    after_a_reset_a_shutdown_is_nothing,
    a_write_to_a_closed_peer_is_reset_and_then_breaks,
    a_reader_that_saw_the_end_sees_no_reset,
    the_end_is_read_before_a_reset_that_followed_it,
    bytes_for_a_dropped_peer_reset_what_is_half_closed,
    a_writer_that_waits_is_told_of_a_reset,
}

async fn a_drop_is_the_end_of_the_stream() {
    let (near, mut far) = pair().await;
    drop(near);
    assert_eq!(far.read(&mut [0; 8]).await.expect("the end"), 0);
    assert_eq!(far.read(&mut [0; 8]).await.expect("still the end"), 0);
}

async fn what_was_written_before_a_drop_arrives() {
    let (mut near, mut far) = pair().await;
    near.write_all(&[7; 100_000]).await.expect("open");
    drop(near);
    let mut bytes = Vec::new();
    far.read_to_end(&mut bytes).await.expect("an orderly end");
    assert_eq!(bytes.len(), 100_000);
}

async fn half_a_connection_can_be_shut() {
    let (mut near, mut far) = pair().await;
    near.write_all(b"question").await.expect("open");
    near.shutdown().await.expect("open");
    let mut bytes = Vec::new();
    far.read_to_end(&mut bytes).await.expect("an orderly end");
    assert_eq!(bytes, b"question");
    far.write_all(b"answer").await.expect("this half is open");
    drop(far);
    bytes.clear();
    near.read_to_end(&mut bytes).await.expect("an orderly end");
    assert_eq!(bytes, b"answer");
}

async fn after_a_shutdown_a_write_breaks() {
    let (mut near, _far) = pair().await;
    near.shutdown().await.expect("open");
    assert_eq!(kind(near.write(b"x").await), "BrokenPipe 32");
    assert_eq!(kind(near.write(b"x").await), "BrokenPipe 32");
}

async fn a_shutdown_may_be_repeated() {
    let (mut near, _far) = pair().await;
    near.shutdown().await.expect("open");
    near.shutdown().await.expect("shut already");
}

async fn both_may_shut_and_both_see_the_end() {
    let (mut near, mut far) = pair().await;
    near.shutdown().await.expect("open");
    far.shutdown().await.expect("open");
    assert_eq!(near.read(&mut [0; 8]).await.expect("the end"), 0);
    assert_eq!(far.read(&mut [0; 8]).await.expect("the end"), 0);
    pause().await;
    near.shutdown().await.expect("over already");
    // Both FINs were seen: what is left is the kernel's own matter.
    assert_eq!(kind(near.peer_addr()), "NotConnected 107");
    assert_eq!(kind(far.peer_addr()), "NotConnected 107");
}

async fn unread_bytes_make_a_drop_a_reset() {
    let (mut near, far) = pair().await;
    near.write_all(b"never read").await.expect("open");
    pause().await;
    drop(far);
    pause().await;
    assert_eq!(kind(near.read(&mut [0; 8]).await), "ConnectionReset 104");
}

async fn a_drop_with_all_read_is_no_reset() {
    let (mut near, mut far) = pair().await;
    near.write_all(b"read").await.expect("open");
    far.read_exact(&mut [0; 4]).await.expect("open");
    drop(far);
    assert_eq!(near.read(&mut [0; 8]).await.expect("the end"), 0);
}

async fn a_reset_is_told_once_to_a_reader() {
    let mut near = reset().await;
    assert_eq!(kind(near.read(&mut [0; 8]).await), "ConnectionReset 104");
    assert_eq!(near.read(&mut [0; 8]).await.expect("told already"), 0);
    assert_eq!(kind(near.write(b"x").await), "BrokenPipe 32");
}

async fn a_reset_is_told_once_to_a_writer() {
    let mut near = reset().await;
    assert_eq!(kind(near.write(b"x").await), "ConnectionReset 104");
    assert_eq!(kind(near.write(b"x").await), "BrokenPipe 32");
    assert_eq!(near.read(&mut [0; 8]).await.expect("told already"), 0);
}

async fn a_reset_wakes_a_reader() {
    let (mut near, far) = pair().await;
    far.set_zero_linger().expect("open");
    let mut buf = [0; 8];
    let (read, ()) = futures::join!(near.read(&mut buf), async {
        pause().await;
        drop(far);
    });
    assert_eq!(kind(read), "ConnectionReset 104");
}

async fn a_reset_is_told_before_the_bytes_in_front_of_it() {
    let (mut near, mut far) = pair().await;
    far.write_all(b"last").await.expect("open");
    pause().await;
    far.set_zero_linger().expect("open");
    drop(far);
    pause().await;
    let mut buf = [0; 8];
    assert_eq!(near.read(&mut buf).await.expect("what came before"), 4);
    assert_eq!(kind(near.read(&mut buf).await), "ConnectionReset 104");
}

async fn a_peek_tells_of_a_reset_too() {
    let near = reset().await;
    let mut buf = [0; 8];
    assert_eq!(kind(near.peek(&mut buf).await), "ConnectionReset 104");
    assert_eq!(near.peek(&mut buf).await.expect("told already"), 0);
}

async fn after_a_reset_there_is_no_peer() {
    let near = reset().await;
    assert_eq!(kind(near.peer_addr()), "NotConnected 107");
    near.local_addr().expect("its own it still has");
}

async fn after_a_reset_a_shutdown_is_nothing() {
    let mut near = reset().await;
    near.shutdown().await.expect("nothing is left to shut");
}

async fn a_write_to_a_closed_peer_is_reset_and_then_breaks() {
    let (mut near, far) = pair().await;
    drop(far);
    pause().await;
    near.write_all(b"its kernel resets").await.expect("half is open");
    pause().await;
    assert_eq!(kind(near.write(b"x").await), "BrokenPipe 32");
}

async fn a_reader_that_saw_the_end_sees_no_reset() {
    let (mut near, far) = pair().await;
    drop(far);
    assert_eq!(near.read(&mut [0; 8]).await.expect("the end"), 0);
    near.write_all(b"its kernel resets").await.expect("half is open");
    pause().await;
    assert_eq!(near.read(&mut [0; 8]).await.expect("still the end"), 0);
}

async fn the_end_is_read_before_a_reset_that_followed_it() {
    let (mut near, far) = pair().await;
    drop(far);
    pause().await;
    near.write_all(b"its kernel resets").await.expect("half is open");
    pause().await;
    assert_eq!(near.read(&mut [0; 8]).await.expect("the end"), 0);
}

async fn bytes_for_a_dropped_peer_reset_what_is_half_closed() {
    let (mut near, mut far) = pair().await;
    near.shutdown().await.expect("open");
    assert_eq!(far.read(&mut [0; 8]).await.expect("the end"), 0);
    drop(near);
    far.write_all(b"nobody reads this").await.expect("half is open");
    pause().await;
    assert_eq!(kind(far.write(b"x").await), "BrokenPipe 32");
}

async fn a_writer_that_waits_is_told_of_a_reset() {
    let (mut near, far) = pair().await;
    let bytes = vec![1; 16 << 20];
    let (written, ()) = futures::join!(near.write_all(&bytes), async {
        pause().await;
        drop(far);
    });
    assert_eq!(kind(written), "ConnectionReset 104");
}
