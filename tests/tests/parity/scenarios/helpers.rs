//! Helpers for the scenarios: listeners, and pairs of connected sockets.

use std::{fmt::Debug, io, net::SocketAddr, time::Duration};

use super::{
    net::{TcpListener, TcpStream, UdpSocket},
    time::{sleep, timeout},
};

/// Returns a listener on loopback, and its address.
pub(crate) async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("the port is free");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

/// Returns both ends of a connection: first the end that connected.
pub(crate) async fn pair() -> (TcpStream, TcpStream) {
    let (listener, address) = listener().await;
    let near = TcpStream::connect(address).await.expect("it listens");
    let (far, _) = listener.accept().await.expect("a connection");
    (near, far)
}

/// Returns a connection that its peer has reset.
pub(crate) async fn reset() -> TcpStream {
    let (near, far) = pair().await;
    far.set_zero_linger().expect("it is open");
    drop(far);
    pause().await;
    near
}

/// Returns two sockets on loopback, each with its address.
pub(crate) async fn datagram_pair() -> (UdpSocket, SocketAddr, UdpSocket, SocketAddr) {
    let one = UdpSocket::bind("127.0.0.1:0").await.expect("the port is free");
    let two = UdpSocket::bind("127.0.0.1:0").await.expect("the port is free");
    let (here, there) = (
        one.local_addr().expect("the socket is bound"),
        two.local_addr().expect("the socket is bound"),
    );
    (one, here, two, there)
}

/// A loopback address with a free port.
pub(crate) async fn nobody() -> SocketAddr {
    listener().await.1
}

/// Waits long enough for all packets to arrive.
pub(crate) async fn pause() {
    sleep(Duration::from_millis(100)).await;
}

/// Whether a future is still not done after a while.
pub(crate) async fn waits<F: Future>(future: F) -> bool {
    timeout(Duration::from_millis(200), future).await.is_err()
}

/// Whether no bytes arrive at a stream for a while. Spurious readiness does not count.
pub(crate) async fn silent(stream: &TcpStream) -> bool {
    waits(stream.peek(&mut [0])).await
}

/// The error's kind, and its code if it has one, as a text: some kinds have no stable name.
pub(crate) fn kind<T: Debug>(result: io::Result<T>) -> String {
    let error = result.expect_err("an error");
    match error.raw_os_error() {
        Some(code) => format!("{:?} {code}", error.kind()),
        None => format!("{:?}", error.kind()),
    }
}
