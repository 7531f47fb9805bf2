//! UDP.

use std::future::poll_fn;

use tokio::io::ReadBuf;

use super::{
    Interest,
    helpers::{datagram_pair, kind, pause, waits},
    net::UdpSocket,
};

both_ways! {
    a_datagram_tells_where_it_came_from,
    datagrams_keep_their_borders_and_order,
    what_does_not_fit_is_lost,
    a_datagram_may_be_empty,
    a_datagram_has_a_largest_size,
    without_a_peer_there_is_nowhere_to_send,
    without_a_peer_anyone_is_received,
    a_connected_socket_hears_its_peer_only,
    a_peer_can_be_changed,
    a_connected_socket_is_told_that_nobody_has_the_port,
    a_refusal_is_told_to_a_sender_too_and_once,
    a_socket_without_a_peer_is_told_nothing,
    a_port_has_one_socket,
    tcp_has_ports_of_its_own,
    a_look_at_a_datagram_leaves_it,
    a_try_to_receive_finds_nothing_or_a_datagram,
    a_queue_that_is_full_drops,
    broadcast_must_be_allowed,
    a_sender_is_seen_before_its_datagram,
    a_datagram_goes_behind_what_a_buffer_holds,
    a_buffer_without_room_cuts_a_datagram_off,
    datagrams_are_received_when_ready,
    a_refusal_is_taken_once,
    poll_functions_fill_buffers,
}

async fn a_datagram_tells_where_it_came_from() {
    let (one, here, two, there) = datagram_pair().await;
    assert_eq!(one.send_to(b"hello", there).await.expect("a route"), 5);
    let mut buf = [0; 16];
    assert_eq!(two.recv_from(&mut buf).await.expect("a datagram"), (5, here));
    assert_eq!(&buf[..5], b"hello");
}

async fn datagrams_keep_their_borders_and_order() {
    let (one, _, two, there) = datagram_pair().await;
    for text in ["a", "bb", "ccc"] {
        one.send_to(text.as_bytes(), there).await.expect("a route");
    }
    let mut buf = [0; 16];
    for length in 1..=3 {
        assert_eq!(two.recv_from(&mut buf).await.expect("a datagram").0, length);
    }
}

async fn what_does_not_fit_is_lost() {
    let (one, _, two, there) = datagram_pair().await;
    one.send_to(b"too long", there).await.expect("a route");
    one.send_to(b"next", there).await.expect("a route");
    let mut buf = [0; 4];
    assert_eq!(two.recv_from(&mut buf).await.expect("a datagram").0, 4);
    assert_eq!(&buf, b"too ");
    assert_eq!(two.recv_from(&mut buf).await.expect("a datagram").0, 4);
    assert_eq!(&buf, b"next");
}

async fn a_datagram_may_be_empty() {
    let (one, here, two, there) = datagram_pair().await;
    assert_eq!(one.send_to(&[], there).await.expect("a route"), 0);
    assert_eq!(two.recv_from(&mut [0; 4]).await.expect("a datagram"), (0, here));
}

async fn a_datagram_has_a_largest_size() {
    let (one, _, two, there) = datagram_pair().await;
    assert_eq!(kind(one.send_to(&[0; 65_508], there).await), "Uncategorized 90");
    assert_eq!(one.send_to(&[1; 65_507], there).await.expect("the largest"), 65_507);
    let mut buf = vec![0; 70_000];
    assert_eq!(two.recv_from(&mut buf).await.expect("a datagram").0, 65_507);
}

async fn without_a_peer_there_is_nowhere_to_send() {
    let (one, _, _, _) = datagram_pair().await;
    assert_eq!(kind(one.send(b"x").await), "Uncategorized 89");
    assert_eq!(kind(one.peer_addr()), "NotConnected 107");
}

async fn without_a_peer_anyone_is_received() {
    let (one, _, two, there) = datagram_pair().await;
    one.send_to(b"hello", there).await.expect("a route");
    assert_eq!(two.recv(&mut [0; 16]).await.expect("a datagram"), 5);
}

async fn a_connected_socket_hears_its_peer_only() {
    let (one, here, two, there) = datagram_pair().await;
    let (three, _, _, _) = datagram_pair().await;
    one.connect(there).await.expect("a route");
    assert_eq!(one.peer_addr().expect("connected"), there);
    three.send_to(b"stranger", here).await.expect("a route");
    two.send_to(b"peer", here).await.expect("a route");
    let mut buf = [0; 16];
    assert_eq!(one.recv(&mut buf).await.expect("a datagram"), 4);
    assert_eq!(&buf[..4], b"peer");
    assert!(waits(one.recv(&mut buf)).await);
}

async fn a_peer_can_be_changed() {
    let (one, _, two, there) = datagram_pair().await;
    let (three, _, _, _) = datagram_pair().await;
    one.connect(three.local_addr().expect("bound")).await.expect("a route");
    one.connect(there).await.expect("a route");
    one.send(b"x").await.expect("a route");
    assert_eq!(two.recv(&mut [0; 4]).await.expect("a datagram"), 1);
}

async fn a_connected_socket_is_told_that_nobody_has_the_port() {
    let (one, _, two, there) = datagram_pair().await;
    drop(two);
    one.connect(there).await.expect("a route");
    one.send(b"x").await.expect("it goes out");
    assert_eq!(kind(one.recv(&mut [0; 4]).await), "ConnectionRefused 111");
}

async fn a_refusal_is_told_to_a_sender_too_and_once() {
    let (one, _, two, there) = datagram_pair().await;
    drop(two);
    one.connect(there).await.expect("a route");
    one.send(b"x").await.expect("it goes out");
    pause().await;
    assert_eq!(kind(one.send(b"x").await), "ConnectionRefused 111");
}

async fn a_socket_without_a_peer_is_told_nothing() {
    let (one, _, two, there) = datagram_pair().await;
    drop(two);
    one.send_to(b"x", there).await.expect("it goes out");
    pause().await;
    one.send_to(b"x", there).await.expect("it goes out");
    assert!(waits(one.recv_from(&mut [0; 4])).await);
}

async fn a_port_has_one_socket() {
    let (_one, here, _, _) = datagram_pair().await;
    assert_eq!(kind(UdpSocket::bind(here).await), "AddrInUse 98");
    assert_eq!(kind(UdpSocket::bind(("0.0.0.0", here.port())).await), "AddrInUse 98");
}

async fn tcp_has_ports_of_its_own() {
    let (_one, here, _, _) = datagram_pair().await;
    super::net::TcpListener::bind(here).await.expect("another protocol's");
}

async fn a_look_at_a_datagram_leaves_it() {
    let (one, here, two, there) = datagram_pair().await;
    one.send_to(b"look", there).await.expect("a route");
    let mut buf = [0; 16];
    assert_eq!(two.peek_from(&mut buf).await.expect("a datagram"), (4, here));
    assert_eq!(two.recv_from(&mut buf).await.expect("a datagram"), (4, here));
    assert!(waits(two.recv_from(&mut buf)).await);
}

async fn a_try_to_receive_finds_nothing_or_a_datagram() {
    let (one, _, two, there) = datagram_pair().await;
    let mut buf = [0; 16];
    assert_eq!(kind(two.try_recv_from(&mut buf)), "WouldBlock");
    one.send_to(b"x", there).await.expect("a route");
    assert_eq!(two.peek_from(&mut buf).await.expect("a datagram").0, 1);
    assert_eq!(two.try_recv_from(&mut buf).expect("a datagram").0, 1);
}

async fn a_queue_that_is_full_drops() {
    let (one, _, two, there) = datagram_pair().await;
    let chunk = [0; 8_000];
    for _ in 0..500 {
        one.send_to(&chunk, there).await.expect("a route");
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

async fn a_sender_is_seen_before_its_datagram() {
    let (one, here, two, there) = datagram_pair().await;
    assert_eq!(kind(two.try_peek_sender()), "WouldBlock");
    one.send_to(b"hello", there).await.expect("it is bound");
    assert_eq!(two.peek_sender().await.expect("a datagram"), here);
    assert_eq!(two.try_peek_sender().expect("it is still there"), here);
    assert_eq!(poll_fn(|cx| two.poll_peek_sender(cx)).await.expect("it is still there"), here);
    assert_eq!(two.recv(&mut [0; 8]).await.expect("it is still there"), 5);
}

async fn a_datagram_goes_behind_what_a_buffer_holds() {
    let (one, here, two, there) = datagram_pair().await;
    let mut buffer = Vec::with_capacity(100);
    buffer.extend(b"say ");
    assert_eq!(kind(two.try_recv_buf(&mut buffer)), "WouldBlock");
    one.send_to(b"hello", there).await.expect("it is bound");
    assert_eq!(two.recv_buf_from(&mut buffer).await.expect("a datagram"), (5, here));
    assert_eq!(buffer, b"say hello");
    one.send_to(b"!", there).await.expect("it is bound");
    two.readable().await.expect("a datagram");
    assert_eq!(two.try_recv_buf(&mut buffer).expect("it is there"), 1);
    assert_eq!(buffer, b"say hello!");
    one.send_to(b"?", there).await.expect("it is bound");
    assert_eq!(two.recv_buf(&mut buffer).await.expect("a datagram"), 1);
    assert_eq!(kind(two.try_recv_buf_from(&mut buffer)), "WouldBlock");
}

async fn a_buffer_without_room_cuts_a_datagram_off() {
    let (one, _, two, there) = datagram_pair().await;
    one.send_to(&[7; 100], there).await.expect("it is bound");
    one.send_to(b"next", there).await.expect("it is bound");
    let mut buffer = Vec::new();
    assert_eq!(two.recv_buf(&mut buffer).await.expect("a datagram"), 64);
    assert_eq!(two.recv(&mut [0; 8]).await.expect("a datagram"), 4);
}

async fn datagrams_are_received_when_ready() {
    let (one, _, two, there) = datagram_pair().await;
    assert_eq!(kind(two.try_io(Interest::READABLE, || Ok(()))), "WouldBlock");
    two.writable().await.expect("there is room");
    two.try_io(Interest::WRITABLE, || Ok(())).expect("there is room");
    one.send_to(b"hello", there).await.expect("it is bound");
    let mut buffer = [0; 8];
    let received = two.async_io(Interest::READABLE, || two.try_recv(&mut buffer)).await;
    assert_eq!(received.expect("a datagram"), 5);
}

async fn a_refusal_is_taken_once() {
    let (one, _, two, there) = datagram_pair().await;
    drop(two);
    assert!(one.take_error().expect("open").is_none());
    one.connect(there).await.expect("it is an address");
    one.send(b"anybody").await.expect("it is sent");
    pause().await;
    let error = one.take_error().expect("open").expect("nobody has the port");
    assert_eq!(error.raw_os_error(), Some(111));
    assert!(one.take_error().expect("open").is_none());
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
