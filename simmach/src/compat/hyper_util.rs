//! A connector for the clients of hyper-util and tonic.
//!
//! ```
//! use hyper_util::client::legacy::Client;
//! use simmach::compat::hyper::{Executor, Timer};
//! use simmach::compat::hyper_util::Connector;
//! # async fn of() -> simmach::Result {
//! let mut builder = Client::builder(Executor);
//! let client = builder.pool_timer(Timer).build::<_, String>(Connector);
//! let answer = client.get("http://api1.public:8080/health".parse()?).await?;
//! # let _ = answer;
//! # Ok(())
//! # }
//! ```
//!
//! For tonic, pass the connector to `Endpoint::connect_with_connector`.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tower_service::Service;

use crate::net::TcpStream;

/// Opens a [`TcpStream`] to the host and port of a URI. The default port is 443 for `https` and `wss`, and 80 for other
/// schemes. The connector does not open a TLS session.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connector;

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<TcpStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(async move {
            let (host, port) = host_and_port(&uri)?;
            let stream = TcpStream::connect((host, port)).await?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(stream))
        })
    }
}

impl Connection for TcpStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

/// Returns the host of a URI, without the brackets of an IPv6 address, and the port.
fn host_and_port(uri: &Uri) -> io::Result<(&str, u16)> {
    let host = uri.host().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("the URI `{uri}` has no host"))
    })?;
    let port = uri.port_u16().unwrap_or(match uri.scheme_str() {
        Some("https" | "wss") => 443,
        _ => 80,
    });
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    Ok((bare.unwrap_or(host), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_follows_from_the_scheme() {
        for (uri, host, port) in [
            ("http://api1.public/x", "api1.public", 80),
            ("https://api1.public/x", "api1.public", 443),
            ("http://api1.public:8080", "api1.public", 8_080),
            ("http://[fd00::1]:9/", "fd00::1", 9),
        ] {
            let uri: Uri = uri.parse().expect("a URI");
            assert_eq!(host_and_port(&uri).expect("it has a host"), (host, port));
        }
        let error = host_and_port(&Uri::from_static("/x")).expect_err("it has no host");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
