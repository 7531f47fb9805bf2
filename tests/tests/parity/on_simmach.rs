//! Compiles the scenarios against simmach's modules.

use simmach::{
    io::{Interest, Ready},
    net, task, time,
};

#[path = "scenarios/mod.rs"]
mod scenarios;
