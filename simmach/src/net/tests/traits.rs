//! Tests that the handles implement the expected traits.

use crate::net::tcp::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::net::{TcpListener, TcpSocket, TcpStream, UdpSocket, lookup_host};

fn is_free<T: Send + Sync + Unpin + std::fmt::Debug>() {}

fn is_send<T: Send>(_: &T) {}

#[test]
fn handles_and_futures_are_send() {
    is_free::<TcpListener>();
    is_free::<TcpStream>();
    is_free::<OwnedReadHalf>();
    is_free::<OwnedWriteHalf>();
    is_free::<ReadHalf<'_>>();
    is_free::<WriteHalf<'_>>();
    is_free::<UdpSocket>();
    is_free::<TcpSocket>();
    is_send(&TcpStream::connect("c.west:80"));
    is_send(&TcpStream::connect(String::from("c.west:80")));
    is_send(&TcpListener::bind(("0.0.0.0", 80)));
    is_send(&lookup_host("c.west:80"));
    is_send(&async {
        let listener = TcpListener::bind("0.0.0.0:80").await?;
        let (stream, _) = listener.accept().await?;
        stream.readable().await?;
        stream.writable().await?;
        stream.peek(&mut [0]).await
    });
}

#[test]
fn handles_have_the_traits_of_futures() {
    fn reads<T: futures::AsyncRead>() {}
    fn writes<T: futures::AsyncWrite>() {}
    reads::<TcpStream>();
    reads::<&TcpStream>();
    reads::<ReadHalf<'_>>();
    reads::<OwnedReadHalf>();
    writes::<TcpStream>();
    writes::<&TcpStream>();
    writes::<WriteHalf<'_>>();
    writes::<OwnedWriteHalf>();
}

#[cfg(feature = "tokio-io")]
#[test]
fn handles_have_the_traits_of_tokio() {
    use std::future::poll_fn;
    use std::pin::Pin;

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use crate::net::rig::Cluster;
    use crate::net::tests::streams::pair;

    fn reads<T: AsyncRead>() {}
    fn writes<T: AsyncWrite>() {}
    reads::<ReadHalf<'_>>();
    reads::<&TcpStream>();
    writes::<WriteHalf<'_>>();
    writes::<&TcpStream>();
    Cluster::new().run(|| async {
        let (mut near, far) = pair().await;
        let (mut far_reads, mut far_writes) = far.into_split();
        let sent = poll_fn(|cx| AsyncWrite::poll_write(Pin::new(&mut near), cx, b"hello")).await;
        assert_eq!(sent.expect("open"), 5);
        let mut space = [0; 8];
        let mut buf = ReadBuf::new(&mut space);
        poll_fn(|cx| AsyncRead::poll_read(Pin::new(&mut far_reads), cx, &mut buf))
            .await
            .expect("open");
        assert_eq!(buf.filled(), b"hello");
        poll_fn(|cx| AsyncWrite::poll_flush(Pin::new(&mut far_writes), cx)).await.expect("open");
        poll_fn(|cx| AsyncWrite::poll_shutdown(Pin::new(&mut far_writes), cx)).await.expect("open");
        let mut buf = ReadBuf::new(&mut space);
        poll_fn(|cx| AsyncRead::poll_read(Pin::new(&mut near), cx, &mut buf)).await.expect("open");
        assert!(buf.filled().is_empty(), "the end");
    });
}
