//! Scenarios of splitting a stream into halves.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    helpers::{kind, pair, pause, silent},
    task,
};

everywhere! {
    drop_of_the_write_half_shuts_its_direction,
    drop_of_the_read_half_shuts_nothing,
    drop_of_both_halves_closes_the_stream,
    forget_of_the_write_half_shuts_nothing,
    reunite_of_halves_of_one_stream,
    reunite_of_halves_of_two_streams_fails,
    halves_in_two_tasks,
    borrowed_halves_can_be_shut,
    addresses_of_halves,
}

async fn drop_of_the_write_half_shuts_its_direction() {
    let (near, mut far) = pair().await;
    let (mut reads, writes) = near.into_split();
    drop(writes);
    assert_eq!(far.read(&mut [0; 8]).await.expect("the stream ends"), 0);
    far.write_all(b"back").await.expect("the socket is open");
    let mut buf = [0; 4];
    reads.read_exact(&mut buf).await.expect("the socket is open");
    assert_eq!(&buf, b"back");
}

async fn drop_of_the_read_half_shuts_nothing() {
    let (near, mut far) = pair().await;
    let (reads, mut writes) = near.into_split();
    drop(reads);
    far.write_all(b"unread").await.expect("the socket is open");
    writes.write_all(b"still").await.expect("the socket is open");
    let mut buf = [0; 5];
    far.read_exact(&mut buf).await.expect("the socket is open");
    assert!(silent(&far).await);
}

async fn drop_of_both_halves_closes_the_stream() {
    let (near, mut far) = pair().await;
    let (reads, writes) = near.into_split();
    far.write_all(b"unread").await.expect("the socket is open");
    pause().await;
    drop((writes, reads));
    pause().await;
    assert_eq!(far.read(&mut [0; 8]).await.expect("its FIN went first"), 0);
    assert_eq!(kind(far.write(b"x").await), "BrokenPipe 32");
}

async fn forget_of_the_write_half_shuts_nothing() {
    let (near, far) = pair().await;
    let (_reads, writes) = near.into_split();
    writes.forget();
    assert!(silent(&far).await);
}

async fn reunite_of_halves_of_one_stream() {
    let (near, mut far) = pair().await;
    let (reads, writes) = near.into_split();
    let mut near = reads.reunite(writes).expect("of one stream");
    near.write_all(b"whole").await.expect("the socket is open");
    far.read_exact(&mut [0; 5]).await.expect("the socket is open");
    assert!(silent(&far).await);
}

async fn reunite_of_halves_of_two_streams_fails() {
    let (near, far) = pair().await;
    let (reads, own) = near.into_split();
    let (_, other) = far.into_split();
    let error = reads.reunite(other).expect_err("another's");
    let text = error.to_string();
    assert_eq!(text, "tried to reunite halves that are not from the same socket");
    error.0.reunite(own).expect("of one stream");
}

async fn halves_in_two_tasks() {
    let (near, far) = pair().await;
    let (mut reads, mut writes) = near.into_split();
    let (mut far_reads, mut far_writes) = far.into_split();
    task::spawn(async move {
        tokio::io::copy(&mut far_reads, &mut far_writes)
            .await
            .expect("the stream ends without an error");
    });
    let writer = task::spawn(async move {
        for n in 0..100_u32 {
            writes.write_u32(n).await.expect("the socket is open");
        }
    });
    for n in 0..100 {
        assert_eq!(reads.read_u32().await.expect("the socket is open"), n);
    }
    writer.await.expect("the task does not panic");
    assert_eq!(reads.read(&mut [0; 8]).await.expect("the stream ends"), 0);
}

async fn borrowed_halves_can_be_shut() {
    let (mut near, mut far) = pair().await;
    {
        let (_reads, mut writes) = near.split();
        writes.write_all(b"all").await.expect("the socket is open");
        writes.shutdown().await.expect("the socket is open");
    }
    let mut bytes = Vec::new();
    far.read_to_end(&mut bytes).await.expect("the stream ends without an error");
    assert_eq!(bytes, b"all");
    far.write_all(b"back").await.expect("the socket is open");
    near.read_exact(&mut [0; 4]).await.expect("the socket is open");
}

async fn addresses_of_halves() {
    let (near, far) = pair().await;
    let (reads, writes) = near.into_split();
    assert_eq!(
        reads.local_addr().expect("the socket is open"),
        far.peer_addr().expect("the socket is open")
    );
    assert_eq!(
        writes.peer_addr().expect("the socket is open"),
        far.local_addr().expect("the socket is open")
    );
}
