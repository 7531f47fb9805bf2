//! Entry points of the harness: libtest calls one (`libtest`), `simmach::main!` the other
//! (`main_macro`). Also the command line, and the session that all tests of a process share.

mod arguments;
pub(crate) mod libtest;
pub(crate) mod main_macro;
pub(crate) mod session;
