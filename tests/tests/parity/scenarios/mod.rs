//! The scenarios, by topic.

use super::{Interest, Ready, net, task, time};

mod accepting;
mod binding;
mod connecting;
mod datagrams;
mod ends;
mod halves;
mod helpers;
mod options;
mod rare_calls;
mod readiness;
mod streams;
