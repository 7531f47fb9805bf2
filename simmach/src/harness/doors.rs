//! How the harness is called: by libtest (`plain`) or by `simmach::main!` (`trials`), with the command line and the
//! environment as a configuration.

mod arguments;
pub(crate) mod plain;
pub(crate) mod session;
pub(crate) mod trials;
