//! Tests of the public sockets on the simulated network.

mod basics;
mod binding;
mod captures;
mod codes;
mod datagrams;
mod faults;
mod listening;
mod streams;
mod traits;
