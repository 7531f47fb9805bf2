//! What a socket is ready for, and reads and writes that do not wait.

use std::io::{IoSlice, IoSliceMut};

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{
    Interest, Ready,
    helpers::{datagram_pair, kind, pair, pause, reset, waits},
};

both_ways! {
    a_fresh_stream_is_ready_to_write,
    bytes_make_it_ready_to_read,
    the_end_makes_it_closed_to_read,
    a_reset_makes_it_closed_both_ways,
    an_error_can_be_taken_once,
    several_buffers_are_filled_in_their_order,
    several_pieces_are_written_as_one,
    a_writer_may_write_several_pieces,
    halves_are_ready_for_their_direction,
    a_datagram_makes_its_socket_ready,
}

async fn a_fresh_stream_is_ready_to_write() {
    let (near, _far) = pair().await;
    let ready = near.ready(Interest::READABLE | Interest::WRITABLE).await.expect("open");
    assert!(ready.is_writable() && !ready.is_read_closed() && !ready.is_write_closed());
}

async fn bytes_make_it_ready_to_read() {
    let (mut near, far) = pair().await;
    near.write_all(b"x").await.expect("open");
    let ready = far.ready(Interest::READABLE).await.expect("open");
    assert!(ready.is_readable() && !ready.is_writable() && !ready.is_read_closed());
    assert!(!ready.is_empty() && ready != Ready::EMPTY);
}

async fn the_end_makes_it_closed_to_read() {
    let (near, far) = pair().await;
    drop(near);
    pause().await;
    let ready = far.ready(Interest::READABLE).await.expect("open");
    assert!(ready.is_readable() && ready.is_read_closed());
}

async fn a_reset_makes_it_closed_both_ways() {
    let near = reset().await;
    let ready = near.ready(Interest::READABLE | Interest::WRITABLE).await.expect("a state");
    assert!(ready.is_read_closed() && ready.is_write_closed());
}

async fn an_error_can_be_taken_once() {
    let near = reset().await;
    let error = near.take_error().expect("a socket").expect("it was reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(near.take_error().expect("a socket").is_none());
    assert_eq!(near.try_read(&mut [0; 4]).expect("told already"), 0);
}

async fn several_buffers_are_filled_in_their_order() {
    let (mut near, far) = pair().await;
    near.write_all(b"abcdef").await.expect("open");
    pause().await;
    far.readable().await.expect("open");
    let (mut one, mut two) = ([0; 2], [0; 8]);
    let mut bufs = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
    assert_eq!(far.try_read_vectored(&mut bufs).expect("bytes"), 6);
    assert_eq!((&one, &two[..4]), (b"ab", &b"cdef"[..]));
    let mut bufs = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
    assert_eq!(kind(far.try_read_vectored(&mut bufs)), "WouldBlock");
}

async fn several_pieces_are_written_as_one() {
    let (near, far) = pair().await;
    near.writable().await.expect("open");
    let pieces = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cdef")];
    assert_eq!(near.try_write_vectored(&pieces).expect("room"), 6);
    far.readable().await.expect("open");
    let mut buf = [0; 8];
    assert_eq!(far.try_read(&mut buf).expect("bytes"), 6);
    assert_eq!(&buf[..6], b"abcdef");
}

async fn a_writer_may_write_several_pieces() {
    let (mut near, far) = pair().await;
    assert!(near.is_write_vectored());
    let pieces = [IoSlice::new(b"ab"), IoSlice::new(b"cd")];
    assert_eq!(near.write_vectored(&pieces).await.expect("room"), 4);
    far.readable().await.expect("open");
    let mut buf = Vec::with_capacity(16);
    assert_eq!(far.try_read_buf(&mut buf).expect("bytes"), 4);
    assert_eq!(buf, b"abcd");
}

async fn halves_are_ready_for_their_direction() {
    let (near, mut far) = pair().await;
    let (reads, writes) = near.into_split();
    assert!(writes.ready(Interest::WRITABLE).await.expect("open").is_writable());
    assert_eq!(writes.try_write(b"x").expect("room"), 1);
    far.write_all(b"y").await.expect("open");
    assert!(reads.ready(Interest::READABLE).await.expect("open").is_readable());
    assert_eq!(reads.try_read(&mut [0; 4]).expect("bytes"), 1);
}

async fn a_datagram_makes_its_socket_ready() {
    let (one, _, two, there) = datagram_pair().await;
    assert!(one.ready(Interest::WRITABLE).await.expect("open").is_writable());
    one.writable().await.expect("open");
    one.send_to(b"abc", there).await.expect("a route");
    two.readable().await.expect("open");
    assert!(two.ready(Interest::READABLE).await.expect("open").is_readable());
    let mut buf = [0; 8];
    assert_eq!(two.peek(&mut buf).await.expect("a datagram"), 3);
    assert_eq!(two.try_recv(&mut buf).expect("a datagram"), 3);
    assert_eq!(kind(two.try_recv(&mut buf)), "WouldBlock");
    assert!(waits(two.recv(&mut buf)).await);
}
