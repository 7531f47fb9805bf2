//! Connects, and what becomes of them.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    helpers::{kind, listener, nobody, pair, pause, silent},
    net::{TcpListener, TcpStream, lookup_host},
};

both_ways! {
    where_nobody_listens_it_is_refused,
    a_connect_needs_no_accept,
    what_is_sent_before_the_accept_is_there_after_it,
    both_ends_agree_on_their_addresses,
    to_nowhere_in_particular_is_to_oneself,
    the_next_address_is_tried_when_one_refuses,
    of_several_refusals_the_last_is_told,
    no_address_is_no_input,
    localhost_is_a_name,
    an_address_looks_up_as_itself,
    loopback_has_ipv6,
    ipv4_comes_to_a_listener_of_all_ipv6_as_mapped,
    ipv6_does_not_come_to_a_listener_of_ipv4,
    each_connection_has_its_own_port,
    a_connection_that_nobody_uses_stays,
}

async fn where_nobody_listens_it_is_refused() {
    assert_eq!(kind(TcpStream::connect(nobody().await).await), "ConnectionRefused 111");
}

async fn a_connect_needs_no_accept() {
    let (_listener, address) = listener().await;
    let stream = TcpStream::connect(address).await.expect("its kernel answers");
    assert_eq!(stream.peer_addr().expect("open"), address);
}

async fn what_is_sent_before_the_accept_is_there_after_it() {
    let (listener, address) = listener().await;
    let mut near = TcpStream::connect(address).await.expect("it listens");
    near.write_all(b"early").await.expect("open");
    drop(near);
    pause().await;
    let (mut far, _) = listener.accept().await.expect("a connection");
    let mut bytes = Vec::new();
    far.read_to_end(&mut bytes).await.expect("an orderly end");
    assert_eq!(bytes, b"early");
}

async fn both_ends_agree_on_their_addresses() {
    let (listener, address) = listener().await;
    let near = TcpStream::connect(address).await.expect("it listens");
    let (far, from) = listener.accept().await.expect("a connection");
    assert_eq!(near.local_addr().expect("open"), from);
    assert_eq!(far.peer_addr().expect("open"), from);
    assert_eq!(far.local_addr().expect("open"), address);
    assert_eq!(near.peer_addr().expect("open"), address);
}

async fn to_nowhere_in_particular_is_to_oneself() {
    let (_listener, address) = listener().await;
    let stream = TcpStream::connect(("0.0.0.0", address.port())).await.expect("it listens");
    assert_eq!(stream.peer_addr().expect("open"), address);
}

async fn the_next_address_is_tried_when_one_refuses() {
    let closed = nobody().await;
    let (_listener, open) = listener().await;
    let stream = TcpStream::connect(&[closed, open][..]).await.expect("one listens");
    assert_eq!(stream.peer_addr().expect("open"), open);
}

async fn of_several_refusals_the_last_is_told() {
    let (one, two) = (nobody().await, nobody().await);
    assert_eq!(kind(TcpStream::connect(&[one, two][..]).await), "ConnectionRefused 111");
}

async fn no_address_is_no_input() {
    let nothing: &[SocketAddr] = &[];
    assert_eq!(kind(TcpStream::connect(nothing).await), "InvalidInput");
    assert_eq!(kind(TcpStream::connect("127.0.0.1").await), "InvalidInput");
    assert_eq!(kind(TcpStream::connect("127.0.0.1:port").await), "InvalidInput");
    assert_eq!(kind(TcpStream::connect("127.0.0.1:99999").await), "InvalidInput");
}

async fn localhost_is_a_name() {
    let (_listener, address) = listener().await;
    TcpStream::connect(("localhost", address.port())).await.expect("it listens");
    TcpStream::connect(format!("localhost:{}", address.port())).await.expect("it listens");
}

async fn an_address_looks_up_as_itself() {
    let found: Vec<_> = lookup_host("127.0.0.1:80").await.expect("an address").collect();
    assert_eq!(found, ["127.0.0.1:80".parse().expect("an address")]);
    let found: Vec<_> = lookup_host(("::1", 80)).await.expect("an address").collect();
    assert_eq!(found, ["[::1]:80".parse().expect("an address")]);
}

async fn loopback_has_ipv6() {
    let listener = TcpListener::bind("[::1]:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let near = TcpStream::connect(address).await.expect("it listens");
    let (_, from) = listener.accept().await.expect("a connection");
    assert!(address.is_ipv6() && from.is_ipv6());
    assert_eq!(near.local_addr().expect("open"), from);
}

async fn ipv4_comes_to_a_listener_of_all_ipv6_as_mapped() {
    let listener = TcpListener::bind("[::]:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let near = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    let (far, from) = listener.accept().await.expect("a connection");
    assert_eq!(from.ip().to_string(), "::ffff:127.0.0.1");
    assert_eq!(far.local_addr().expect("open").to_string(), format!("[::ffff:127.0.0.1]:{port}"));
    assert_eq!(near.peer_addr().expect("open").to_string(), format!("127.0.0.1:{port}"));
}

async fn ipv6_does_not_come_to_a_listener_of_ipv4() {
    let listener = TcpListener::bind("0.0.0.0:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    assert_eq!(kind(TcpStream::connect(("::1", port)).await), "ConnectionRefused 111");
}

async fn each_connection_has_its_own_port() {
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

async fn a_connection_that_nobody_uses_stays() {
    let (near, far) = pair().await;
    pause().await;
    assert!(silent(&near).await && silent(&far).await);
}
