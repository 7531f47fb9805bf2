//! The same code on the simulated network and on the kernel's own: every scenario is compiled once, against simmach, and must
//! see the same in both.
//!
//! In the simulation a scenario runs for a hundred seeds on one machine's loopback, and leaves no socket, port or timer; outside of it once, on tokio and the
//! kernel, through the feature `real`. What takes a kernel minutes (time-outs, TIME-WAIT) is not here but in the tests of
//! the state machine.

/// Makes two tests of each scenario that is named.
macro_rules! both_ways {
    ($($scenario:ident),* $(,)?) => {
        mod simulated {
            $(#[simmach::sim_test]
            async fn $scenario(sim: simmach::Sim) {
                super::$scenario().await;
                $crate::left::nothing_is_left(&sim).await;
            })*
        }

        #[cfg(target_os = "linux")]
        mod real {
            $(#[test]
            fn $scenario() {
                $crate::really(super::$scenario());
            })*
        }
    };
}

#[cfg(target_os = "linux")]
mod api;
mod left;
mod scenarios;

/// Runs a scenario on the kernel.
#[cfg(target_os = "linux")]
fn really(scenario: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(scenario);
}
