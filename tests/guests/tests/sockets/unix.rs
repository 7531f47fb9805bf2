//! Tests Unix sockets of std and socket2, on which calls may block.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::both_ways::{both_ways, code};

both_ways! {
    datagrams_fill_the_buffer,
    datagrams_fill_a_queue,
    packets_keep_their_boundaries,
    backlog_is_full,
    names_are_taken_once,
    errors_of_connect,
    unread_data_resets,
    connection_in_a_closed_queue_is_reset,
    shutdown_ends_one_direction,
    peers_are_who_connected,
    datagrams_of_strangers_are_refused,
    writes_are_short_when_full,
}

fn datagrams_fill_the_buffer() {
    for length in [1, 100, 1_000, 3_000, 4_000, 10_000] {
        let (one, _other) = UnixDatagram::pair().expect("a pair");
        one.set_nonblocking(true).expect("open");
        let sent = (0..).take_while(|_| one.send(&vec![0; length]).is_ok()).count();
        let most = 212_992 / length + 1;
        assert!(sent > 5 && sent <= most, "{sent} datagrams of {length} bytes");
        if length == 1 {
            assert_eq!(sent, 278);
        }
    }
    let (one, _other) = UnixDatagram::pair().expect("a pair");
    assert_eq!(code(one.send(&vec![0; 300_000])), libc::EMSGSIZE);
}

fn abstract_name(name: &str) -> SocketAddr {
    let name = format!("simmach {} {name}", std::process::id());
    SocketAddr::from_abstract_name(name).expect("short enough")
}

fn datagrams_fill_a_queue() {
    let name = abstract_name("queue");
    let server = UnixDatagram::bind_addr(&name).expect("the name is free");
    let client = UnixDatagram::unbound().expect("a socket");
    client.set_nonblocking(true).expect("open");
    let most = std::fs::read_to_string("/proc/sys/net/unix/max_dgram_qlen");
    let most: usize = most.expect("Linux has it").trim().parse().expect("a number");
    let sent = (0..).take_while(|_| client.send_to_addr(b"x", &name).is_ok()).count();
    // In a run it is Linux's default.
    assert!(sent == most + 1 || sent == 11, "{sent}");
    assert_eq!(code(client.send_to_addr(b"x", &name)), libc::EAGAIN);
    server.recv(&mut [0]).expect("a datagram");
    client.send_to_addr(b"x", &name).expect("there is room again");
    client.set_nonblocking(false).expect("open");
    let waits = thread::spawn(move || client.send_to_addr(b"last", &name).map(|_| client));
    thread::sleep(Duration::from_millis(10));
    for _ in 0..sent {
        assert_eq!(server.recv(&mut [0; 8]).expect("a datagram"), 1);
    }
    assert_eq!(server.recv(&mut [0; 8]).expect("a datagram"), 4);
    waits.join().expect("no panic").expect("there was room");
}

fn packets_keep_their_boundaries() {
    let (one, mut other) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).expect("a pair");
    for packet in [&b"0123456789"[..], b"abc"] {
        assert_eq!(one.send(packet).expect("open"), packet.len());
    }
    let mut buffer = [0; 4];
    assert_eq!(other.read(&mut buffer).expect("a packet"), 4);
    assert_eq!(other.read(&mut buffer).expect("a packet"), 3);
    drop(one);
    assert_eq!(other.read(&mut buffer).expect("the end"), 0);
    assert_eq!(code(other.send(b"x")), libc::EPIPE);
}

fn backlog_is_full() {
    let name = SockAddr::unix("\0simmach backlog").expect("short enough");
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
    listener.bind(&name).expect("the name is free");
    listener.listen(1).expect("bound");
    let connect = || {
        let client = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
        client.set_nonblocking(true).expect("open");
        client.connect(&name).map(|()| client)
    };
    let mut clients = vec![connect().expect("room"), connect().expect("room")];
    assert_eq!(code(connect()), libc::EAGAIN);
    listener.accept().expect("a connection");
    clients.push(connect().expect("room again"));
}

fn names_are_taken_once() {
    let name = abstract_name("names");
    let listener = UnixListener::bind_addr(&name).expect("the name is free");
    assert_eq!(code(UnixListener::bind_addr(&name)), libc::EADDRINUSE);
    // Other kinds of sockets have other names.
    UnixDatagram::bind_addr(&name).expect("the name is free");
    drop(listener);
    UnixListener::bind_addr(&name).expect("the name is free again");
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
    assert_eq!(code(socket.listen(5)), libc::EINVAL);
}

fn errors_of_connect() {
    assert_eq!(code(UnixStream::connect("/missing/name")), libc::ENOENT);
    let name = abstract_name("errors");
    assert_eq!(code(UnixStream::connect_addr(&name)), libc::ECONNREFUSED);
    let datagrams = UnixDatagram::bind_addr(&name).expect("the name is free");
    assert_eq!(code(UnixStream::connect_addr(&name)), libc::ECONNREFUSED);
    drop(datagrams);
    let path = std::env::temp_dir().join("simmach-errors-of-connect.sock");
    // What a test that was killed has left.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).expect("the path is free");
    let unbound = UnixDatagram::unbound().expect("a socket");
    assert_eq!(code(unbound.connect(&path)), libc::EPROTOTYPE);
    assert_eq!(code(UnixDatagram::bind(&path)), libc::EADDRINUSE);
    drop(listener);
    assert_eq!(code(UnixStream::connect(&path)), libc::ECONNREFUSED);
    // A run creates no file.
    let _ = std::fs::remove_file(&path);
    assert_eq!(code(unbound.send(b"x")), libc::ENOTCONN);
    let stream = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
    assert_eq!(code(stream.send(b"x")), libc::ENOTCONN);
    assert_eq!(code((&stream).read(&mut [0])), libc::EINVAL);
    assert_eq!(code(stream.peer_addr()), libc::ENOTCONN);
}

fn unread_data_resets() {
    let (mut one, mut other) = UnixStream::pair().expect("a pair");
    other.write_all(b"unread").expect("open");
    one.write_all(b"read").expect("open");
    drop(one);
    assert_eq!(other.read(&mut [0; 8]).expect("data comes first"), 4);
    assert_eq!(code(other.read(&mut [0; 8])), libc::ECONNRESET);
    assert_eq!(other.read(&mut [0; 8]).expect("the end"), 0);
    assert_eq!(code(other.write(b"x")), libc::EPIPE);
}

fn connection_in_a_closed_queue_is_reset() {
    let name = abstract_name("queued");
    let listener = UnixListener::bind_addr(&name).expect("the name is free");
    let mut client = UnixStream::connect_addr(&name).expect("it listens");
    client.write_all(b"early").expect("open");
    drop(listener);
    assert_eq!(code(client.read(&mut [0; 8])), libc::ECONNRESET);
}

fn shutdown_ends_one_direction() {
    let (mut one, mut other) = UnixStream::pair().expect("a pair");
    one.write_all(b"x").expect("open");
    one.shutdown(Shutdown::Write).expect("open");
    assert_eq!(code(one.write(b"x")), libc::EPIPE);
    assert_eq!(other.read(&mut [0; 8]).expect("data"), 1);
    assert_eq!(other.read(&mut [0; 8]).expect("the end"), 0);
    other.write_all(b"back").expect("open");
    assert_eq!(one.read(&mut [0; 8]).expect("data"), 4);
    other.shutdown(Shutdown::Read).expect("open");
    one.shutdown(Shutdown::Read).expect("open");
    assert_eq!(one.read(&mut [0; 8]).expect("the end"), 0);
    assert_eq!(code(other.write(b"x")), libc::EPIPE);
}

fn peers_are_who_connected() {
    let name = abstract_name("peers");
    let listener = UnixListener::bind_addr(&name).expect("the name is free");
    let client = UnixStream::connect_addr(&name).expect("it listens");
    let (accepted, from) = listener.accept().expect("a connection");
    assert!(from.is_unnamed() && client.local_addr().expect("open").is_unnamed());
    let of_server = client.peer_addr().expect("connected");
    assert_eq!(of_server.as_abstract_name(), name.as_abstract_name());
    let own = accepted.local_addr().expect("open");
    assert_eq!(own.as_abstract_name(), name.as_abstract_name());
    drop(accepted);
    assert!(client.peer_addr().is_ok());
}

fn datagrams_of_strangers_are_refused() {
    let (a, b) = (abstract_name("a"), abstract_name("b"));
    let one = UnixDatagram::bind_addr(&a).expect("the name is free");
    let other = UnixDatagram::bind_addr(&b).expect("the name is free");
    one.connect_addr(&b).expect("bound");
    let stranger = UnixDatagram::unbound().expect("a socket");
    assert_eq!(code(stranger.send_to_addr(b"x", &a)), libc::EPERM);
    assert_eq!(other.send_to_addr(b"x", &a).expect("its peer"), 1);
    let (length, from) = one.recv_from(&mut [0; 8]).expect("a datagram");
    assert_eq!((length, from.as_abstract_name()), (1, b.as_abstract_name()));
    drop(other);
    assert_eq!(code(one.send(b"x")), libc::ECONNREFUSED);
    assert_eq!(code(one.send(b"x")), libc::ENOTCONN);
}

fn writes_are_short_when_full() {
    let (one, mut other) = UnixStream::pair().expect("a pair");
    one.set_nonblocking(true).expect("open");
    let written = (&one).write(&vec![0; 1_000_000]).expect("there is room");
    assert!((150_000..=300_000).contains(&written), "{written}");
    let error = (&one).write(&[0]).expect_err("it is full");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    let mut read = 0;
    while read < written {
        read += other.read(&mut vec![0; 100_000]).expect("data");
    }
    assert_eq!((&one).write(&[0]).expect("there is room again"), 1);
}
