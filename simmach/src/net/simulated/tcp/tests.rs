//! Tests of TCP, with one script for each behaviour. The transitions of figure 5 in RFC 9293 are in
//! `transitions`.

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
