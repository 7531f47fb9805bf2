//! Scenarios of socket options that are set before the socket connects or listens.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    helpers::{datagram_pair, kind, listener, nobody, pair, pause, waits},
    net::{TcpListener, TcpSocket, TcpStream, UdpSocket},
};

everywhere! {
    socket_listens_and_another_connects,
    socket_connects_from_its_bound_address,
    socket_that_is_bound_does_not_listen_yet,
    listen_without_a_bind_takes_a_free_port,
    reuseaddr_shares_a_port,
    reuseport_shares_a_listening_port,
    reuseaddr_off_and_time_wait_conflict,
    reuseaddr_off_and_a_client_s_time_wait_conflict,
    bind_twice_fails,
    connect_with_the_same_four_tuple_fails,
    bind_of_the_other_family_fails,
    connect_of_a_socket_is_refused,
    options_are_inherited_by_connections,
    linger_zero_is_inherited_by_connections,
    buffer_sizes_are_doubled,
    backlog_that_is_full_delays_a_connect,
    local_address_of_a_connected_datagram_socket,
    datagram_by_ipv4_to_all_ipv6_has_a_mapped_address,
    ttl_is_kept_within_its_limits,
    ttl_is_inherited_by_connections,
    tos_is_kept,
    tclass_is_for_ipv6_only,
    quickack_can_be_set,
    options_are_read_back,
}

fn any() -> std::net::SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

async fn socket_listens_and_another_connects() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(any()).expect("the port is free");
    let address = socket.local_addr().expect("the socket is bound");
    let listener = socket.listen(16).expect("it is bound");
    assert_eq!(listener.local_addr().expect("listening"), address);
    let mut near =
        TcpSocket::new_v4().expect("a socket").connect(address).await.expect("it listens");
    let (mut far, _) = listener.accept().await.expect("a connection");
    near.write_all(b"hi").await.expect("the socket is open");
    far.read_exact(&mut [0; 2]).await.expect("the socket is open");
}

async fn socket_connects_from_its_bound_address() {
    let (listener, address) = listener().await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(any()).expect("the port is free");
    let own = socket.local_addr().expect("the socket is bound");
    let near = socket.connect(address).await.expect("it listens");
    let (_, from) = listener.accept().await.expect("a connection");
    assert_eq!((near.local_addr().expect("the socket is open"), from), (own, own));
}

async fn socket_that_is_bound_does_not_listen_yet() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(any()).expect("the port is free");
    let address = socket.local_addr().expect("the socket is bound");
    assert_eq!(kind(TcpStream::connect(address).await), "ConnectionRefused 111");
}

async fn listen_without_a_bind_takes_a_free_port() {
    let socket = TcpSocket::new_v4().expect("a socket");
    assert_eq!(socket.local_addr().expect("a socket").to_string(), "0.0.0.0:0");
    let listener = socket.listen(1).expect("the port is free");
    assert_ne!(listener.local_addr().expect("listening").port(), 0);
}

async fn reuseaddr_shares_a_port() {
    let one = TcpSocket::new_v4().expect("a socket");
    assert!(!one.reuseaddr().expect("a socket"));
    one.bind(any()).expect("the port is free");
    let address = one.local_addr().expect("the socket is bound");
    let two = TcpSocket::new_v4().expect("a socket");
    two.set_reuseaddr(true).expect("a socket");
    assert!(two.reuseaddr().expect("a socket"));
    assert_eq!(kind(two.bind(address)), "AddrInUse 98");
    one.set_reuseaddr(true).expect("a socket");
    two.bind(address).expect("both say so");
    let _listener = one.listen(1).expect("the first to listen");
    assert_eq!(kind(two.listen(1)), "AddrInUse 98");
}

async fn reuseport_shares_a_listening_port() {
    let sharing = |address: std::net::SocketAddr| {
        let socket = TcpSocket::new_v4().expect("a socket");
        assert!(!socket.reuseport().expect("a socket"));
        socket.set_reuseport(true).expect("a socket");
        assert!(socket.reuseport().expect("a socket"));
        socket.bind(address).expect("the port is free or shared");
        socket.listen(8).expect("the port is free or shared")
    };
    let one = sharing(any());
    let address = one.local_addr().expect("listening");
    let two = sharing(address);
    let other = TcpSocket::new_v4().expect("a socket");
    assert_eq!(kind(other.bind(address)), "AddrInUse 98");
    drop(one);
    let (near, far) = futures::future::join(TcpStream::connect(address), two.accept()).await;
    near.expect("the second listens");
    far.expect("a connection");
}

async fn reuseaddr_off_and_time_wait_conflict() {
    let (listener, address) = listener().await;
    let mut near = TcpStream::connect(address).await.expect("it listens");
    drop(listener.accept().await.expect("a connection"));
    assert_eq!(near.read(&mut [0; 8]).await.expect("the stream ends"), 0);
    drop((near, listener));
    pause().await;
    let socket = TcpSocket::new_v4().expect("a socket");
    assert_eq!(kind(socket.bind(address)), "AddrInUse 98");
    socket.set_reuseaddr(true).expect("a socket");
    socket.bind(address).expect("TIME-WAIT is no obstacle to this");
}

async fn reuseaddr_off_and_a_client_s_time_wait_conflict() {
    let (near, mut far) = pair().await;
    let own = near.local_addr().expect("the socket is open");
    drop(near);
    assert_eq!(far.read(&mut [0; 8]).await.expect("the stream ends"), 0);
    drop(far);
    pause().await;
    assert_eq!(kind(TcpListener::bind(own).await), "AddrInUse 98");
}

async fn bind_twice_fails() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(any()).expect("the port is free");
    assert_eq!(kind(socket.bind(any())), "InvalidInput 22");
}

async fn connect_with_the_same_four_tuple_fails() {
    let (_listener, address) = listener().await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("a socket");
    socket.bind(any()).expect("the port is free");
    let own = socket.local_addr().expect("the socket is bound");
    let _near = socket.connect(address).await.expect("it listens");
    let again = TcpSocket::new_v4().expect("a socket");
    again.set_reuseaddr(true).expect("a socket");
    again.bind(own).expect("both say so");
    assert_eq!(kind(again.connect(address).await), "AddrNotAvailable 99");
}

async fn bind_of_the_other_family_fails() {
    let socket = TcpSocket::new_v4().expect("a socket");
    let v6 = "[::1]:0".parse().expect("an address");
    assert_eq!(kind(socket.bind(v6)), "Uncategorized 97");
    assert_eq!(kind(TcpSocket::new_v4().expect("a socket").connect(v6).await), "Uncategorized 97");
}

async fn connect_of_a_socket_is_refused() {
    let socket = TcpSocket::new_v4().expect("a socket");
    assert_eq!(kind(socket.connect(nobody().await).await), "ConnectionRefused 111");
}

async fn options_are_inherited_by_connections() {
    let socket = TcpSocket::new_v4().expect("a socket");
    assert!(!socket.nodelay().expect("a socket") && !socket.keepalive().expect("a socket"));
    socket.set_nodelay(true).expect("a socket");
    socket.set_keepalive(true).expect("a socket");
    assert!(socket.nodelay().expect("a socket") && socket.keepalive().expect("a socket"));
    socket.bind(any()).expect("the port is free");
    let listener = socket.listen(4).expect("the socket is bound");
    let address = listener.local_addr().expect("listening");
    let near = TcpStream::connect(address).await.expect("it listens");
    let (far, _) = listener.accept().await.expect("a connection");
    assert!(
        !near.nodelay().expect("the socket is open") && far.nodelay().expect("the socket is open")
    );
}

async fn linger_zero_is_inherited_by_connections() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_zero_linger().expect("a socket");
    socket.bind(any()).expect("the port is free");
    let listener = socket.listen(4).expect("the socket is bound");
    let mut near =
        TcpStream::connect(listener.local_addr().expect("listening")).await.expect("it listens");
    drop(listener.accept().await.expect("a connection"));
    pause().await;
    assert_eq!(kind(near.read(&mut [0; 8]).await), "ConnectionReset 104");
}

async fn buffer_sizes_are_doubled() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_send_buffer_size(20_000).expect("a socket");
    socket.set_recv_buffer_size(20_000).expect("a socket");
    assert_eq!(socket.send_buffer_size().expect("a socket"), 40_000);
    assert_eq!(socket.recv_buffer_size().expect("a socket"), 40_000);
}

async fn backlog_that_is_full_delays_a_connect() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(any()).expect("the port is free");
    let listener = socket.listen(1).expect("the socket is bound");
    let address = listener.local_addr().expect("listening");
    let _one = TcpStream::connect(address).await.expect("the first waits");
    let _two = TcpStream::connect(address).await.expect("so does one more than was said");
    pause().await;
    let third = TcpStream::connect(address);
    futures::pin_mut!(third);
    assert!(waits(&mut third).await);
    listener.accept().await.expect("the first");
    // The next SYN finds room.
    third.await.expect("there is room again");
}

async fn local_address_of_a_connected_datagram_socket() {
    let socket = UdpSocket::bind("0.0.0.0:0").await.expect("the port is free");
    assert_eq!(socket.local_addr().expect("the socket is bound").ip().to_string(), "0.0.0.0");
    socket.connect("127.0.0.1:9").await.expect("there is a route");
    assert_eq!(socket.local_addr().expect("the socket is bound").ip().to_string(), "127.0.0.1");
}

async fn datagram_by_ipv4_to_all_ipv6_has_a_mapped_address() {
    let server = UdpSocket::bind("[::]:0").await.expect("the port is free");
    let port = server.local_addr().expect("the socket is bound").port();
    let client = UdpSocket::bind("127.0.0.1:0").await.expect("the port is free");
    client.send_to(b"x", ("127.0.0.1", port)).await.expect("there is a route");
    let (_, from) = server.recv_from(&mut [0; 4]).await.expect("a datagram");
    assert_eq!(from.ip().to_string(), "::ffff:127.0.0.1");
    server.send_to(b"y", from).await.expect("there is a route");
    assert_eq!(client.recv(&mut [0; 4]).await.expect("a datagram"), 1);
}

async fn ttl_is_kept_within_its_limits() {
    let (near, _far) = pair().await;
    assert_eq!(near.ttl().expect("the socket is open"), 64);
    near.set_ttl(255).expect("the most");
    assert_eq!(near.ttl().expect("the socket is open"), 255);
    for wrong in [0, 256, u32::MAX - 1] {
        assert_eq!(kind(near.set_ttl(wrong)), "InvalidInput 22", "{wrong}");
    }
    assert_eq!(near.ttl().expect("the socket is open"), 255);
    for any in ["127.0.0.1:0", "[::1]:0"] {
        let socket = UdpSocket::bind(any).await.expect("the port is free");
        assert_eq!(socket.ttl().expect("the socket is bound"), 64);
        socket.set_ttl(3).expect("within the limits");
        assert_eq!(socket.ttl().expect("the socket is bound"), 3);
    }
}

async fn ttl_is_inherited_by_connections() {
    let (listener, address) = listener().await;
    listener.set_ttl(9).expect("within the limits");
    assert_eq!(listener.ttl().expect("listening"), 9);
    let near = TcpStream::connect(address).await.expect("it listens");
    let (far, _) = listener.accept().await.expect("a connection");
    assert_eq!(
        (near.ttl().expect("the socket is open"), far.ttl().expect("the socket is open")),
        (64, 9)
    );
}

async fn tos_is_kept() {
    let socket = TcpSocket::new_v4().expect("a socket");
    assert_eq!(socket.tos_v4().expect("a socket"), 0);
    // The lowest two bits are TCP's own.
    socket.set_tos_v4(0x13).expect("a socket");
    assert_eq!(socket.tos_v4().expect("a socket"), 0x10);
    let (one, _, _, _) = datagram_pair().await;
    one.set_tos_v4(0x113).expect("the socket is bound");
    assert_eq!(one.tos_v4().expect("the socket is bound"), 0x13);
}

async fn tclass_is_for_ipv6_only() {
    let socket = TcpSocket::new_v6().expect("a socket");
    assert_eq!(socket.tclass_v6().expect("a socket"), 0);
    socket.set_tclass_v6(0x2b).expect("a socket");
    assert_eq!(socket.tclass_v6().expect("a socket"), 0x28);
    assert_eq!(kind(socket.set_tclass_v6(256)), "InvalidInput 22");
    let socket = TcpSocket::new_v4().expect("a socket");
    assert_eq!(kind(socket.tclass_v6()), "Unsupported 95");
    assert_eq!(kind(socket.set_tclass_v6(1)), "Uncategorized 92");
    let socket = UdpSocket::bind("[::1]:0").await.expect("the port is free");
    socket.set_tclass_v6(0x2b).expect("the socket is bound");
    assert_eq!(socket.tclass_v6().expect("the socket is bound"), 0x2b);
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("the port is free");
    assert_eq!(kind(socket.set_tclass_v6(1)), "Uncategorized 92");
}

async fn quickack_can_be_set() {
    let (near, mut far) = pair().await;
    near.set_quickack(true).expect("the socket is open");
    assert!(near.quickack().expect("the socket is open"));
    far.write_all(b"x").await.expect("the socket is open");
    near.readable().await.expect("a byte");
    near.set_quickack(false).expect("the socket is open");
    assert!(!near.quickack().expect("the socket is open"));
}

async fn options_are_read_back() {
    let (_listener, address) = listener().await;
    let socket = TcpSocket::new_v4().expect("a socket");
    assert!(socket.take_error().expect("a socket").is_none());
    assert_eq!(socket.linger().expect("a socket"), None);
    socket.set_zero_linger().expect("a socket");
    socket.set_nodelay(true).expect("a socket");
    let near = socket.connect(address).await.expect("it listens");
    assert!(near.nodelay().expect("the socket is open"));
    assert_eq!(near.linger().expect("the socket is open"), Some(std::time::Duration::ZERO));
    assert!(near.take_error().expect("the socket is open").is_none());
    let own: &TcpStream = near.as_ref();
    assert_eq!(own.peer_addr().expect("the socket is open"), address);
}
