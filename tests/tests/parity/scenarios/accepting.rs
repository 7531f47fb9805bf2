//! Listeners at work.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    helpers::{kind, listener, nobody, pause, waits},
    net::TcpStream,
    task,
};

both_ways! {
    connections_are_accepted_in_their_order,
    an_accept_that_is_given_up_loses_nothing,
    two_tasks_may_accept,
    what_was_not_accepted_is_reset_with_its_listener,
    what_was_accepted_outlives_its_listener,
    a_connection_that_was_closed_in_the_queue_is_still_accepted,
    a_connection_that_was_reset_in_the_queue_is_accepted_and_tells_it,
    a_hundred_connections_at_once,
    a_proxy_passes_both_directions_and_both_ends,
    a_task_that_connects_in_vain_may_try_again,
}

async fn connections_are_accepted_in_their_order() {
    let (listener, address) = listener().await;
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(TcpStream::connect(address).await.expect("it listens"));
    }
    for stream in &streams {
        let (_, from) = listener.accept().await.expect("a connection");
        assert_eq!(from, stream.local_addr().expect("open"));
    }
}

async fn an_accept_that_is_given_up_loses_nothing() {
    let (listener, address) = listener().await;
    assert!(waits(listener.accept()).await);
    let near = TcpStream::connect(address).await.expect("it listens");
    let (_, from) = listener.accept().await.expect("a connection");
    assert_eq!(from, near.local_addr().expect("open"));
}

async fn two_tasks_may_accept() {
    let (listener, address) = listener().await;
    let connects = task::spawn(async move {
        let one = TcpStream::connect(address).await.expect("it listens");
        let two = TcpStream::connect(address).await.expect("it listens");
        pause().await;
        (one, two)
    });
    let (one, two) = futures::join!(listener.accept(), listener.accept());
    assert_ne!(one.expect("a connection").1, two.expect("a connection").1);
    connects.await.expect("it ends well");
}

async fn what_was_not_accepted_is_reset_with_its_listener() {
    let (listener, address) = listener().await;
    let mut near = TcpStream::connect(address).await.expect("it listens");
    drop(listener);
    pause().await;
    assert_eq!(kind(near.read(&mut [0; 8]).await), "ConnectionReset 104");
}

async fn what_was_accepted_outlives_its_listener() {
    let (listener, address) = listener().await;
    let mut near = TcpStream::connect(address).await.expect("it listens");
    let (mut far, _) = listener.accept().await.expect("a connection");
    drop(listener);
    pause().await;
    near.write_all(b"still here").await.expect("open");
    let mut buf = [0; 10];
    far.read_exact(&mut buf).await.expect("open");
    assert_eq!(&buf, b"still here");
}

async fn a_connection_that_was_closed_in_the_queue_is_still_accepted() {
    let (listener, address) = listener().await;
    drop(TcpStream::connect(address).await.expect("it listens"));
    pause().await;
    let (mut far, _) = listener.accept().await.expect("a connection");
    assert_eq!(far.read(&mut [0; 8]).await.expect("the end"), 0);
}

async fn a_connection_that_was_reset_in_the_queue_is_accepted_and_tells_it() {
    let (listener, address) = listener().await;
    let near = TcpStream::connect(address).await.expect("it listens");
    near.set_zero_linger().expect("open");
    drop(near);
    pause().await;
    let (mut far, _) = listener.accept().await.expect("a connection");
    assert_eq!(kind(far.read(&mut [0; 8]).await), "ConnectionReset 104");
}

async fn a_hundred_connections_at_once() {
    let (listener, address) = listener().await;
    let server = task::spawn(async move {
        for _ in 0..100 {
            let (mut far, _) = listener.accept().await.expect("a connection");
            task::spawn(async move {
                let (mut reads, mut writes) = far.split();
                tokio::io::copy(&mut reads, &mut writes).await.expect("an orderly end");
            });
        }
    });
    let clients = (0..100_u8).map(|n| async move {
        let mut near = TcpStream::connect(address).await.expect("it listens");
        near.write_all(&[n; 100]).await.expect("open");
        near.shutdown().await.expect("open");
        let mut bytes = Vec::new();
        near.read_to_end(&mut bytes).await.expect("an orderly end");
        assert_eq!(bytes, [n; 100]);
    });
    futures::future::join_all(clients).await;
    server.await.expect("it ends well");
}

async fn a_proxy_passes_both_directions_and_both_ends() {
    let (origin, at) = listener().await;
    let (proxy, address) = listener().await;
    let served = task::spawn(async move {
        let (mut far, _) = origin.accept().await.expect("a connection");
        let mut question = Vec::new();
        far.read_to_end(&mut question).await.expect("an orderly end");
        far.write_all(b"answer").await.expect("open");
        question
    });
    let passed = task::spawn(async move {
        let (mut inner, _) = proxy.accept().await.expect("a connection");
        let mut outer = TcpStream::connect(at).await.expect("it listens");
        tokio::io::copy_bidirectional(&mut inner, &mut outer).await.expect("orderly ends")
    });
    let mut near = TcpStream::connect(address).await.expect("it listens");
    near.write_all(b"question").await.expect("open");
    near.shutdown().await.expect("open");
    let mut answer = Vec::new();
    near.read_to_end(&mut answer).await.expect("an orderly end");
    assert_eq!(answer, b"answer");
    assert_eq!(served.await.expect("it ends well"), b"question");
    assert_eq!(passed.await.expect("it ends well"), (8, 6));
}

async fn a_task_that_connects_in_vain_may_try_again() {
    let address = nobody().await;
    for _ in 0..3 {
        assert_eq!(kind(TcpStream::connect(address).await), "ConnectionRefused 111");
    }
    let listener = super::net::TcpListener::bind(address).await.expect("a free port");
    TcpStream::connect(address).await.expect("it listens now");
    listener.accept().await.expect("a connection");
}
