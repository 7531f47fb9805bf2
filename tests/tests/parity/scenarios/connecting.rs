//! Scenarios of connecting and looking up names.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    helpers::{kind, listener, nobody, pair, pause, silent},
    net::{TcpListener, TcpStream, lookup_host},
};

everywhere! {
    connect_to_a_closed_port_is_refused,
    connect_needs_no_accept,
    bytes_sent_before_the_accept_are_read_after_it,
    addresses_of_both_ends_agree,
    connect_to_the_unspecified_address_is_to_loopback,
    connect_tries_the_next_address_after_a_refusal,
    connect_returns_the_last_of_several_errors,
    connect_without_an_address_is_invalid_input,
    lookup_of_localhost,
    lookup_of_an_address_is_the_address,
    connect_to_ipv6_loopback,
    connect_by_ipv4_to_all_ipv6_has_a_mapped_address,
    connect_by_ipv6_to_ipv4_is_refused,
    ports_of_connections_differ,
    idle_connection_stays_open,
}

async fn connect_to_a_closed_port_is_refused() {
    assert_eq!(kind(TcpStream::connect(nobody().await).await), "ConnectionRefused 111");
}

async fn connect_needs_no_accept() {
    let (_listener, address) = listener().await;
    let stream = TcpStream::connect(address).await.expect("its kernel answers");
    assert_eq!(stream.peer_addr().expect("the socket is open"), address);
}

async fn bytes_sent_before_the_accept_are_read_after_it() {
    let (listener, address) = listener().await;
    let mut near = TcpStream::connect(address).await.expect("it listens");
    near.write_all(b"early").await.expect("the socket is open");
    drop(near);
    pause().await;
    let (mut far, _) = listener.accept().await.expect("a connection");
    let mut bytes = Vec::new();
    far.read_to_end(&mut bytes).await.expect("the stream ends without an error");
    assert_eq!(bytes, b"early");
}

async fn addresses_of_both_ends_agree() {
    let (listener, address) = listener().await;
    let near = TcpStream::connect(address).await.expect("it listens");
    let (far, from) = listener.accept().await.expect("a connection");
    assert_eq!(near.local_addr().expect("the socket is open"), from);
    assert_eq!(far.peer_addr().expect("the socket is open"), from);
    assert_eq!(far.local_addr().expect("the socket is open"), address);
    assert_eq!(near.peer_addr().expect("the socket is open"), address);
}

async fn connect_to_the_unspecified_address_is_to_loopback() {
    let (_listener, address) = listener().await;
    let stream = TcpStream::connect(("0.0.0.0", address.port())).await.expect("it listens");
    assert_eq!(stream.peer_addr().expect("the socket is open"), address);
}

async fn connect_tries_the_next_address_after_a_refusal() {
    let closed = nobody().await;
    let (_listener, open) = listener().await;
    let stream = TcpStream::connect(&[closed, open][..]).await.expect("one listens");
    assert_eq!(stream.peer_addr().expect("the socket is open"), open);
}

async fn connect_returns_the_last_of_several_errors() {
    let (one, two) = (nobody().await, nobody().await);
    assert_eq!(kind(TcpStream::connect(&[one, two][..]).await), "ConnectionRefused 111");
}

async fn connect_without_an_address_is_invalid_input() {
    let nothing: &[SocketAddr] = &[];
    assert_eq!(kind(TcpStream::connect(nothing).await), "InvalidInput");
    assert_eq!(kind(TcpStream::connect("127.0.0.1").await), "InvalidInput");
    assert_eq!(kind(TcpStream::connect("127.0.0.1:port").await), "InvalidInput");
    assert_eq!(kind(TcpStream::connect("127.0.0.1:99999").await), "InvalidInput");
}

async fn lookup_of_localhost() {
    let (_listener, address) = listener().await;
    TcpStream::connect(("localhost", address.port())).await.expect("it listens");
    TcpStream::connect(format!("localhost:{}", address.port())).await.expect("it listens");
}

async fn lookup_of_an_address_is_the_address() {
    let found: Vec<_> = lookup_host("127.0.0.1:80").await.expect("an address").collect();
    assert_eq!(found, ["127.0.0.1:80".parse().expect("an address")]);
    let found: Vec<_> = lookup_host(("::1", 80)).await.expect("an address").collect();
    assert_eq!(found, ["[::1]:80".parse().expect("an address")]);
}

async fn connect_to_ipv6_loopback() {
    let listener = TcpListener::bind("[::1]:0").await.expect("the port is free");
    let address = listener.local_addr().expect("the socket is bound");
    let near = TcpStream::connect(address).await.expect("it listens");
    let (_, from) = listener.accept().await.expect("a connection");
    assert!(address.is_ipv6() && from.is_ipv6());
    assert_eq!(near.local_addr().expect("the socket is open"), from);
}

async fn connect_by_ipv4_to_all_ipv6_has_a_mapped_address() {
    let listener = TcpListener::bind("[::]:0").await.expect("the port is free");
    let port = listener.local_addr().expect("the socket is bound").port();
    let near = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    let (far, from) = listener.accept().await.expect("a connection");
    assert_eq!(from.ip().to_string(), "::ffff:127.0.0.1");
    assert_eq!(
        far.local_addr().expect("the socket is open").to_string(),
        format!("[::ffff:127.0.0.1]:{port}")
    );
    assert_eq!(
        near.peer_addr().expect("the socket is open").to_string(),
        format!("127.0.0.1:{port}")
    );
}

async fn connect_by_ipv6_to_ipv4_is_refused() {
    let listener = TcpListener::bind("0.0.0.0:0").await.expect("the port is free");
    let port = listener.local_addr().expect("the socket is bound").port();
    assert_eq!(kind(TcpStream::connect(("::1", port)).await), "ConnectionRefused 111");
}

async fn ports_of_connections_differ() {
    let (listener, address) = listener().await;
    let mut ports = Vec::new();
    let mut kept = Vec::new();
    for _ in 0..10 {
        let near = TcpStream::connect(address).await.expect("it listens");
        let (far, from) = listener.accept().await.expect("a connection");
        ports.push(from.port());
        kept.push((near, far));
    }
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 10);
}

async fn idle_connection_stays_open() {
    let (near, far) = pair().await;
    pause().await;
    assert!(silent(&near).await && silent(&far).await);
}
