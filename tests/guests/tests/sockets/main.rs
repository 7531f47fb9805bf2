//! Sockets of guests: Unix sockets, options, and what std and tokio make of them.

#[cfg(target_os = "linux")]
mod both_ways;
#[cfg(target_os = "linux")]
mod ip;
#[cfg(target_os = "linux")]
mod unix;
mod unix_on_tokio;
