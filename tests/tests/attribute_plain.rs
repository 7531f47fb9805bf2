//! Runs the tests of the attribute with libtest.
#![deny(missing_docs, unused, unreachable_pub, unused_qualifications)]
#![forbid(unsafe_code)]

mod attribute;
