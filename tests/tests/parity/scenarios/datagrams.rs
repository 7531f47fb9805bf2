//! Scenarios of UDP sockets.

use std::future::poll_fn;

use tokio::io::ReadBuf;

use super::{
    Interest,
    helpers::{datagram_pair, kind, pause, waits},
    net::UdpSocket,
};

everywhere! {
    datagram_has_its_sender_s_address,
    datagrams_keep_boundaries_and_order,
    datagram_larger_than_the_buffer_is_truncated,
    datagram_may_be_empty,
    datagram_has_a_maximum_size,
    send_without_a_peer_fails,
    recv_without_a_peer_takes_any_sender,
    recv_of_a_connected_socket_takes_only_its_peer,
    connect_again_changes_the_peer,
    refusal_is_reported_to_a_connected_socket,
    refusal_is_reported_to_a_sender_once,
    refusal_is_not_reported_without_a_peer,
    bind_of_a_port_in_use_fails,
    bind_of_a_port_that_tcp_uses,
    peek_leaves_the_datagram,
    try_recv_would_block_or_takes_a_datagram,
    queue_that_is_full_drops,
    broadcast_must_be_allowed,
    peek_sender_comes_before_the_datagram,
    recv_buf_appends_to_the_buffer,
    recv_buf_without_room_truncates,
    recv_when_ready,
    refusal_can_be_taken_once,
    poll_functions_fill_buffers,
}

async fn datagram_has_its_sender_s_address() {
    let (one, here, two, there) = datagram_pair().await;
    assert_eq!(one.send_to(b"hello", there).await.expect("there is a route"), 5);
    let mut buf = [0; 16];
    assert_eq!(two.recv_from(&mut buf).await.expect("a datagram"), (5, here));
    assert_eq!(&buf[..5], b"hello");
}

async fn datagrams_keep_boundaries_and_order() {
    let (one, _, two, there) = datagram_pair().await;
    for text in ["a", "bb", "ccc"] {
        one.send_to(text.as_bytes(), there).await.expect("there is a route");
    }
    let mut buf = [0; 16];
    for length in 1..=3 {
        assert_eq!(two.recv_from(&mut buf).await.expect("a datagram").0, length);
    }
}

async fn datagram_larger_than_the_buffer_is_truncated() {
    let (one, _, two, there) = datagram_pair().await;
    one.send_to(b"too long", there).await.expect("there is a route");
    one.send_to(b"next", there).await.expect("there is a route");
    let mut buf = [0; 4];
    assert_eq!(two.recv_from(&mut buf).await.expect("a datagram").0, 4);
    assert_eq!(&buf, b"too ");
    assert_eq!(two.recv_from(&mut buf).await.expect("a datagram").0, 4);
    assert_eq!(&buf, b"next");
}

async fn datagram_may_be_empty() {
    let (one, here, two, there) = datagram_pair().await;
    assert_eq!(one.send_to(&[], there).await.expect("there is a route"), 0);
    assert_eq!(two.recv_from(&mut [0; 4]).await.expect("a datagram"), (0, here));
}

async fn datagram_has_a_maximum_size() {
    let (one, _, two, there) = datagram_pair().await;
    assert_eq!(kind(one.send_to(&[0; 65_508], there).await), "Uncategorized 90");
    assert_eq!(one.send_to(&[1; 65_507], there).await.expect("the largest"), 65_507);
    let mut buf = vec![0; 70_000];
    assert_eq!(two.recv_from(&mut buf).await.expect("a datagram").0, 65_507);
}

async fn send_without_a_peer_fails() {
    let (one, _, _, _) = datagram_pair().await;
    assert_eq!(kind(one.send(b"x").await), "Uncategorized 89");
    assert_eq!(kind(one.peer_addr()), "NotConnected 107");
}

async fn recv_without_a_peer_takes_any_sender() {
    let (one, _, two, there) = datagram_pair().await;
    one.send_to(b"hello", there).await.expect("there is a route");
    assert_eq!(two.recv(&mut [0; 16]).await.expect("a datagram"), 5);
}

async fn recv_of_a_connected_socket_takes_only_its_peer() {
    let (one, here, two, there) = datagram_pair().await;
    let (three, _, _, _) = datagram_pair().await;
    one.connect(there).await.expect("there is a route");
    assert_eq!(one.peer_addr().expect("connected"), there);
    three.send_to(b"stranger", here).await.expect("there is a route");
    two.send_to(b"peer", here).await.expect("there is a route");
    let mut buf = [0; 16];
    assert_eq!(one.recv(&mut buf).await.expect("a datagram"), 4);
    assert_eq!(&buf[..4], b"peer");
    assert!(waits(one.recv(&mut buf)).await);
}

async fn connect_again_changes_the_peer() {
    let (one, _, two, there) = datagram_pair().await;
    let (three, _, _, _) = datagram_pair().await;
    one.connect(three.local_addr().expect("the socket is bound")).await.expect("there is a route");
    one.connect(there).await.expect("there is a route");
    one.send(b"x").await.expect("there is a route");
    assert_eq!(two.recv(&mut [0; 4]).await.expect("a datagram"), 1);
}

async fn refusal_is_reported_to_a_connected_socket() {
    let (one, _, two, there) = datagram_pair().await;
    drop(two);
    one.connect(there).await.expect("there is a route");
    one.send(b"x").await.expect("it goes out");
    assert_eq!(kind(one.recv(&mut [0; 4]).await), "ConnectionRefused 111");
}

async fn refusal_is_reported_to_a_sender_once() {
    let (one, _, two, there) = datagram_pair().await;
    drop(two);
    one.connect(there).await.expect("there is a route");
    one.send(b"x").await.expect("it goes out");
    pause().await;
    assert_eq!(kind(one.send(b"x").await), "ConnectionRefused 111");
}

async fn refusal_is_not_reported_without_a_peer() {
    let (one, _, two, there) = datagram_pair().await;
    drop(two);
    one.send_to(b"x", there).await.expect("it goes out");
    pause().await;
    one.send_to(b"x", there).await.expect("it goes out");
    assert!(waits(one.recv_from(&mut [0; 4])).await);
}

async fn bind_of_a_port_in_use_fails() {
    let (_one, here, _, _) = datagram_pair().await;
    assert_eq!(kind(UdpSocket::bind(here).await), "AddrInUse 98");
    assert_eq!(kind(UdpSocket::bind(("0.0.0.0", here.port())).await), "AddrInUse 98");
}

async fn bind_of_a_port_that_tcp_uses() {
    let (_one, here, _, _) = datagram_pair().await;
    super::net::TcpListener::bind(here).await.expect("another protocol's");
}

async fn peek_leaves_the_datagram() {
    let (one, here, two, there) = datagram_pair().await;
    one.send_to(b"look", there).await.expect("there is a route");
    let mut buf = [0; 16];
    assert_eq!(two.peek_from(&mut buf).await.expect("a datagram"), (4, here));
    assert_eq!(two.recv_from(&mut buf).await.expect("a datagram"), (4, here));
    assert!(waits(two.recv_from(&mut buf)).await);
}

async fn try_recv_would_block_or_takes_a_datagram() {
    let (one, _, two, there) = datagram_pair().await;
    let mut buf = [0; 16];
    assert_eq!(kind(two.try_recv_from(&mut buf)), "WouldBlock");
    one.send_to(b"x", there).await.expect("there is a route");
    assert_eq!(two.peek_from(&mut buf).await.expect("a datagram").0, 1);
    assert_eq!(two.try_recv_from(&mut buf).expect("a datagram").0, 1);
}

async fn queue_that_is_full_drops() {
    let (one, _, two, there) = datagram_pair().await;
    let chunk = [0; 8_000];
    for _ in 0..500 {
        one.send_to(&chunk, there).await.expect("there is a route");
    }
    pause().await;
    let mut received = 0;
    let mut buf = [0; 8_000];
    while !waits(two.recv_from(&mut buf)).await {
        received += 1;
    }
    assert!((1..500).contains(&received), "{received} of 500");
}

async fn broadcast_must_be_allowed() {
    let (one, _, _, _) = datagram_pair().await;
    assert_eq!(kind(one.send_to(b"x", "255.255.255.255:9").await), "PermissionDenied 13");
}

async fn peek_sender_comes_before_the_datagram() {
    let (one, here, two, there) = datagram_pair().await;
    assert_eq!(kind(two.try_peek_sender()), "WouldBlock");
    one.send_to(b"hello", there).await.expect("it is bound");
    assert_eq!(two.peek_sender().await.expect("a datagram"), here);
    assert_eq!(two.try_peek_sender().expect("it is still there"), here);
    assert_eq!(poll_fn(|cx| two.poll_peek_sender(cx)).await.expect("it is still there"), here);
    assert_eq!(two.recv(&mut [0; 8]).await.expect("it is still there"), 5);
}

async fn recv_buf_appends_to_the_buffer() {
    let (one, here, two, there) = datagram_pair().await;
    let mut buffer = Vec::with_capacity(100);
    buffer.extend(b"say ");
    assert_eq!(kind(two.try_recv_buf(&mut buffer)), "WouldBlock");
    one.send_to(b"hello", there).await.expect("it is bound");
    assert_eq!(two.recv_buf_from(&mut buffer).await.expect("a datagram"), (5, here));
    assert_eq!(buffer, b"say hello");
    one.send_to(b"!", there).await.expect("it is bound");
    pause().await;
    two.readable().await.expect("a datagram");
    assert_eq!(two.try_recv_buf(&mut buffer).expect("it is there"), 1);
    assert_eq!(buffer, b"say hello!");
    one.send_to(b"?", there).await.expect("it is bound");
    assert_eq!(two.recv_buf(&mut buffer).await.expect("a datagram"), 1);
    assert_eq!(kind(two.try_recv_buf_from(&mut buffer)), "WouldBlock");
}

async fn recv_buf_without_room_truncates() {
    let (one, _, two, there) = datagram_pair().await;
    one.send_to(&[7; 100], there).await.expect("it is bound");
    one.send_to(b"next", there).await.expect("it is bound");
    let mut buffer = Vec::new();
    assert_eq!(two.recv_buf(&mut buffer).await.expect("a datagram"), 64);
    assert_eq!(two.recv(&mut [0; 8]).await.expect("a datagram"), 4);
}

async fn recv_when_ready() {
    let (one, _, two, there) = datagram_pair().await;
    assert_eq!(kind(two.try_io(Interest::READABLE, || Ok(()))), "WouldBlock");
    two.writable().await.expect("there is room");
    two.try_io(Interest::WRITABLE, || Ok(())).expect("there is room");
    one.send_to(b"hello", there).await.expect("it is bound");
    let mut buffer = [0; 8];
    let received = two.async_io(Interest::READABLE, || two.try_recv(&mut buffer)).await;
    assert_eq!(received.expect("a datagram"), 5);
}

async fn refusal_can_be_taken_once() {
    let (one, _, two, there) = datagram_pair().await;
    drop(two);
    assert!(one.take_error().expect("the socket is open").is_none());
    one.connect(there).await.expect("it is an address");
    one.send(b"anybody").await.expect("it is sent");
    pause().await;
    let error = one.take_error().expect("the socket is open").expect("no socket has the port");
    assert_eq!(error.raw_os_error(), Some(111));
    assert!(one.take_error().expect("the socket is open").is_none());
}

async fn poll_functions_fill_buffers() {
    let (one, here, two, there) = datagram_pair().await;
    poll_fn(|cx| one.poll_send_ready(cx)).await.expect("there is room");
    assert_eq!(poll_fn(|cx| one.poll_send_to(cx, b"abcde", there)).await.expect("sent"), 5);
    poll_fn(|cx| two.poll_recv_ready(cx)).await.expect("a datagram");
    let mut room = [0; 4];
    let mut buf = ReadBuf::new(&mut room);
    buf.put_slice(b"-");
    assert_eq!(poll_fn(|cx| two.poll_peek_from(cx, &mut buf)).await.expect("a datagram"), here);
    assert_eq!(buf.filled(), b"-abc");
    buf.clear();
    poll_fn(|cx| two.poll_peek(cx, &mut buf)).await.expect("a datagram");
    assert_eq!(buf.filled(), b"abcd");
    buf.clear();
    assert_eq!(poll_fn(|cx| two.poll_recv_from(cx, &mut buf)).await.expect("a datagram"), here);
    assert_eq!(buf.filled(), b"abcd");
    one.connect(there).await.expect("it is an address");
    assert_eq!(poll_fn(|cx| one.poll_send(cx, b"x")).await.expect("sent"), 1);
    buf.clear();
    poll_fn(|cx| two.poll_recv(cx, &mut buf)).await.expect("a datagram");
    assert_eq!(buf.filled(), b"x");
}
