//! Compares the simulated network with Linux's. Every scenario is compiled against simmach and
//! against tokio, and must pass everywhere.
//!
//! On simmach's modules, a scenario runs in the simulation and, with the feature `real`, on the
//! real kernel. On tokio's modules, it runs in a guest. In the simulation, it runs with a hundred
//! seeds on one machine's loopback, and must leave no socket, port or timer. Behaviour that takes a
//! kernel minutes, such as timeouts and TIME-WAIT, is tested in
//! `simmach/src/net/simulated/tcp/tests` instead.

#![allow(clippy::duplicate_mod, reason = "the same sources run on each kind of sockets")]

/// Defines two tests for each scenario: `simulated::…` and `real::…`.
macro_rules! everywhere {
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

mod on_simmach;

/// Defines a test for each scenario: `guest::…`.
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
macro_rules! everywhere {
    ($($scenario:ident),* $(,)?) => {
        mod guest {
            $(#[simmach::sim_test]
            async fn $scenario(sim: simmach::Sim) {
                super::$scenario().await;
                $crate::leftovers::nothing_is_left(&sim).await;
            })*
        }
    };
}

#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod on_tokio;

#[cfg(target_os = "linux")]
mod api;
mod leftovers;

/// Runs a scenario on the kernel.
#[cfg(target_os = "linux")]
fn run_for_real(scenario: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(scenario);
}
