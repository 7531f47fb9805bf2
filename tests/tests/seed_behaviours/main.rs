//! What the simulation that simmach starts from held to in its own tests, held to here: a test for each behaviour.

mod engine;
mod network;
mod playground;
mod promises;
mod runtime;

simmach::main!();
