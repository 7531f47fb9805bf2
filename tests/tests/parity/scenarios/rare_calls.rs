//! Scenarios of rare calls: empty reads and writes, invalid ports and addresses, and unusual names.

use std::{future::poll_fn, io, io::IoSlice, io::IoSliceMut, pin::Pin, time::Duration};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::{
    helpers::{datagram_pair, kind, listener, pair, pause, reset, waits},
    net::{TcpListener, TcpSocket, TcpStream, UdpSocket, lookup_host},
};

everywhere! {
    empty_read_waits_for_data,
    empty_read_finds_data_and_takes_none,
    empty_read_finds_the_end,
    empty_read_finds_an_error,
    empty_peek_waits_for_data,
    empty_try_read_would_block,
    empty_vectored_read_needs_a_readable_stream,
    empty_read_of_a_datagram_takes_it,
    empty_write_to_a_full_stream_waits,
    empty_write_after_a_shutdown_breaks,
    empty_vectored_write_is_nothing,
    vectored_write_takes_1024_slices,
    vectored_read_fills_1024_slices,
    datagram_to_port_zero_is_invalid,
    connect_to_port_zero_is_refused,
    datagram_socket_connects_to_port_zero,
    connect_to_the_broadcast_address_is_refused,
    datagram_to_the_unspecified_address_is_to_loopback,
    datagram_socket_is_bound_to_an_own_address,
    datagram_socket_of_all_ipv6_takes_the_port_of_ipv4,
    families_of_datagrams_mix_one_way_only,
    v6_socket_takes_no_v4_address,
    connect_to_the_unspecified_ipv6_address,
    linger_of_less_than_a_second_is_zero,
    linger_is_read_back_in_whole_seconds,
    refusal_is_reported_to_a_waiting_reader,
    shutdown_after_the_peer_s_succeeds,
    names_have_no_case,
    names_that_are_unknown,
    ports_that_are_invalid,
    addresses_with_a_scope,
    numbers_that_are_addresses,
}

async fn empty_read_waits_for_data() {
    let (mut near, mut far) = pair().await;
    assert!(waits(far.read(&mut [])).await);
    near.write_all(b"x").await.expect("the socket is open");
    assert_eq!(far.read(&mut []).await.expect("a byte"), 0);
    far.read_exact(&mut [0]).await.expect("a byte");
    assert!(waits(far.read(&mut [])).await, "what was there was read");
}

async fn empty_read_finds_data_and_takes_none() {
    let (mut near, mut far) = pair().await;
    near.write_all(b"ab").await.expect("the socket is open");
    for _ in 0..3 {
        assert_eq!(far.read(&mut []).await.expect("two bytes"), 0);
    }
    let mut bytes = [0; 2];
    far.read_exact(&mut bytes).await.expect("the socket is open");
    assert_eq!(&bytes, b"ab");
}

async fn empty_read_finds_the_end() {
    let (near, mut far) = pair().await;
    drop(near);
    assert_eq!(far.read(&mut []).await.expect("the stream ends"), 0);
    assert_eq!(far.read(&mut []).await.expect("still the end"), 0);
}

async fn empty_read_finds_an_error() {
    let mut near = reset().await;
    assert_eq!(kind(near.read(&mut []).await), "ConnectionReset 104");
    assert_eq!(near.read(&mut [0]).await.expect("the error was reported before"), 0);
}

async fn empty_peek_waits_for_data() {
    let (mut near, far) = pair().await;
    assert!(waits(far.peek(&mut [])).await);
    near.write_all(b"x").await.expect("the socket is open");
    assert_eq!(far.peek(&mut []).await.expect("a byte"), 0);
    assert_eq!(far.peek(&mut [0; 4]).await.expect("a byte"), 1);
}

async fn empty_try_read_would_block() {
    let (mut near, far) = pair().await;
    assert_eq!(kind(far.try_read(&mut [])), "WouldBlock");
    let mut full: &mut [u8] = &mut [];
    assert_eq!(kind(far.try_read_buf(&mut full)), "WouldBlock");
    near.write_all(b"x").await.expect("the socket is open");
    far.readable().await.expect("a byte");
    assert_eq!(far.try_read(&mut []).expect("a byte"), 0);
    assert_eq!(far.try_read(&mut [0; 4]).expect("a byte"), 1);
    assert_eq!(kind(far.try_read(&mut [])), "WouldBlock");
}

async fn empty_vectored_read_needs_a_readable_stream() {
    let (mut near, far) = pair().await;
    near.write_all(b"x").await.expect("the socket is open");
    far.readable().await.expect("a byte");
    assert_eq!(far.try_read_vectored(&mut []).expect("a byte"), 0);
    assert_eq!(far.try_read_vectored(&mut [IoSliceMut::new(&mut [])]).expect("a byte"), 0);
    let near = reset().await;
    near.readable().await.expect("an error");
    assert_eq!(near.try_read_vectored(&mut []).expect("the error is not looked at"), 0);
    assert_eq!(kind(near.try_read(&mut [0])), "ConnectionReset 104");
}

async fn empty_read_of_a_datagram_takes_it() {
    let (one, here, two, there) = datagram_pair().await;
    assert!(waits(two.recv(&mut [])).await);
    for text in [b"first", b"other"] {
        one.send_to(text, there).await.expect("there is a route");
    }
    assert_eq!(two.peek_from(&mut []).await.expect("a datagram"), (0, here));
    assert_eq!(two.recv_from(&mut []).await.expect("a datagram"), (0, here));
    let mut bytes = [0; 8];
    assert_eq!(two.recv(&mut bytes).await.expect("a datagram"), 5);
    assert_eq!(&bytes[..5], b"other");
    assert!(waits(two.peek(&mut [])).await);
}

async fn empty_write_to_a_full_stream_waits() {
    let (mut near, _far) = pair().await;
    fill(&near).await;
    assert!(waits(near.write(&[])).await);
}

async fn empty_write_after_a_shutdown_breaks() {
    let (mut near, _far) = pair().await;
    near.shutdown().await.expect("the socket is open");
    assert_eq!(kind(near.write(&[]).await), "BrokenPipe 32");
    assert_eq!(kind(near.try_write(&[])), "BrokenPipe 32");
}

async fn empty_vectored_write_is_nothing() {
    let (mut near, _far) = pair().await;
    assert_eq!(near.write_vectored(&[]).await.expect("the socket is open"), 0);
    near.shutdown().await.expect("the socket is open");
    assert_eq!(near.write_vectored(&[]).await.expect("nothing to send"), 0);
    assert_eq!(near.write_vectored(&[IoSlice::new(&[])]).await.expect("nothing to send"), 0);
    assert_eq!(kind(near.write_vectored(&[IoSlice::new(b"x")]).await), "BrokenPipe 32");
}

async fn vectored_write_takes_1024_slices() {
    let (mut near, mut far) = pair().await;
    let bytes: Vec<u8> = (0..3_000).map(|n| n as u8).collect();
    let slices: Vec<_> = bytes.chunks(1).map(IoSlice::new).collect();
    assert_eq!(near.write_vectored(&slices[..1_024]).await.expect("the socket is open"), 1_024);
    assert_eq!(near.write_vectored(&slices).await.expect("the socket is open"), 1_024);
    assert_eq!(near.try_write_vectored(&slices[5..1_100]).expect("the socket is open"), 1_024);
    let pinned = poll_fn(|cx| Pin::new(&mut near).poll_write_vectored(cx, &slices[..2_000]));
    assert_eq!(pinned.await.expect("the socket is open"), 1_024);
    // Empty ones count.
    let mut sparse = vec![IoSlice::new(&[]); 1_000];
    sparse.extend(&slices[..500]);
    assert_eq!(near.write_vectored(&sparse).await.expect("the socket is open"), 24);
    sparse.splice(0..0, vec![IoSlice::new(&[]); 100]);
    assert_eq!(near.write_vectored(&sparse).await.expect("nothing to send"), 0);
    drop(near);
    let mut all = Vec::new();
    far.read_to_end(&mut all).await.expect("the stream ends without an error");
    let expected =
        [&bytes[..1_024], &bytes[..1_024], &bytes[5..1_029], &bytes[..1_024], &bytes[..24]];
    assert_eq!(all, expected.concat());
}

async fn vectored_read_fills_1024_slices() {
    let (mut near, far) = pair().await;
    near.write_all(&[7; 3_000]).await.expect("the socket is open");
    pause().await;
    far.readable().await.expect("bytes arrive");
    let mut buffer = [0; 2_000];
    let mut slices: Vec<_> = buffer.chunks_mut(1).map(IoSliceMut::new).collect();
    assert_eq!(far.try_read_vectored(&mut slices).expect("bytes arrive"), 1_024);
    assert_eq!(buffer.iter().filter(|byte| **byte == 7).count(), 1_024);
}

async fn datagram_to_port_zero_is_invalid() {
    let (one, _, _two, there) = datagram_pair().await;
    for none in ["127.0.0.1:0", "0.0.0.0:0"] {
        assert_eq!(kind(one.send_to(b"x", none).await), "InvalidInput 22");
        assert_eq!(
            kind(one.try_send_to(b"x", none.parse().expect("an address"))),
            "InvalidInput 22"
        );
    }
    one.connect(there).await.expect("there is a route");
    assert_eq!(kind(one.send_to(b"x", "127.0.0.1:0").await), "InvalidInput 22");
    let six = UdpSocket::bind("[::1]:0").await.expect("the port is free");
    assert_eq!(kind(six.send_to(b"x", "[::1]:0").await), "InvalidInput 22");
    one.set_broadcast(true).expect("the socket is bound");
    assert_eq!(kind(one.send_to(b"x", "255.255.255.255:0").await), "InvalidInput 22");
}

async fn connect_to_port_zero_is_refused() {
    assert_eq!(kind(TcpStream::connect("127.0.0.1:0").await), "ConnectionRefused 111");
    let socket = TcpSocket::new_v6().expect("a socket");
    let none = "[::1]:0".parse().expect("an address");
    assert_eq!(kind(socket.connect(none).await), "ConnectionRefused 111");
}

async fn datagram_socket_connects_to_port_zero() {
    let (one, _, _, _) = datagram_pair().await;
    one.connect("127.0.0.1:0").await.expect("it is not looked at");
    assert_eq!(kind(one.peer_addr()), "NotConnected 107");
    assert_eq!(one.send(b"x").await.expect("it is sent"), 1);
    assert_eq!(kind(one.recv(&mut [0; 4]).await), "ConnectionRefused 111");
}

async fn connect_to_the_broadcast_address_is_refused() {
    assert_eq!(kind(TcpStream::connect("255.255.255.255:9").await), "NetworkUnreachable 101");
    let (one, _, _, _) = datagram_pair().await;
    assert_eq!(kind(one.connect("255.255.255.255:9").await), "PermissionDenied 13");
}

async fn datagram_to_the_unspecified_address_is_to_loopback() {
    let (one, here, two, there) = datagram_pair().await;
    one.send_to(b"x", ("0.0.0.0", there.port())).await.expect("there is a route");
    assert_eq!(two.recv_from(&mut [0; 4]).await.expect("a datagram"), (1, here));
    one.connect(("0.0.0.0", there.port())).await.expect("there is a route");
    assert_eq!(one.peer_addr().expect("connected"), there);
}

async fn datagram_socket_is_bound_to_an_own_address() {
    assert_eq!(kind(UdpSocket::bind("192.0.2.1:0").await), "AddrNotAvailable 99");
    assert_eq!(kind(UdpSocket::bind("[2001:db8::1]:0").await), "AddrNotAvailable 99");
    let socket = TcpSocket::new_v4().expect("a socket");
    let foreign = "192.0.2.1:0".parse().expect("an address");
    assert_eq!(kind(socket.bind(foreign)), "AddrNotAvailable 99");
}

async fn datagram_socket_of_all_ipv6_takes_the_port_of_ipv4() {
    let six = UdpSocket::bind("[::]:0").await.expect("the port is free");
    let port = six.local_addr().expect("the socket is bound").port();
    for own in ["0.0.0.0", "127.0.0.1", "::1"] {
        assert_eq!(kind(UdpSocket::bind((own, port)).await), "AddrInUse 98");
    }
}

async fn families_of_datagrams_mix_one_way_only() {
    let (one, _, _, there) = datagram_pair().await;
    assert_eq!(kind(one.send_to(b"x", "[::1]:9").await), "Uncategorized 97");
    assert_eq!(kind(one.connect("[::1]:9").await), "Uncategorized 97");
    let six = UdpSocket::bind("[::]:0").await.expect("the port is free");
    six.send_to(b"x", there).await.expect("as a mapped address");
    six.connect(there).await.expect("as a mapped address");
    let own = UdpSocket::bind("[::1]:0").await.expect("the port is free");
    assert_eq!(kind(own.send_to(b"x", there).await), "NetworkUnreachable 101");
}

async fn v6_socket_takes_no_v4_address() {
    let (_listener, address) = listener().await;
    let socket = TcpSocket::new_v6().expect("a socket");
    assert_eq!(kind(socket.bind("127.0.0.1:0".parse().expect("an address"))), "InvalidInput 22");
    assert_eq!(kind(socket.connect(address).await), "InvalidInput 22");
}

async fn connect_to_the_unspecified_ipv6_address() {
    let listener = TcpListener::bind("[::]:0").await.expect("the port is free");
    let port = listener.local_addr().expect("the socket is bound").port();
    let near = TcpStream::connect(("::", port)).await.expect("it listens");
    assert_eq!(near.peer_addr().expect("the socket is open").to_string(), format!("[::1]:{port}"));
}

async fn linger_of_less_than_a_second_is_zero() {
    let (mut near, far) = pair().await;
    far.set_linger(Some(Duration::from_millis(999))).expect("the socket is open");
    assert_eq!(far.linger().expect("the socket is open"), Some(Duration::ZERO));
    drop(far);
    pause().await;
    assert_eq!(kind(near.read(&mut [0; 4]).await), "ConnectionReset 104");
}

async fn linger_is_read_back_in_whole_seconds() {
    let (near, _far) = pair().await;
    near.set_linger(Some(Duration::from_millis(1_900))).expect("the socket is open");
    assert_eq!(near.linger().expect("the socket is open"), Some(Duration::from_secs(1)));
    near.set_linger(None).expect("the socket is open");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_zero_linger().expect("a socket");
    assert_eq!(socket.linger().expect("a socket"), Some(Duration::ZERO));
}

async fn refusal_is_reported_to_a_waiting_reader() {
    let (one, _, two, there) = datagram_pair().await;
    drop(two);
    one.connect(there).await.expect("there is a route");
    one.send(b"anybody").await.expect("it is sent");
    assert_eq!(kind(one.recv(&mut [0; 4]).await), "ConnectionRefused 111");
    assert!(waits(one.recv(&mut [0; 4])).await, "the error was reported before");
}

async fn shutdown_after_the_peer_s_succeeds() {
    let (mut near, mut far) = pair().await;
    near.shutdown().await.expect("the socket is open");
    far.shutdown().await.expect("the socket is open");
    pause().await;
    near.shutdown().await.expect("it is shut already");
    far.shutdown().await.expect("it is shut already");
    let mut buffer = [0; 4];
    let mut room = ReadBuf::new(&mut buffer);
    poll_fn(|cx| Pin::new(&mut far).poll_read(cx, &mut room)).await.expect("the stream ends");
    assert!(room.filled().is_empty());
}

async fn names_have_no_case() {
    let (_listener, address) = listener().await;
    for name in ["LOCALHOST", "LocalHost"] {
        TcpStream::connect((name, address.port())).await.expect("it listens");
    }
}

async fn names_that_are_unknown() {
    let long = format!("{}.invalid:80", "x".repeat(64));
    let longer = format!("{}:80", "x.".repeat(600));
    for name in ["", ".", "..", "a..b", "localhost..", ".localhost", "under the bridge", "a/b"] {
        let name = format!("{name}:80");
        assert_eq!(looked_up(&name).await, "Uncategorized", "{name}");
    }
    for name in [&long, &longer] {
        assert_eq!(looked_up(name).await, "Uncategorized", "{name}");
    }
    assert_eq!(kind(TcpStream::connect("a\0b:80").await), "InvalidInput");
}

async fn looked_up(name: &str) -> String {
    let found: io::Result<Vec<_>> = lookup_host(name).await.map(Iterator::collect);
    kind(found)
}

async fn ports_that_are_invalid() {
    for name in
        ["localhost", "localhost:", "localhost:x", "localhost:-1", "localhost:65536", "[::1]"]
    {
        assert_eq!(looked_up(name).await, "InvalidInput", "{name}");
    }
    for (name, port) in [("localhost:+80", 80), ("localhost:00080", 80), ("::1:80", 80)] {
        let mut found = lookup_host(name).await.expect("a number");
        assert_eq!(found.next().expect("an address").port(), port, "{name}");
    }
}

async fn addresses_with_a_scope() {
    let listener = TcpListener::bind("[::1]:0").await.expect("the port is free");
    let address = listener.local_addr().expect("the socket is bound");
    let scoped = std::net::SocketAddrV6::new(std::net::Ipv6Addr::LOCALHOST, address.port(), 7, 3);
    let near = TcpStream::connect(scoped).await.expect("it listens");
    assert_eq!(near.peer_addr().expect("the socket is open"), address);
}

/// Whatever `inet_aton` takes for an address.
async fn numbers_that_are_addresses() {
    let (_listener, address) = listener().await;
    for name in
        ["127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.0.0.01"]
    {
        let near = TcpStream::connect((name, address.port())).await;
        assert_eq!(
            near.expect("it listens").peer_addr().expect("the socket is open"),
            address,
            "{name}"
        );
    }
}

/// Writes until there is no room for more.
async fn fill(stream: &TcpStream) {
    loop {
        stream.writable().await.expect("the socket is open");
        while stream.try_write(&[7; 64 * 1024]).is_ok() {}
        // A kernel's buffers may grow while there is time, and a probe brings the last bytes to the other side.
        for _ in 0..5 {
            pause().await;
        }
        if waits(stream.writable()).await {
            return;
        }
    }
}
