//! The scenarios on the simulated network.

use simmach::{
    io::{Interest, Ready},
    net, sim_test as scenario, task, time,
};

#[path = "scenarios/accepting.rs"]
mod accepting;
#[path = "scenarios/binding.rs"]
mod binding;
#[path = "scenarios/connecting.rs"]
mod connecting;
#[path = "scenarios/datagrams.rs"]
mod datagrams;
#[path = "scenarios/ends.rs"]
mod ends;
#[path = "scenarios/halves.rs"]
mod halves;
#[path = "scenarios/helpers.rs"]
mod helpers;
#[path = "scenarios/options.rs"]
mod options;
#[path = "scenarios/readiness.rs"]
mod readiness;
#[path = "scenarios/streams.rs"]
mod streams;
