//! Scenarios of the readiness of sockets, and of reads and writes that do not wait.

use std::{
    future::poll_fn,
    io::{self, IoSlice, IoSliceMut},
};

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::{
    Interest, Ready,
    helpers::{datagram_pair, kind, pair, pause, reset, waits},
};

everywhere! {
    ready_of_a_new_stream_is_writable,
    ready_after_bytes_is_readable,
    ready_after_the_end_is_read_closed,
    ready_after_a_reset_is_closed_both_ways,
    take_error_returns_an_error_once,
    vectored_read_fills_buffers_in_order,
    vectored_write_writes_pieces_in_order,
    vectored_write_by_the_write_half,
    ready_of_halves_is_for_their_direction,
    ready_of_a_datagram_socket,
    try_io_and_async_io_run_when_ready,
    async_io_waits_while_not_ready,
    readiness_cleared_by_would_block_waits_for_new_bytes,
    readiness_cleared_by_would_block_waits_for_new_room,
    readiness_of_a_closed_stream_cannot_be_cleared,
    readiness_cleared_by_would_block_waits_for_a_datagram,
    peek_appends_to_the_buffer,
    read_buf_grows_a_full_buffer,
}

async fn ready_of_a_new_stream_is_writable() {
    let (near, _far) = pair().await;
    let ready =
        near.ready(Interest::READABLE | Interest::WRITABLE).await.expect("the socket is open");
    assert!(ready.is_writable() && !ready.is_read_closed() && !ready.is_write_closed());
}

async fn ready_after_bytes_is_readable() {
    let (mut near, far) = pair().await;
    near.write_all(b"x").await.expect("the socket is open");
    let ready = far.ready(Interest::READABLE).await.expect("the socket is open");
    assert!(ready.is_readable() && !ready.is_writable() && !ready.is_read_closed());
    assert!(!ready.is_empty() && ready != Ready::EMPTY);
}

async fn ready_after_the_end_is_read_closed() {
    let (near, far) = pair().await;
    drop(near);
    pause().await;
    let ready = far.ready(Interest::READABLE).await.expect("the socket is open");
    assert!(ready.is_readable() && ready.is_read_closed());
}

async fn ready_after_a_reset_is_closed_both_ways() {
    let near = reset().await;
    let ready = near.ready(Interest::READABLE | Interest::WRITABLE).await.expect("a state");
    assert!(ready.is_read_closed() && ready.is_write_closed());
}

async fn take_error_returns_an_error_once() {
    let near = reset().await;
    let error = near.take_error().expect("a socket").expect("it was reset");
    assert_eq!(error.raw_os_error(), Some(104));
    assert!(near.take_error().expect("a socket").is_none());
    assert_eq!(near.try_read(&mut [0; 4]).expect("the error was reported before"), 0);
}

async fn vectored_read_fills_buffers_in_order() {
    let (mut near, far) = pair().await;
    near.write_all(b"abcdef").await.expect("the socket is open");
    pause().await;
    far.readable().await.expect("the socket is open");
    let (mut one, mut two) = ([0; 2], [0; 8]);
    let mut bufs = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
    assert_eq!(far.try_read_vectored(&mut bufs).expect("bytes arrive"), 6);
    assert_eq!((&one, &two[..4]), (b"ab", &b"cdef"[..]));
    let mut bufs = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
    assert_eq!(kind(far.try_read_vectored(&mut bufs)), "WouldBlock");
}

async fn vectored_write_writes_pieces_in_order() {
    let (near, far) = pair().await;
    near.writable().await.expect("the socket is open");
    let pieces = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cdef")];
    assert_eq!(near.try_write_vectored(&pieces).expect("the socket has room"), 6);
    // tokio takes a new connection for ready.
    pause().await;
    far.readable().await.expect("the socket is open");
    let mut buf = [0; 8];
    assert_eq!(far.try_read(&mut buf).expect("bytes arrive"), 6);
    assert_eq!(&buf[..6], b"abcdef");
}

async fn vectored_write_by_the_write_half() {
    let (mut near, far) = pair().await;
    assert!(near.is_write_vectored());
    let pieces = [IoSlice::new(b"ab"), IoSlice::new(b"cd")];
    assert_eq!(near.write_vectored(&pieces).await.expect("the socket has room"), 4);
    // tokio takes a new connection for ready.
    pause().await;
    far.readable().await.expect("the socket is open");
    let mut buf = Vec::with_capacity(16);
    assert_eq!(far.try_read_buf(&mut buf).expect("bytes arrive"), 4);
    assert_eq!(buf, b"abcd");
}

async fn ready_of_halves_is_for_their_direction() {
    let (near, mut far) = pair().await;
    let (reads, writes) = near.into_split();
    assert!(writes.ready(Interest::WRITABLE).await.expect("the socket is open").is_writable());
    assert_eq!(writes.try_write(b"x").expect("the socket has room"), 1);
    far.write_all(b"y").await.expect("the socket is open");
    assert!(reads.ready(Interest::READABLE).await.expect("the socket is open").is_readable());
    assert_eq!(reads.try_read(&mut [0; 4]).expect("bytes arrive"), 1);
}

async fn ready_of_a_datagram_socket() {
    let (one, _, two, there) = datagram_pair().await;
    assert!(one.ready(Interest::WRITABLE).await.expect("the socket is open").is_writable());
    one.writable().await.expect("the socket is open");
    one.send_to(b"abc", there).await.expect("there is a route");
    two.readable().await.expect("the socket is open");
    assert!(two.ready(Interest::READABLE).await.expect("the socket is open").is_readable());
    let mut buf = [0; 8];
    assert_eq!(two.peek(&mut buf).await.expect("a datagram"), 3);
    assert_eq!(two.try_recv(&mut buf).expect("a datagram"), 3);
    assert_eq!(kind(two.try_recv(&mut buf)), "WouldBlock");
    assert!(waits(two.recv(&mut buf)).await);
}

async fn try_io_and_async_io_run_when_ready() {
    let (near, mut far) = pair().await;
    assert_eq!(kind(near.try_io(Interest::READABLE, || Ok(()))), "WouldBlock");
    near.writable().await.expect("there is room");
    assert_eq!(near.try_io(Interest::WRITABLE, || Ok(7)).expect("there is room"), 7);
    let failed: io::Result<()> = near.try_io(Interest::WRITABLE, || Err(io::Error::other("own")));
    assert_eq!(kind(failed), "Other");
    far.write_all(b"x").await.expect("the socket is open");
    let mut byte = [0];
    let read = near.async_io(Interest::READABLE, || near.try_read(&mut byte)).await;
    assert_eq!((read.expect("a byte"), byte), (1, *b"x"));
}

async fn async_io_waits_while_not_ready() {
    let (near, _far) = pair().await;
    let mut asked = 0;
    let done = near.async_io(Interest::READABLE, || {
        asked += 1;
        Ok(())
    });
    assert!(waits(done).await);
    assert_eq!(asked, 0);
}

async fn readiness_cleared_by_would_block_waits_for_new_bytes() {
    let (mut near, mut far) = pair().await;
    far.write_all(b"x").await.expect("the socket is open");
    near.readable().await.expect("a byte");
    let mut asked = 0;
    let never = near.async_io(Interest::READABLE, || {
        asked += 1;
        Err::<(), _>(io::ErrorKind::WouldBlock.into())
    });
    assert!(waits(never).await);
    assert_eq!(asked, 1);
    // This holds for all other readers too, though the byte is there.
    assert_eq!(kind(near.try_read(&mut [0])), "WouldBlock");
    assert!(waits(near.readable()).await && waits(near.read_u8()).await);
    far.write_all(b"y").await.expect("the socket is open");
    let mut both = [0; 2];
    near.read_exact(&mut both).await.expect("two bytes");
    assert_eq!(&both, b"xy");
}

async fn readiness_cleared_by_would_block_waits_for_new_room() {
    let (near, mut far) = pair().await;
    near.writable().await.expect("there is room");
    let said = near.try_io(Interest::WRITABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
    assert_eq!(kind(said), "WouldBlock");
    assert_eq!(kind(near.try_write(b"x")), "WouldBlock");
    assert!(waits(near.writable()).await);
    // A kernel's event has all of a socket's readiness, whatever changed.
    far.write_all(b"y").await.expect("the socket is open");
    near.writable().await.expect("there is room");
    assert_eq!(near.try_write(b"x").expect("there is room"), 1);
}

async fn readiness_of_a_closed_stream_cannot_be_cleared() {
    let (near, far) = pair().await;
    drop(far);
    pause().await;
    near.readable().await.expect("the stream ends");
    let said = near.try_io(Interest::READABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
    assert_eq!(kind(said), "WouldBlock");
    near.readable().await.expect("it is still the end");
    assert_eq!(near.try_read(&mut [0]).expect("the stream ends"), 0);
}

async fn readiness_cleared_by_would_block_waits_for_a_datagram() {
    let (one, _, two, there) = datagram_pair().await;
    one.send_to(b"first", there).await.expect("there is a route");
    two.readable().await.expect("a datagram");
    let mut asked = 0;
    let never = two.async_io(Interest::READABLE, || {
        asked += 1;
        Err::<(), _>(io::ErrorKind::WouldBlock.into())
    });
    assert!(waits(never).await);
    assert_eq!(asked, 1);
    let mut buf = [0; 8];
    assert_eq!(kind(two.try_recv(&mut buf)), "WouldBlock");
    assert!(waits(two.recv(&mut buf)).await);
    one.send_to(b"other", there).await.expect("there is a route");
    assert_eq!(two.recv(&mut buf).await.expect("a datagram"), 5);
    assert_eq!(&buf[..5], b"first");
}

async fn peek_appends_to_the_buffer() {
    let (mut near, mut far) = pair().await;
    near.write_all(b"abcdef").await.expect("the socket is open");
    pause().await;
    let mut room = [0; 5];
    let mut buf = ReadBuf::new(&mut room);
    buf.put_slice(b"-");
    let seen = poll_fn(|cx| far.poll_peek(cx, &mut buf)).await.expect("bytes arrive");
    assert_eq!((seen, buf.filled()), (4, &b"-abcd"[..]));
    let (mut reads, _writes) = far.split();
    let mut buf = ReadBuf::new(&mut room);
    assert_eq!(poll_fn(|cx| reads.poll_peek(cx, &mut buf)).await.expect("bytes arrive"), 5);
    assert_eq!(reads.peek(&mut [0; 9]).await.expect("bytes arrive"), 6);
}

async fn read_buf_grows_a_full_buffer() {
    let (mut near, far) = pair().await;
    near.write_all(&[7; 100]).await.expect("the socket is open");
    pause().await;
    far.readable().await.expect("bytes arrive");
    let mut buf = Vec::new();
    let read = far.try_read_buf(&mut buf).expect("bytes arrive");
    assert_eq!(read, 64);
    buf.reserve_exact(1000);
    assert_eq!(far.try_read_buf(&mut buf).expect("bytes arrive"), 36);
}
