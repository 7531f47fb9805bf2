//! Tests one service and one test body, compiled once, in the simulation and on the real machine.

use std::time::{Duration, Instant as RealInstant};

use futures::{AsyncReadExt, AsyncWriteExt};
use simmach::net::{TcpListener, TcpStream, UdpSocket};
use simmach::storage::types::{Bytes, U64};
use simmach::storage::{self, byteorder::BE};
use simmach::task::{self, JoinSet};
use simmach::time::{Instant, sleep, timeout};
use simmach::{BoxError, Result, rand, select, signal, sim_test};

use crate::{folder, run_for_real};

/// Stores words. Answers each word with the number of words stored so far.
async fn keeper(listener: TcpListener, store: &'static str) -> Result<(), BoxError> {
    let store = storage::open(store).await?;
    let stop = signal::token();
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = select! {
            accepted = listener.accept() => accepted?,
            () = stop.stopped() => break,
        };
        let store = store.clone();
        connections.spawn(async move {
            let (mut reads, mut writes) = stream.into_split();
            let mut word = [0; 8];
            while reads.read_exact(&mut word).await.is_ok() {
                let kept = store.write(move |txn| {
                    let words = txn.table::<U64<BE>, Bytes>("words")?;
                    let nth = words.len(txn)? + 1;
                    words.put(txn, &nth, &word)?;
                    Ok(nth)
                });
                let kept = kept.await.expect("there is room");
                writes.write_all(&kept.to_be_bytes()).await.expect("the socket is open");
            }
        });
    }
    connections.shutdown().await;
    Ok(())
}

/// Stores words by several clients at once.
async fn have_words_kept(at: &'static str, port: u16) -> Result<(), BoxError> {
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..3 {
        clients.spawn(async move {
            let mut stream = connect(at, port).await;
            let mut last = 0;
            for _ in 0..5 {
                stream.write_all(&rand::random().to_be_bytes()).await.expect("the socket is open");
                let mut kept = [0; 8];
                let read = stream.read_exact(&mut kept);
                timeout(Duration::from_secs(20), read)
                    .await
                    .expect("in time")
                    .expect("the socket is open");
                assert!(u64::from_be_bytes(kept) > last, "each is one more");
                last = u64::from_be_bytes(kept);
                sleep(Duration::from_millis(2)).await;
            }
            last
        });
    }
    let mut most = 0;
    while let Some(last) = clients.join_next().await {
        most = most.max(last.expect("the task does not panic"));
    }
    assert_eq!(most, 15);
    assert!(began.elapsed() >= Duration::from_millis(10));
    let refused = TcpStream::connect((at, port + 1)).await.expect_err("nobody is there");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    Ok(())
}

/// Connects, and tries again until the service listens.
async fn connect(at: &str, port: u16) -> TcpStream {
    loop {
        match TcpStream::connect((at, port)).await {
            Ok(stream) => return stream,
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn keeper_in_a_run() -> Result<(), BoxError> {
    keeper(TcpListener::bind("0.0.0.0:700").await?, "words").await
}

#[sim_test(seeds = 50, machines("keeper" => keeper_in_a_run))]
async fn in_a_run() -> Result<(), BoxError> {
    have_words_kept("keeper", 700).await
}

#[test]
fn in_the_real_world() {
    let folder = folder();
    run_for_real(async {
        // Finds a free port, which is likely to stay free until the service binds it.
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("the port is free");
        let port = listener.local_addr().expect("the socket is bound").port();
        let service = task::spawn(keeper(listener, "words"));
        have_words_kept("localhost", port).await.expect("it goes well");
        service.abort();
        assert!(service.await.expect_err("it was aborted").is_cancelled());
    });
    assert!(folder.join("words.mdb").metadata().expect("a file").len() > 0);
}

/// With both features, what is made in a run is simulated: no real hour passes this fast.
#[test]
fn a_run_stays_a_simulation() {
    let began = RealInstant::now();
    an_hour_passes();
    assert!(began.elapsed() < Duration::from_secs(60));
    let here = Instant::now();
    std::thread::sleep(Duration::from_millis(5));
    assert!(here.elapsed() >= Duration::from_millis(5), "outside it is real again");
}

#[sim_test(seeds = 1, time_limit = "2h", stall_limit = "2h")]
async fn an_hour_passes() {
    let began = Instant::now();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(began.elapsed(), Duration::from_secs(3600));
    assert!(task::spawn(async { TcpListener::bind("192.0.2.1:1").await }).await.is_ok());
    let socket = UdpSocket::bind("0.0.0.0:0").await.expect("the port is free");
    assert_eq!(
        socket.local_addr().expect("the socket is bound").port(),
        32_768,
        "the first of the simulated"
    );
}

#[test]
fn datagrams_names_and_halves() {
    run_for_real(async {
        let one = UdpSocket::bind(("localhost", 0)).await.expect("the port is free");
        let two = UdpSocket::bind("127.0.0.1:0").await.expect("the port is free");
        two.connect(one.local_addr().expect("the socket is bound"))
            .await
            .expect("there is a route");
        two.send(b"hello").await.expect("the socket has room");
        let mut buf = [0; 8];
        let (length, from) = one.recv_from(&mut buf).await.expect("a datagram");
        assert_eq!(
            (&buf[..length], from),
            (&b"hello"[..], two.local_addr().expect("the socket is bound"))
        );
        let found = simmach::net::lookup_host("localhost:80").await.expect("it has an address");
        assert!(found.into_iter().all(|address| address.ip().is_loopback()));
        assert!(TcpStream::connect("no port").await.is_err());
    });
}
