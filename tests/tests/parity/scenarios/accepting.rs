//! Scenarios of accepting connections.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    helpers::{kind, listener, nobody, pause, waits},
    net::TcpStream,
    task,
};

everywhere! {
    accept_keeps_the_order_of_connections,
    accept_that_is_cancelled_loses_nothing,
    accept_by_two_tasks,
    drop_of_a_listener_resets_its_queue,
    drop_of_a_listener_keeps_accepted_connections,
    accept_of_a_connection_closed_in_the_queue,
    accept_of_a_connection_reset_in_the_queue,
    accept_of_a_hundred_connections_at_once,
    proxy_forwards_both_directions_and_their_ends,
    connect_can_be_retried_by_a_task,
}

async fn accept_keeps_the_order_of_connections() {
    let (listener, address) = listener().await;
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(TcpStream::connect(address).await.expect("it listens"));
    }
    for stream in &streams {
        let (_, from) = listener.accept().await.expect("a connection");
        assert_eq!(from, stream.local_addr().expect("the socket is open"));
    }
}

async fn accept_that_is_cancelled_loses_nothing() {
    let (listener, address) = listener().await;
    assert!(waits(listener.accept()).await);
    let near = TcpStream::connect(address).await.expect("it listens");
    let (_, from) = listener.accept().await.expect("a connection");
    assert_eq!(from, near.local_addr().expect("the socket is open"));
}

async fn accept_by_two_tasks() {
    let (listener, address) = listener().await;
    let connects = task::spawn(async move {
        let one = TcpStream::connect(address).await.expect("it listens");
        let two = TcpStream::connect(address).await.expect("it listens");
        pause().await;
        (one, two)
    });
    let (one, two) = futures::join!(listener.accept(), listener.accept());
    assert_ne!(one.expect("a connection").1, two.expect("a connection").1);
    connects.await.expect("the task does not panic");
}

async fn drop_of_a_listener_resets_its_queue() {
    let (listener, address) = listener().await;
    let mut near = TcpStream::connect(address).await.expect("it listens");
    drop(listener);
    pause().await;
    assert_eq!(kind(near.read(&mut [0; 8]).await), "ConnectionReset 104");
}

async fn drop_of_a_listener_keeps_accepted_connections() {
    let (listener, address) = listener().await;
    let mut near = TcpStream::connect(address).await.expect("it listens");
    let (mut far, _) = listener.accept().await.expect("a connection");
    drop(listener);
    pause().await;
    near.write_all(b"still here").await.expect("the socket is open");
    let mut buf = [0; 10];
    far.read_exact(&mut buf).await.expect("the socket is open");
    assert_eq!(&buf, b"still here");
}

async fn accept_of_a_connection_closed_in_the_queue() {
    let (listener, address) = listener().await;
    drop(TcpStream::connect(address).await.expect("it listens"));
    pause().await;
    let (mut far, _) = listener.accept().await.expect("a connection");
    assert_eq!(far.read(&mut [0; 8]).await.expect("the stream ends"), 0);
}

async fn accept_of_a_connection_reset_in_the_queue() {
    let (listener, address) = listener().await;
    let near = TcpStream::connect(address).await.expect("it listens");
    near.set_zero_linger().expect("the socket is open");
    drop(near);
    pause().await;
    let (mut far, _) = listener.accept().await.expect("a connection");
    assert_eq!(kind(far.read(&mut [0; 8]).await), "ConnectionReset 104");
}

async fn accept_of_a_hundred_connections_at_once() {
    let (listener, address) = listener().await;
    let server = task::spawn(async move {
        for _ in 0..100 {
            let (mut far, _) = listener.accept().await.expect("a connection");
            task::spawn(async move {
                let (mut reads, mut writes) = far.split();
                tokio::io::copy(&mut reads, &mut writes)
                    .await
                    .expect("the stream ends without an error");
            });
        }
    });
    let clients = (0..100_u8).map(|n| async move {
        let mut near = TcpStream::connect(address).await.expect("it listens");
        near.write_all(&[n; 100]).await.expect("the socket is open");
        near.shutdown().await.expect("the socket is open");
        let mut bytes = Vec::new();
        near.read_to_end(&mut bytes).await.expect("the stream ends without an error");
        assert_eq!(bytes, [n; 100]);
    });
    futures::future::join_all(clients).await;
    server.await.expect("the task does not panic");
}

async fn proxy_forwards_both_directions_and_their_ends() {
    let (origin, at) = listener().await;
    let (proxy, address) = listener().await;
    let served = task::spawn(async move {
        let (mut far, _) = origin.accept().await.expect("a connection");
        let mut question = Vec::new();
        far.read_to_end(&mut question).await.expect("the stream ends without an error");
        far.write_all(b"answer").await.expect("the socket is open");
        question
    });
    let passed = task::spawn(async move {
        let (mut inner, _) = proxy.accept().await.expect("a connection");
        let mut outer = TcpStream::connect(at).await.expect("it listens");
        tokio::io::copy_bidirectional(&mut inner, &mut outer).await.expect("orderly ends")
    });
    let mut near = TcpStream::connect(address).await.expect("it listens");
    near.write_all(b"question").await.expect("the socket is open");
    near.shutdown().await.expect("the socket is open");
    let mut answer = Vec::new();
    near.read_to_end(&mut answer).await.expect("the stream ends without an error");
    assert_eq!(answer, b"answer");
    assert_eq!(served.await.expect("the task does not panic"), b"question");
    assert_eq!(passed.await.expect("the task does not panic"), (8, 6));
}

async fn connect_can_be_retried_by_a_task() {
    let address = nobody().await;
    for _ in 0..3 {
        assert_eq!(kind(TcpStream::connect(address).await), "ConnectionRefused 111");
    }
    let listener = super::net::TcpListener::bind(address).await.expect("the port is free");
    TcpStream::connect(address).await.expect("it listens now");
    listener.accept().await.expect("a connection");
}
