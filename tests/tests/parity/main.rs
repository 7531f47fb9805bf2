//! The same code on the simulated network and on Linux's: every scenario is compiled once, against simmach, and must pass on
//! both.
//!
//! In the simulation a scenario runs with a hundred seeds on one machine's loopback, and must leave no socket, port or timer.
//! Outside of it runs once, on tokio and the kernel, through the feature `real`. Behaviour that takes a kernel minutes, such as
//! time-outs and TIME-WAIT, is tested in `simmach/src/net/simulated/tcp/tests` instead.

/// Makes two tests of each scenario: `simulated::…` and `real::…`.
macro_rules! both_ways {
    ($($scenario:ident),* $(,)?) => {
        mod simulated {
            $(#[simmach::sim_test]
            async fn $scenario(sim: simmach::Sim) {
                super::$scenario().await;
                $crate::leftovers::nothing_is_left(&sim).await;
            })*
        }

        #[cfg(target_os = "linux")]
        mod real {
            $(#[test]
            fn $scenario() {
                $crate::run_for_real(super::$scenario());
            })*
        }
    };
}

#[cfg(target_os = "linux")]
mod api;
mod leftovers;
mod scenarios;

/// Runs a scenario on the kernel.
#[cfg(target_os = "linux")]
fn run_for_real(scenario: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(scenario);
}
