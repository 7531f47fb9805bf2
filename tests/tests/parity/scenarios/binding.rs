//! Listeners' addresses and ports.

use tokio::io::AsyncReadExt;

use super::{
    helpers::{kind, listener, pair, pause},
    net::{TcpListener, TcpStream},
};

both_ways! {
    an_address_has_one_listener,
    all_addresses_are_taken_by_one,
    one_address_is_taken_by_all,
    ipv4_is_taken_by_all_ipv6,
    the_families_have_ports_of_their_own,
    port_zero_is_any_that_is_free,
    a_listener_tells_what_it_is_bound_to,
    another_machine_s_address_is_not_available,
    a_port_is_free_when_its_listener_is_gone,
    time_wait_does_not_keep_a_listener_away,
    an_open_connection_does_not_keep_a_listener_away,
    a_connecting_socket_keeps_its_port_from_listeners,
}

async fn an_address_has_one_listener() {
    let (_listener, address) = listener().await;
    assert_eq!(kind(TcpListener::bind(address).await), "AddrInUse 98");
}

async fn all_addresses_are_taken_by_one() {
    let (_listener, address) = listener().await;
    assert_eq!(kind(TcpListener::bind(("0.0.0.0", address.port())).await), "AddrInUse 98");
}

async fn one_address_is_taken_by_all() {
    let listener = TcpListener::bind("0.0.0.0:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    assert_eq!(kind(TcpListener::bind(("127.0.0.1", port)).await), "AddrInUse 98");
}

async fn ipv4_is_taken_by_all_ipv6() {
    let listener = TcpListener::bind("[::]:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    assert_eq!(kind(TcpListener::bind(("127.0.0.1", port)).await), "AddrInUse 98");
    assert_eq!(kind(TcpListener::bind(("0.0.0.0", port)).await), "AddrInUse 98");
}

async fn the_families_have_ports_of_their_own() {
    let (_listener, address) = listener().await;
    TcpListener::bind(("::1", address.port())).await.expect("another family's");
}

async fn port_zero_is_any_that_is_free() {
    let (one, two) = (listener().await, listener().await);
    assert_ne!(one.1.port(), 0);
    assert_ne!(one.1.port(), two.1.port());
}

async fn a_listener_tells_what_it_is_bound_to() {
    let listener = TcpListener::bind("0.0.0.0:0").await.expect("a free port");
    assert_eq!(listener.local_addr().expect("bound").ip().to_string(), "0.0.0.0");
    let listener = TcpListener::bind("[::]:0").await.expect("a free port");
    assert_eq!(listener.local_addr().expect("bound").ip().to_string(), "::");
}

async fn another_machine_s_address_is_not_available() {
    assert_eq!(kind(TcpListener::bind("192.0.2.1:0").await), "AddrNotAvailable 99");
}

async fn a_port_is_free_when_its_listener_is_gone() {
    let (listener, address) = listener().await;
    drop(listener);
    TcpListener::bind(address).await.expect("free again");
}

async fn time_wait_does_not_keep_a_listener_away() {
    let (listener, address) = listener().await;
    let mut near = TcpStream::connect(address).await.expect("it listens");
    let (far, _) = listener.accept().await.expect("a connection");
    // The listener's side closes first and so has the TIME-WAIT.
    drop(far);
    assert_eq!(near.read(&mut [0; 8]).await.expect("the end"), 0);
    drop(near);
    drop(listener);
    pause().await;
    TcpListener::bind(address).await.expect("TIME-WAIT is no obstacle");
}

async fn an_open_connection_does_not_keep_a_listener_away() {
    let (listener, address) = listener().await;
    let near = TcpStream::connect(address).await.expect("it listens");
    let (far, _) = listener.accept().await.expect("a connection");
    drop(listener);
    let again = TcpListener::bind(address).await.expect("the port is to be had");
    let _ = TcpStream::connect(address).await.expect("it listens");
    let (_, from) = again.accept().await.expect("a connection");
    assert_ne!(from, near.local_addr().expect("open"));
    drop(far);
}

async fn a_connecting_socket_keeps_its_port_from_listeners() {
    let (near, _far) = pair().await;
    let own = near.local_addr().expect("open");
    assert_eq!(kind(TcpListener::bind(own).await), "AddrInUse 98");
}
