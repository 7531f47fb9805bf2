//! The attribute through libtest's door.
#![deny(missing_docs, unused, unreachable_pub, unused_qualifications)]
#![forbid(unsafe_code)]

mod attribute;
