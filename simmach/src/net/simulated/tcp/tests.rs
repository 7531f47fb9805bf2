//! Tests with one script for each behaviour. The transitions of RFC 9293's figure 5 are in `transitions`.

mod closing;
mod data;
mod interop;
mod opening;
mod streams;
mod transitions;

use crate::net::simulated::tcp::config::TcpConfig;

fn linux() -> TcpConfig {
    TcpConfig::new()
}
