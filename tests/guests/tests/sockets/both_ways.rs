//! Runs scenarios both on Linux and on a guest's thread; the results must be equal.

use std::io;

/// Defines two tests for each scenario: `real::…` and `guest::…`.
macro_rules! both_ways {
    ($($scenario:ident),* $(,)?) => {
        mod real {
            $(#[test]
            fn $scenario() {
                super::$scenario();
            })*
        }

        mod guest {
            $(#[simmach::sim_test(seeds = 20, check = true)]
            async fn $scenario() {
                let done = tokio::task::spawn_blocking(super::$scenario).await;
                done.expect("no panic");
            })*
        }
    };
}

pub(crate) use both_ways;

/// Returns the error number of a call that fails.
pub(crate) fn code<T: std::fmt::Debug>(result: io::Result<T>) -> i32 {
    result.expect_err("an error").raw_os_error().expect("an error of the system")
}
