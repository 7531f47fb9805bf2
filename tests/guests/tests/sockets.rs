//! Sockets of guests: Unix sockets, options, and what std and tokio make of them.

mod unix {
    use std::io;
    use std::time::Duration;

    use simmach::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{UnixDatagram, UnixListener, UnixStream};

    const PATH: &str = "/run/echo.sock";

    async fn echo() -> io::Result<()> {
        let listener = UnixListener::bind(PATH)?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            tokio::spawn(async move {
                let mut buffer = [0; 64];
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    if stream.write_all(&buffer[..length]).await.is_err() {
                        break;
                    }
                }
            });
        }
    }

    async fn ask() -> io::Result<()> {
        let mut stream = UnixStream::connect(PATH).await?;
        assert_eq!(stream.peer_addr()?.as_pathname(), Some(PATH.as_ref()));
        assert_eq!(stream.peer_cred()?.pid(), Some(std::process::id() as i32));
        for turn in 0..10u8 {
            stream.write_all(&[turn; 64]).await?;
            let mut buffer = [0; 64];
            stream.read_exact(&mut buffer).await?;
            assert_eq!(buffer, [turn; 64]);
        }
        stream.shutdown().await?;
        assert_eq!(stream.read(&mut [0; 1]).await?, 0);
        Ok(())
    }

    #[sim_test(seeds = 20, check = true, machines("a.zone" => echo, "b.zone" => echo))]
    async fn each_machine_has_its_own_names(sim: Sim) -> io::Result<()> {
        tokio::time::sleep(Duration::from_millis(10)).await;
        // The test's machine has none.
        let error = UnixStream::connect(PATH).await.expect_err("no such name");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        for machine in ["a.zone", "b.zone"] {
            sim.run_on(machine, ask()).await.expect("no panic")?;
        }
        assert!(!std::path::Path::new(PATH).exists());
        Ok(())
    }

    #[sim_test(seeds = 20, check = true, machines("a.zone/echo" => echo))]
    async fn killed_process_resets_its_connections(sim: Sim) -> io::Result<()> {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let client = sim.run_on("a.zone", async {
            let mut stream = UnixStream::connect(PATH).await?;
            stream.write_all(b"ping").await?;
            stream.read_exact(&mut [0; 4]).await?;
            assert_eq!(stream.read(&mut [0; 4]).await?, 0);
            let error = stream.write(b"ping").await.expect_err("nobody reads");
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
            let error = UnixStream::connect(PATH).await.expect_err("nobody listens");
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            io::Result::Ok(())
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        sim.kill("a.zone/echo").expect("it runs");
        client.await.expect("no panic")?;
        sim.start("a.zone/echo").expect("it is down");
        tokio::time::sleep(Duration::from_secs(1)).await;
        sim.run_on("a.zone", ask()).await.expect("no panic")
    }

    #[sim_test(seeds = 20, check = true, machines("a.zone" => echo))]
    async fn power_loss_ends_both_ends(sim: Sim) -> io::Result<()> {
        tokio::time::sleep(Duration::from_millis(10)).await;
        drop(sim.run_on("a.zone", async {
            let mut stream = UnixStream::connect(PATH).await.expect("it listens");
            let read = stream.read(&mut [0; 4]).await;
            unreachable!("{read:?}");
        }));
        tokio::time::sleep(Duration::from_secs(1)).await;
        sim.power_off("a.zone").expect("it is on");
        tokio::time::sleep(Duration::from_secs(1)).await;
        sim.start("a.zone").expect("it is off");
        tokio::time::sleep(Duration::from_secs(1)).await;
        sim.run_on("a.zone", ask()).await.expect("no panic")
    }

    #[sim_test(seeds = 20, check = true)]
    async fn datagrams_keep_their_boundaries() -> io::Result<()> {
        let server = UnixDatagram::bind("/run/log.sock")?;
        let client = UnixDatagram::bind("/run/client.sock")?;
        client.connect("/run/log.sock")?;
        let sends = tokio::spawn(async move {
            for length in 0..100 {
                client.send(&vec![7; length]).await?;
            }
            io::Result::Ok(client)
        });
        for length in 0..100 {
            let mut buffer = [0; 200];
            let (received, from) = server.recv_from(&mut buffer).await?;
            assert_eq!(received, length);
            assert_eq!(from.as_pathname(), Some("/run/client.sock".as_ref()));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let client = sends.await??;
        drop(server);
        let error = client.send(b"x").await.expect_err("nobody receives");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        Ok(())
    }

    /// More than the buffer holds.
    #[sim_test(seeds = 20, check = true)]
    async fn pair_carries_a_megabyte() -> io::Result<()> {
        let (mut one, mut other) = UnixStream::pair()?;
        let sent: Vec<u8> = (0..1_000_000_u32).map(|number| number as u8).collect();
        let expected = sent.clone();
        let writes = tokio::spawn(async move {
            one.write_all(&sent).await?;
            drop(one);
            io::Result::Ok(())
        });
        let mut received = Vec::new();
        other.read_to_end(&mut received).await?;
        assert!(received == expected);
        writes.await?
    }

    /// std's sockets block on threads.
    #[sim_test(seeds = 20, check = true)]
    async fn threads_use_std() -> io::Result<()> {
        use std::io::{Read, Write};
        use std::os::unix::net::{UnixListener, UnixStream};

        let listener = UnixListener::bind("/run/std.sock")?;
        let error = UnixListener::bind("/run/std.sock").expect_err("it is bound");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept()?;
            let mut whole = Vec::new();
            stream.read_to_end(&mut whole)?;
            stream.write_all(&whole)?;
            io::Result::Ok(())
        });
        let client = tokio::task::spawn_blocking(|| {
            let mut stream = UnixStream::connect("/run/std.sock")?;
            stream.write_all(&vec![5; 500_000])?;
            stream.shutdown(std::net::Shutdown::Write)?;
            let mut whole = Vec::new();
            stream.read_to_end(&mut whole)?;
            assert!(whole == vec![5; 500_000]);
            io::Result::Ok(())
        });
        client.await??;
        server.join().expect("no panic")
    }
}

/// Calls of std and socket2, on Linux and on a guest's thread.
#[cfg(target_os = "linux")]
mod blocking {
    use std::io::{self, ErrorKind, Read, Write};
    use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
    use std::thread;
    use std::time::{Duration, Instant};

    use socket2::{Domain, SockAddr, Socket, Type};

    /// Makes two tests of each scenario: `real::…` and `guest::…`.
    macro_rules! both_ways {
        ($($scenario:ident),* $(,)?) => {
            mod real {
                $(#[test]
                fn $scenario() {
                    super::$scenario();
                })*
            }

            mod guest {
                $(#[simmach::sim_test(seeds = 20, check = true)]
                async fn $scenario() {
                    let done = tokio::task::spawn_blocking(super::$scenario).await;
                    done.expect("no panic");
                })*
            }
        };
    }

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
        unix_datagrams_fill_the_buffer,
        unix_datagrams_fill_a_queue,
        unix_packets_keep_their_boundaries,
        unix_backlog_is_full,
        unix_names_are_taken_once,
        unix_errors_of_connect,
        unix_unread_data_resets,
        unix_connection_in_a_closed_queue_is_reset,
        unix_shutdown_ends_one_direction,
        unix_peers_are_who_connected,
        unix_datagrams_of_strangers_are_refused,
        unix_writes_are_short_when_full,
    }

    fn code<T: std::fmt::Debug>(result: io::Result<T>) -> i32 {
        result.expect_err("an error").raw_os_error().expect("an error of the system")
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

    fn unix_datagrams_fill_the_buffer() {
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

    fn unix_datagrams_fill_a_queue() {
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

    fn unix_packets_keep_their_boundaries() {
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

    fn unix_backlog_is_full() {
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

    fn unix_names_are_taken_once() {
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

    fn unix_errors_of_connect() {
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

    fn unix_unread_data_resets() {
        let (mut one, mut other) = UnixStream::pair().expect("a pair");
        other.write_all(b"unread").expect("open");
        one.write_all(b"read").expect("open");
        drop(one);
        assert_eq!(other.read(&mut [0; 8]).expect("data comes first"), 4);
        assert_eq!(code(other.read(&mut [0; 8])), libc::ECONNRESET);
        assert_eq!(other.read(&mut [0; 8]).expect("the end"), 0);
        assert_eq!(code(other.write(b"x")), libc::EPIPE);
    }

    fn unix_connection_in_a_closed_queue_is_reset() {
        let name = abstract_name("queued");
        let listener = UnixListener::bind_addr(&name).expect("the name is free");
        let mut client = UnixStream::connect_addr(&name).expect("it listens");
        client.write_all(b"early").expect("open");
        drop(listener);
        assert_eq!(code(client.read(&mut [0; 8])), libc::ECONNRESET);
    }

    fn unix_shutdown_ends_one_direction() {
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

    fn unix_peers_are_who_connected() {
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

    fn unix_datagrams_of_strangers_are_refused() {
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

    fn unix_writes_are_short_when_full() {
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
}
