//! The attribute's tests, run by libtest.
#![deny(missing_docs, unused, unreachable_pub, unused_qualifications)]
#![forbid(unsafe_code)]

mod attribute;
