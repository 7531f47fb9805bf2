//! Checks that a scenario leaves no socket, port or timer after its handles have been dropped.

use std::{mem, net::SocketAddr};

use simmach::{
    Sim,
    net::{TcpListener, TcpStream, UdpSocket},
    prelude::*,
    task,
    time::sleep,
};

/// Waits until the kernel has finished closing connections. Then checks that no socket, port or
/// timer is left.
pub(crate) async fn nothing_is_left(sim: &Sim) {
    // This is longer than TIME-WAIT, and longer than the kernel keeps orphans.
    sleep(20.mins()).await;
    let machine = sim.machine("client");
    let (sockets, ports) = (machine.sockets(), machine.ports());
    assert!(sockets.is_empty(), "sockets are left: {sockets:#?}");
    assert!(ports.is_empty(), "ports are left: {ports:?}");
    assert_eq!(sim.timers(), 0, "timers are left");
}

fn any() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

#[simmach::sim_test(seeds = 3)]
#[should_panic(expected = "sockets are left")]
async fn leftover_listener_is_found(sim: Sim) {
    mem::forget(TcpListener::bind(any()).await.expect("the port is free"));
    nothing_is_left(&sim).await;
}

#[simmach::sim_test(seeds = 3)]
#[should_panic(expected = "sockets are left")]
async fn leftover_stream_is_found(sim: Sim) {
    let listener = TcpListener::bind(any()).await.expect("the port is free");
    let address = listener.local_addr().expect("the socket is bound");
    mem::forget(TcpStream::connect(address).await.expect("it listens"));
    nothing_is_left(&sim).await;
}

#[simmach::sim_test(seeds = 3)]
#[should_panic(expected = "sockets are left")]
async fn leftover_datagram_socket_is_found(sim: Sim) {
    mem::forget(UdpSocket::bind(any()).await.expect("the port is free"));
    nothing_is_left(&sim).await;
}

#[simmach::sim_test(seeds = 3)]
#[should_panic(expected = "timers are left")]
async fn leftover_timer_is_found(sim: Sim) {
    task::spawn(sleep(2.hours()));
    nothing_is_left(&sim).await;
}
