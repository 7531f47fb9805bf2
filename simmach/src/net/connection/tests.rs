//! One script a behaviour, then one a transition of RFC 9293's figure 5.

mod closing;
mod data;
mod opening;

use crate::net::config::TcpConfig;

fn linux() -> TcpConfig {
    TcpConfig::new()
}
