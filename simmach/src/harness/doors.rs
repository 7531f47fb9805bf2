//! Entry points: called by libtest (`libtest`) or by `simmach::main!` (`main_macro`), with the command line and the session
//! that all tests of a process share.

mod arguments;
pub(crate) mod libtest;
pub(crate) mod main_macro;
pub(crate) mod session;
