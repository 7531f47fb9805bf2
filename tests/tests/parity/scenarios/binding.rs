//! Scenarios of binding listeners to addresses and ports.

use tokio::io::AsyncReadExt;

use super::{
    helpers::{kind, listener, pair, pause},
    net::{TcpListener, TcpStream},
};

everywhere! {
    bind_of_an_address_in_use_fails,
    bind_of_all_addresses_conflicts_with_one,
    bind_of_one_address_conflicts_with_all,
    bind_of_ipv4_conflicts_with_all_ipv6,
    bind_of_one_port_in_both_families,
    bind_to_port_zero_takes_a_free_port,
    local_address_of_a_listener,
    bind_of_a_foreign_address_is_not_available,
    bind_after_the_listener_is_dropped,
    bind_succeeds_beside_time_wait,
    bind_succeeds_beside_an_open_connection,
    bind_of_a_connecting_socket_s_port_fails,
}

async fn bind_of_an_address_in_use_fails() {
    let (_listener, address) = listener().await;
    assert_eq!(kind(TcpListener::bind(address).await), "AddrInUse 98");
}

async fn bind_of_all_addresses_conflicts_with_one() {
    let (_listener, address) = listener().await;
    assert_eq!(kind(TcpListener::bind(("0.0.0.0", address.port())).await), "AddrInUse 98");
}

async fn bind_of_one_address_conflicts_with_all() {
    let listener = TcpListener::bind("0.0.0.0:0").await.expect("the port is free");
    let port = listener.local_addr().expect("the socket is bound").port();
    assert_eq!(kind(TcpListener::bind(("127.0.0.1", port)).await), "AddrInUse 98");
}

async fn bind_of_ipv4_conflicts_with_all_ipv6() {
    let listener = TcpListener::bind("[::]:0").await.expect("the port is free");
    let port = listener.local_addr().expect("the socket is bound").port();
    assert_eq!(kind(TcpListener::bind(("127.0.0.1", port)).await), "AddrInUse 98");
    assert_eq!(kind(TcpListener::bind(("0.0.0.0", port)).await), "AddrInUse 98");
}

async fn bind_of_one_port_in_both_families() {
    let (_listener, address) = listener().await;
    TcpListener::bind(("::1", address.port())).await.expect("another family's");
}

async fn bind_to_port_zero_takes_a_free_port() {
    let (one, two) = (listener().await, listener().await);
    assert_ne!(one.1.port(), 0);
    assert_ne!(one.1.port(), two.1.port());
}

async fn local_address_of_a_listener() {
    let listener = TcpListener::bind("0.0.0.0:0").await.expect("the port is free");
    assert_eq!(listener.local_addr().expect("the socket is bound").ip().to_string(), "0.0.0.0");
    let listener = TcpListener::bind("[::]:0").await.expect("the port is free");
    assert_eq!(listener.local_addr().expect("the socket is bound").ip().to_string(), "::");
}

async fn bind_of_a_foreign_address_is_not_available() {
    assert_eq!(kind(TcpListener::bind("192.0.2.1:0").await), "AddrNotAvailable 99");
}

async fn bind_after_the_listener_is_dropped() {
    let (listener, address) = listener().await;
    drop(listener);
    TcpListener::bind(address).await.expect("free again");
}

async fn bind_succeeds_beside_time_wait() {
    let (listener, address) = listener().await;
    let mut near = TcpStream::connect(address).await.expect("it listens");
    let (far, _) = listener.accept().await.expect("a connection");
    // The listener's side closes first and so has the TIME-WAIT.
    drop(far);
    assert_eq!(near.read(&mut [0; 8]).await.expect("the stream ends"), 0);
    drop(near);
    drop(listener);
    pause().await;
    TcpListener::bind(address).await.expect("TIME-WAIT is no obstacle");
}

async fn bind_succeeds_beside_an_open_connection() {
    let (listener, address) = listener().await;
    let near = TcpStream::connect(address).await.expect("it listens");
    let (far, _) = listener.accept().await.expect("a connection");
    drop(listener);
    let again = TcpListener::bind(address).await.expect("the port is to be had");
    let _ = TcpStream::connect(address).await.expect("it listens");
    let (_, from) = again.accept().await.expect("a connection");
    assert_ne!(from, near.local_addr().expect("the socket is open"));
    drop(far);
}

async fn bind_of_a_connecting_socket_s_port_fails() {
    let (near, _far) = pair().await;
    let own = near.local_addr().expect("the socket is open");
    assert_eq!(kind(TcpListener::bind(own).await), "AddrInUse 98");
}
