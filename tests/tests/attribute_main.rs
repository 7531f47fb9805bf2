//! Runs the tests of the attribute with `simmach::main!()`.
#![deny(missing_docs, unused, unreachable_pub, unused_qualifications)]
#![forbid(unsafe_code)]

mod attribute;

simmach::main!();
