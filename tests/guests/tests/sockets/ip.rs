//! Tests TCP and UDP sockets of std and socket2, on which calls may block.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::both_ways::{both_ways, code};

both_ways! {
    read_ends_at_its_timeout,
    write_ends_at_its_timeout,
    write_that_times_out_says_how_much_was_sent,
    accept_ends_at_its_timeout,
    accept_ends_when_its_listener_is_shut_down,
    refused_socket_connects_again,
    refused_datagram_is_an_error_of_the_next_call,
    datagram_is_cut,
    accepted_connection_has_options_of_its_listener,
    v4_is_reached_through_v6,
    v6_only_leaves_v4_to_others,
    v6_only_does_not_reach_v4,
    port_is_shared_by_listeners,
    port_is_shared_by_datagram_sockets,
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let near = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    (near, listener.accept().expect("a connection").0)
}

fn read_ends_at_its_timeout() {
    let (mut near, _far) = pair();
    near.set_read_timeout(Some(Duration::from_millis(50))).expect("open");
    let before = Instant::now();
    assert_eq!(code(near.read(&mut [0])), libc::EAGAIN);
    assert!(before.elapsed() >= Duration::from_millis(50));
    let (mut near, _far) = UnixStream::pair().expect("a pair");
    near.set_read_timeout(Some(Duration::from_millis(50))).expect("open");
    let before = Instant::now();
    assert_eq!(code(near.read(&mut [0])), libc::EAGAIN);
    assert!(before.elapsed() >= Duration::from_millis(50));
}

fn write_ends_at_its_timeout() {
    let (mut near, _far) = UnixStream::pair().expect("a pair");
    near.set_write_timeout(Some(Duration::from_millis(50))).expect("open");
    assert_eq!(code(near.write_all(&vec![0; 10_000_000])), libc::EAGAIN);
    let (mut near, _far) = pair();
    near.set_write_timeout(Some(Duration::from_millis(50))).expect("open");
    assert_eq!(code(near.write_all(&vec![0; 50_000_000])), libc::EAGAIN);
}

fn write_that_times_out_says_how_much_was_sent() {
    fn check(mut near: impl Write, mut far: impl Read) {
        let all = vec![0; 50_000_000];
        let sent = near.write(&all).expect("a part is sent");
        assert!(0 < sent && sent < all.len(), "{sent}");
        drop(near);
        assert_eq!(far.read_to_end(&mut Vec::new()).expect("it ends"), sent);
    }
    let (near, far) = UnixStream::pair().expect("a pair");
    near.set_write_timeout(Some(Duration::from_millis(50))).expect("open");
    check(near, far);
    let (near, far) = pair();
    near.set_write_timeout(Some(Duration::from_millis(50))).expect("open");
    check(near, far);
}

fn accept_ends_at_its_timeout() {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
    listener.bind(&any.into()).expect("a port is free");
    listener.listen(5).expect("bound");
    listener.set_read_timeout(Some(Duration::from_millis(50))).expect("open");
    assert_eq!(code(listener.accept()), libc::EAGAIN);
}

fn accept_ends_when_its_listener_is_shut_down() {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
    listener.bind(&any.into()).expect("a port is free");
    listener.listen(5).expect("bound");
    let address = listener.local_addr().expect("bound");
    let other = listener.try_clone().expect("open");
    let accepts = thread::spawn(move || other.accept().map(drop));
    thread::sleep(Duration::from_millis(50));
    listener.shutdown(Shutdown::Read).expect("it listens");
    assert_eq!(code(accepts.join().expect("no panic")), libc::EINVAL);
    let client = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    assert_eq!(code(client.connect(&address)), libc::ECONNREFUSED);
}

fn refused_socket_connects_again() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let client = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    assert_eq!(code(client.connect(&address.into())), libc::ECONNREFUSED);
    let _listener = TcpListener::bind(address).expect("the port is free");
    client.connect(&address.into()).expect("it listens");
    assert_eq!(code(client.connect(&address.into())), libc::EISCONN);
}

fn refused_datagram_is_an_error_of_the_next_call() {
    let gone = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    socket.connect(gone.local_addr().expect("bound")).expect("open");
    drop(gone);
    for by_receive in [true, false] {
        assert_eq!(socket.send(b"anyone?").expect("no error yet"), 7);
        thread::sleep(Duration::from_millis(10));
        let error = if by_receive { socket.recv(&mut [0; 8]) } else { socket.send(b"?") };
        assert_eq!(code(error), libc::ECONNREFUSED);
    }
    socket.send(b"anyone?").expect("no error yet");
    thread::sleep(Duration::from_millis(10));
    let error = socket.take_error().expect("open").expect("an error");
    assert_eq!(error.raw_os_error(), Some(libc::ECONNREFUSED));
    assert!(socket.take_error().expect("open").is_none());
}

fn datagram_is_cut() {
    let one = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let other = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let to = other.local_addr().expect("bound");
    for datagram in [&b"0123456789"[..], b"", b"abc"] {
        one.send_to(datagram, to).expect("bound");
    }
    thread::sleep(Duration::from_millis(10));
    let mut buffer = [0; 4];
    assert_eq!(other.peek(&mut buffer).expect("a datagram"), 4);
    assert_eq!(other.recv(&mut buffer).expect("a datagram"), 4);
    assert_eq!(&buffer, b"0123");
    assert_eq!(other.recv(&mut buffer).expect("a datagram"), 0);
    assert_eq!(other.recv(&mut buffer).expect("a datagram"), 3);
}

fn accepted_connection_has_options_of_its_listener() {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
    listener.set_recv_buffer_size(20_000).expect("open");
    listener.set_keepalive(true).expect("open");
    listener.bind(&any.into()).expect("a port is free");
    listener.listen(5).expect("bound");
    let address = listener.local_addr().expect("bound");
    let client = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    client.connect(&address).expect("it listens");
    let (accepted, _) = listener.accept().expect("a connection");
    assert_eq!(accepted.recv_buffer_size().expect("open"), 40_000);
    assert!(accepted.keepalive().expect("open"));
    assert!(!client.keepalive().expect("open"));
}

fn v6(kind: Type, only: bool) -> Socket {
    let socket = Socket::new(Domain::IPV6, kind, None).expect("a socket");
    socket.set_only_v6(only).expect("it is not bound");
    socket
}

fn mapped(port: u16) -> SockAddr {
    let loopback = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
    std::net::SocketAddr::from((loopback, port)).into()
}

fn port_of(socket: &Socket) -> u16 {
    let address = socket.local_addr().expect("bound").as_socket().expect("an IP address");
    address.port()
}

fn any_v6(port: u16) -> SockAddr {
    std::net::SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into()
}

fn any_v4(port: u16) -> SockAddr {
    std::net::SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into()
}

fn v4_is_reached_through_v6() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("bound").port();
    let client = v6(Type::STREAM, false);
    client.connect(&mapped(port)).expect("it listens");
    assert_eq!(client.peer_addr().expect("connected"), mapped(port));
    assert_eq!(client.local_addr().expect("connected"), mapped(port_of(&client)));
    let (_, from) = listener.accept().expect("a connection");
    assert_eq!(from, ([127, 0, 0, 1], port_of(&client)).into());

    let receiver = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let port = receiver.local_addr().expect("bound").port();
    let sender = v6(Type::DGRAM, false);
    sender.send_to(b"hello", &mapped(port)).expect("bound");
    let (length, from) = receiver.recv_from(&mut [0; 8]).expect("a datagram");
    assert_eq!((length, from), (5, ([127, 0, 0, 1], port_of(&sender)).into()));
}

fn v6_only_leaves_v4_to_others() {
    for kind in [Type::STREAM, Type::DGRAM] {
        let other = v6(kind, true);
        other.bind(&any_v6(0)).expect("a port is free");
        let port = port_of(&other);
        let v4 = Socket::new(Domain::IPV4, kind, None).expect("a socket");
        v4.bind(&any_v4(port)).expect("IPv4's port is free");
        assert!(other.only_v6().expect("open"));
        assert_eq!(code(other.set_only_v6(false)), libc::EINVAL);

        let both = v6(kind, false);
        both.bind(&any_v6(0)).expect("a port is free");
        let v4 = Socket::new(Domain::IPV4, kind, None).expect("a socket");
        assert_eq!(code(v4.bind(&any_v4(port_of(&both)))), libc::EADDRINUSE);
        let second = v6(kind, true);
        assert_eq!(code(second.bind(&any_v6(port_of(&both)))), libc::EADDRINUSE);
    }
    let other = v6(Type::STREAM, true);
    other.bind(&any_v6(0)).expect("a port is free");
    other.listen(5).expect("bound");
    let port = port_of(&other);
    assert_eq!(code(TcpStream::connect(("127.0.0.1", port))), libc::ECONNREFUSED);
    let v4 = TcpListener::bind(("0.0.0.0", port)).expect("IPv4's port is free");
    drop(TcpStream::connect(("127.0.0.1", port)).expect("it listens"));
    v4.accept().expect("a connection");
    v6(Type::STREAM, false).connect(&loopback_v6(port)).expect("it listens");
    other.accept().expect("a connection");
}

fn loopback_v6(port: u16) -> SockAddr {
    std::net::SocketAddr::from((Ipv6Addr::LOCALHOST, port)).into()
}

fn v6_only_does_not_reach_v4() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("bound").port();
    assert_eq!(code(v6(Type::STREAM, true).connect(&mapped(port))), libc::ENETUNREACH);
    assert_eq!(code(v6(Type::DGRAM, true).send_to(b"?", &mapped(port))), libc::ENETUNREACH);
    assert_eq!(code(v6(Type::DGRAM, true).connect(&mapped(port))), libc::ENETUNREACH);
    for kind in [Type::STREAM, Type::DGRAM] {
        assert_eq!(code(v6(kind, true).bind(&mapped(0))), libc::EINVAL);
        v6(kind, false).bind(&mapped(0)).expect("a port is free");
    }
}

fn sharing(kind: Type, port: u16) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, kind, None).expect("a socket");
    socket.set_reuse_port(true).expect("open");
    socket.bind(&any_v4(port))?;
    Ok(socket)
}

/// Connections are spread over the listeners, each by its addresses.
fn port_is_shared_by_listeners() {
    let first = sharing(Type::STREAM, 0).expect("a port is free");
    let port = port_of(&first);
    first.listen(64).expect("bound");
    let second = sharing(Type::STREAM, port).expect("it is shared");
    second.listen(64).expect("it is shared");
    let other = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    assert_eq!(code(other.bind(&any_v4(port))), libc::EADDRINUSE);
    let connect = |_| TcpStream::connect(("127.0.0.1", port)).expect("they listen");
    let clients: Vec<TcpStream> = (0..40).map(connect).collect();
    thread::sleep(Duration::from_millis(50));
    let mut accepted = [0, 0];
    for (listener, accepted) in [&first, &second].into_iter().zip(&mut accepted) {
        listener.set_nonblocking(true).expect("open");
        *accepted = std::iter::from_fn(|| listener.accept().ok()).count();
    }
    assert_eq!(accepted[0] + accepted[1], clients.len());
    assert!(accepted.iter().all(|accepted| *accepted > 0), "{accepted:?}");
    drop(first);
    drop(TcpStream::connect(("127.0.0.1", port)).expect("the second listens"));
    thread::sleep(Duration::from_millis(10));
    second.accept().expect("a connection");
}

fn port_is_shared_by_datagram_sockets() {
    let first = sharing(Type::DGRAM, 0).expect("a port is free");
    let port = port_of(&first);
    let second = sharing(Type::DGRAM, port).expect("it is shared");
    let sender = |_| UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let senders: Vec<UdpSocket> = (0..40).map(sender).collect();
    for turn in 0..2 {
        for sender in &senders {
            sender.send_to(&[turn], ("127.0.0.1", port)).expect("bound");
        }
    }
    thread::sleep(Duration::from_millis(50));
    let mut received = Vec::new();
    for socket in [first, second] {
        let socket = UdpSocket::from(socket);
        socket.set_nonblocking(true).expect("open");
        let from = std::iter::from_fn(|| Some(socket.recv_from(&mut [0]).ok()?.1.port()));
        received.push(from.collect::<Vec<u16>>());
    }
    assert_eq!(received[0].len() + received[1].len(), 80);
    assert!(!received[0].is_empty() && !received[1].is_empty());
    // All datagrams of a sender have the same receiver.
    assert!(received[0].iter().all(|port| !received[1].contains(port)), "{received:?}");

    // Without load sharing, the socket that was bound last receives.
    let reusing = |port| {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
        socket.set_reuse_address(true).expect("open");
        socket.bind(&any_v4(port)).map(|()| socket)
    };
    let first = reusing(0).expect("a port is free");
    let second = reusing(port_of(&first)).expect("it is shared");
    assert_eq!(code(sharing(Type::DGRAM, port_of(&first))), libc::EADDRINUSE);
    senders[0].send_to(b"last", ("127.0.0.1", port_of(&first))).expect("bound");
    thread::sleep(Duration::from_millis(10));
    let [first, second] = [first, second].map(UdpSocket::from);
    first.set_nonblocking(true).expect("open");
    assert_eq!(code(first.recv(&mut [0; 8])), libc::EAGAIN);
    assert_eq!(second.recv(&mut [0; 8]).expect("a datagram"), 4);
}
