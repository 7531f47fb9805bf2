//! Scenarios of reading and writing on open connections.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    helpers::{kind, pair, pause, silent, waits},
    task,
};

everywhere! {
    stream_carries_bytes_both_ways,
    stream_delivers_a_megabyte,
    stream_with_both_directions_full,
    write_of_many_small_pieces,
    read_takes_what_is_available,
    read_that_is_cancelled_loses_nothing,
    peek_takes_nothing,
    peek_waits_for_bytes,
    peek_sees_the_end_every_time,
    try_read_would_block_or_takes_bytes,
    write_without_a_reader_blocks,
    read_exact_of_a_short_stream_is_an_unexpected_end,
    stream_is_writable_and_not_readable_at_first,
    readable_at_the_end,
    nodelay_can_be_set,
    linger_is_read_back,
    write_of_nothing_does_nothing,
}

async fn stream_carries_bytes_both_ways() {
    let (mut near, mut far) = pair().await;
    near.write_all(b"ping").await.expect("the socket is open");
    let mut buf = [0; 4];
    far.read_exact(&mut buf).await.expect("the socket is open");
    assert_eq!(&buf, b"ping");
    far.write_all(b"pong").await.expect("the socket is open");
    near.read_exact(&mut buf).await.expect("the socket is open");
    assert_eq!(&buf, b"pong");
}

async fn stream_delivers_a_megabyte() {
    let (mut near, mut far) = pair().await;
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    let sent = bytes.clone();
    let writer = task::spawn(async move {
        near.write_all(&sent).await.expect("the socket is open");
        near
    });
    let mut read = vec![0; bytes.len()];
    far.read_exact(&mut read).await.expect("the socket is open");
    assert_eq!(read, bytes);
    writer.await.expect("the task does not panic");
}

async fn stream_with_both_directions_full() {
    let (mut near, mut far) = pair().await;
    let (mut one, mut two) = (near.split(), far.split());
    let (out, back) = (vec![1; 400_000], vec![2; 400_000]);
    let (mut there, mut here) = (vec![0; 400_000], vec![0; 400_000]);
    let (a, b, c, d) = futures::join!(
        one.1.write_all(&out),
        two.1.write_all(&back),
        one.0.read_exact(&mut here),
        two.0.read_exact(&mut there)
    );
    a.and(b).expect("the socket is open");
    c.and(d).expect("the socket is open");
    assert!(there == out && here == back);
}

async fn write_of_many_small_pieces() {
    let (mut near, mut far) = pair().await;
    for n in 0..1_000_u32 {
        near.write_all(&n.to_be_bytes()).await.expect("the socket is open");
    }
    for n in 0..1_000 {
        assert_eq!(far.read_u32().await.expect("the socket is open"), n);
    }
}

async fn read_takes_what_is_available() {
    let (mut near, mut far) = pair().await;
    near.write_all(b"abcdef").await.expect("the socket is open");
    pause().await;
    let mut buf = [0; 4];
    assert_eq!(far.read(&mut buf).await.expect("the socket is open"), 4);
    assert_eq!(far.read(&mut buf).await.expect("the socket is open"), 2);
    assert!(waits(far.read(&mut buf)).await);
}

async fn read_that_is_cancelled_loses_nothing() {
    let (mut near, mut far) = pair().await;
    let mut buf = [0; 4];
    assert!(waits(far.read(&mut buf)).await);
    near.write_all(b"late").await.expect("the socket is open");
    far.read_exact(&mut buf).await.expect("the socket is open");
    assert_eq!(&buf, b"late");
}

async fn peek_takes_nothing() {
    let (mut near, mut far) = pair().await;
    near.write_all(b"look").await.expect("the socket is open");
    pause().await;
    let mut buf = [0; 4];
    assert_eq!(far.peek(&mut buf[..2]).await.expect("the socket is open"), 2);
    assert_eq!(far.peek(&mut buf).await.expect("the socket is open"), 4);
    assert_eq!(&buf, b"look");
    far.read_exact(&mut buf).await.expect("the socket is open");
    assert_eq!(&buf, b"look");
}

async fn peek_waits_for_bytes() {
    let (mut near, far) = pair().await;
    let mut buf = [0; 4];
    assert!(waits(far.peek(&mut buf)).await);
    near.write_all(b"x").await.expect("the socket is open");
    assert_eq!(far.peek(&mut buf).await.expect("the socket is open"), 1);
}

async fn peek_sees_the_end_every_time() {
    let (near, mut far) = pair().await;
    drop(near);
    pause().await;
    let mut buf = [0; 4];
    assert_eq!(far.peek(&mut buf).await.expect("the stream ends"), 0);
    assert_eq!(far.peek(&mut buf).await.expect("the stream ends"), 0);
    assert_eq!(far.read(&mut buf).await.expect("the stream ends"), 0);
}

async fn try_read_would_block_or_takes_bytes() {
    let (mut near, far) = pair().await;
    let mut buf = [0; 8];
    assert_eq!(kind(far.try_read(&mut buf)), "WouldBlock");
    near.write_all(b"abc").await.expect("the socket is open");
    far.readable().await.expect("the socket is open");
    assert_eq!(far.try_read(&mut buf).expect("bytes arrive"), 3);
    assert_eq!(kind(far.try_read(&mut buf)), "WouldBlock");
}

async fn write_without_a_reader_blocks() {
    let (near, mut far) = pair().await;
    near.writable().await.expect("the socket is open");
    let chunk = [7; 64 * 1024];
    let mut written = 0;
    // A kernel's buffers may grow while there is time.
    loop {
        match near.try_write(&chunk) {
            Ok(n) => written += n,
            Err(error) if waits(near.writable()).await => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                assert_eq!(error.raw_os_error(), None, "tokio asks its own readiness");
                break;
            }
            Err(_) => {}
        }
    }
    assert!(written > 64 * 1024);
    let mut buf = vec![0; written];
    far.read_exact(&mut buf).await.expect("the socket is open");
    near.writable().await.expect("room again");
    assert!(near.try_write(&chunk).expect("room again") > 0);
}

async fn read_exact_of_a_short_stream_is_an_unexpected_end() {
    let (mut near, mut far) = pair().await;
    near.write_all(b"abc").await.expect("the socket is open");
    drop(near);
    assert_eq!(kind(far.read_exact(&mut [0; 8]).await), "UnexpectedEof");
}

async fn stream_is_writable_and_not_readable_at_first() {
    let (near, far) = pair().await;
    near.writable().await.expect("the socket is open");
    far.writable().await.expect("the socket is open");
    assert!(silent(&near).await);
}

async fn readable_at_the_end() {
    let (near, far) = pair().await;
    drop(near);
    pause().await;
    far.readable().await.expect("the stream ends");
    assert_eq!(far.try_read(&mut [0; 4]).expect("the stream ends"), 0);
}

async fn nodelay_can_be_set() {
    let (near, _far) = pair().await;
    assert!(!near.nodelay().expect("the socket is open"));
    near.set_nodelay(true).expect("the socket is open");
    assert!(near.nodelay().expect("the socket is open"));
    near.set_nodelay(false).expect("the socket is open");
    assert!(!near.nodelay().expect("the socket is open"));
}

async fn linger_is_read_back() {
    let (near, _far) = pair().await;
    assert_eq!(near.linger().expect("the socket is open"), None);
    let two = Some(std::time::Duration::from_secs(2));
    near.set_linger(two).expect("the socket is open");
    assert_eq!(near.linger().expect("the socket is open"), two);
    near.set_linger(None).expect("the socket is open");
    assert_eq!(near.linger().expect("the socket is open"), None);
}

async fn write_of_nothing_does_nothing() {
    let (mut near, far) = pair().await;
    assert_eq!(near.write(&[]).await.expect("the socket is open"), 0);
    assert!(silent(&far).await);
}
