//! The HTTP client that nodes and [`Client`](crate::Client) use.

use std::sync::OnceLock;
use std::time::Duration;

/// Time limit for opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The user agent. All nodes of a process may share it, because it is the same for all of them.
/// Values that differ between nodes are never in a static.
fn user_agent() -> &'static str {
    static USER_AGENT: OnceLock<String> = OnceLock::new();
    USER_AGENT.get_or_init(|| format!("kv/{}", env!("CARGO_PKG_VERSION")))
}

/// Creates a client with its own connections.
pub(crate) fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .user_agent(user_agent())
        .connect_timeout(CONNECT_TIMEOUT)
        .no_proxy()
        .build()
}
