//! Entry points of the harness: one is called by libtest (`libtest`), one by `simmach::main!` (`main_macro`). Also the
//! command line, and the session that all tests of a process share.

mod arguments;
pub(crate) mod libtest;
pub(crate) mod main_macro;
pub(crate) mod session;
