//! Behaviour of the sockets that users hold, through the whole simulated network.

mod basics;
mod binding;
mod captures;
mod codes;
mod datagrams;
mod faults;
mod listening;
mod streams;
mod traits;
