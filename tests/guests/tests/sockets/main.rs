//! Tests the sockets of guests: Unix sockets, options, and the sockets of std and tokio.

#[cfg(target_os = "linux")]
mod both_ways;
#[cfg(target_os = "linux")]
mod ip;
#[cfg(target_os = "linux")]
mod unix;
mod unix_on_tokio;
