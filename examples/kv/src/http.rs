//! The HTTP client of nodes and of [`Client`](crate::Client).

use std::sync::OnceLock;
use std::time::Duration;

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How this program names itself. It is the same for all nodes, so they may share it: what differs between nodes is never in
/// a static.
fn user_agent() -> &'static str {
    static USER_AGENT: OnceLock<String> = OnceLock::new();
    USER_AGENT.get_or_init(|| format!("kv/{}", env!("CARGO_PKG_VERSION")))
}

/// A client with its own connections.
pub(crate) fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .user_agent(user_agent())
        .connect_timeout(CONNECT_TIMEOUT)
        .no_proxy()
        .build()
}
