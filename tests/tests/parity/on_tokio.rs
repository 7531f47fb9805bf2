//! Compiles the scenarios against tokio's modules.

use tokio::{
    io::{Interest, Ready},
    net, task, time,
};

#[path = "scenarios/mod.rs"]
#[allow(deprecated, reason = "tokio warns of a drop that blocks")]
mod scenarios;
