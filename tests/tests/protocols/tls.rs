//! Tests TLS with tokio-rustls and ring's cryptography.
//!
//! The server's certificate is self-signed. The certificate and its key are only for this test. The
//! certificate is valid from 2025 to 2045, by the run's clock.

use std::sync::Arc;

use simmach::net::{TcpListener, TcpStream};
use simmach::prelude::*;
use simmach::task::spawn;
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, client};

use crate::helpers::{content, mobile, nothing_is_left};

const CERTIFICATE: &[u8] = include_bytes!("cert.pem");
const KEY: &[u8] = include_bytes!("key.pem");

/// Echoes data until the end of the stream.
async fn echo() -> Result {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::from_pem_slice(KEY)?)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("0.0.0.0:443").await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let accepting = acceptor.accept(stream);
        spawn(async {
            // A client that does not trust this server sends an alert and closes.
            let Ok(mut stream) = accepting.await else { return };
            let mut buffer = vec![0; 4096];
            loop {
                match stream.read(&mut buffer).await.expect("a client that closes in order") {
                    0 => break,
                    n => stream.write_all(&buffer[..n]).await.expect("a client that reads"),
                }
            }
            stream.shutdown().await.expect("a client that is there to the end");
        });
    }
}

async fn connect(name: &'static str) -> Result<client::TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CERTIFICATE)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect("server.public:443").await?;
    let connector = TlsConnector::from(Arc::new(config));
    Ok(connector.connect(ServerName::try_from(name)?, stream).await?)
}

/// Keys, nonces and times come from the seed: `check` runs each seed twice.
#[sim_test(seeds = 50, topology = mobile().machine("server.public", echo), client = "phone.mobile", check = true)]
async fn tls_echo_returns_what_was_sent(sim: Sim) -> Result {
    let stream = connect("server.public").await?;
    let (mut read, mut write) = split(stream);
    let sent = content(sim.random_range(1..40_000), sim.seed());
    let expected = sent.clone();
    let sending = spawn(async move {
        write.write_all(&sent).await?;
        write.shutdown().await
    });
    let mut back = Vec::new();
    read.read_to_end(&mut back).await?;
    assert!(back == expected, "{} bytes came back, of {}", back.len(), expected.len());
    sending.await??;
    drop(read);
    nothing_is_left(sim).await
}

#[sim_test(seeds = 5, topology = mobile().machine("server.public", echo), client = "phone.mobile")]
async fn tls_certificate_of_another_name_is_rejected(sim: Sim) -> Result {
    let error = connect("other.public").await.expect_err("it is not the server's name");
    assert!(error.to_string().contains("not valid for name"), "{error}");
    nothing_is_left(sim).await
}

/// A certificate's validity goes by the run's clock.
#[sim_test(
    seeds = 5,
    topology = mobile().machine("server.public", echo),
    client = "phone.mobile",
    epoch = "2050-01-01T00:00:00Z",
)]
async fn tls_certificate_expires_in_virtual_time(sim: Sim) -> Result {
    let error = connect("server.public").await.expect_err("it is of long ago");
    assert!(error.to_string().contains("expired"), "{error}");
    nothing_is_left(sim).await
}
