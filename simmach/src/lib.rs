//! A test harness for distributed systems.
//!
//! [`sim_test`] runs an async function with many seeds. Each run simulates a whole cluster within
//! one OS process and in virtual time. A run has machines, a network with realistic TCP, LMDB
//! storage on every machine, and plans that inject faults. The same seed always produces the same
//! run.
//!
//! The code under test is your production code. It may use tokio and any crate that is based on
//! tokio. A process that uses tokio is a *guest*: simmach gives the process its own runtime and
//! handles the system calls that tokio makes.
//!
//! # A first test
//!
#![cfg_attr(feature = "sim", doc = "```")]
#![cfg_attr(not(feature = "sim"), doc = "```text")]
//! use simmach::prelude::*;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tokio::net::{TcpListener, TcpStream};
//!
//! async fn echo() -> Result {
//!     let listener = TcpListener::bind("0.0.0.0:7").await?;
//!     loop {
//!         let (mut stream, _) = listener.accept().await?;
//!         let mut word = [0; 5];
//!         stream.read_exact(&mut word).await?;
//!         stream.write_all(&word).await?;
//!     }
//! }
//!
//! #[sim_test(machines("echo.zone" => echo))]
//! async fn echo_returns_what_was_sent() -> Result {
//!     let mut stream = TcpStream::connect("echo.zone:7").await?;
//!     stream.write_all(b"hello").await?;
//!     let mut word = [0; 5];
//!     stream.read_exact(&mut word).await?;
//!     assert_eq!(&word, b"hello");
//!     Ok(())
//! }
//! ```
//!
//! # Where things are
//!
//! | for | use |
//! |---|---|
//! | the test | [`sim_test`], [`Topology`], [`Sim`], [`prelude`] |
//! | the code under test | tokio, or [`net`], [`time`], [`task`], [`rand`], [`signal`], [`storage`]; where tokio has an equivalent, names are the same |
//! | faults | [`Swarm`], [`GracefulMonkey`], [`PowerOffs`], [`Partitions`], your own [`Plan`], and the [`net::NetworkProfile`] of links |
//!
//! The code under test does not use [`Sim`]. Its sockets, stores and other handles are `Send + Sync` and belong to its process.
//! When a process ends, only the data on the disk of its machine remains.
//!
//! # Features
//!
//! | feature | for |
//! |---|---|
//! | `sim`, on by default | the simulation and its harness |
//! | `modules` | what `sim` and `real` have in common; has no use by itself |
//! | `real` | the code under test outside a run: tokio, and LMDB in a real folder. Production builds enable only this |
//! | `tokio`, on by default | guests: processes that use tokio, and any crate built on tokio, as they do in production; needs 64-bit Linux with glibc |
//! | `tokio-io` | the traits of `tokio::io` on streams; implied by `tokio`, `real`, `hyper` and `quinn` |
//! | `hyper` | `compat::hyper`: an executor and a timer for hyper 1 |
//! | `hyper-util` | `compat::hyper_util`: a connector for the clients of hyper-util and tonic; implies `hyper` |
//! | `quinn` | `compat::quinn`: a runtime and sockets for quinn; implies `tokio-io` |
//!
//! Without features, the crate has only the modules [`role`] and [`point`], and no dependencies: libraries can use them.
//!
//! # What is not modelled
//!
//! The documentation of each module begins with its limits. In short, there is no SACK and no congestion control in TCP, no
//! torn or corrupt pages on disks, and no model of cores, caches or memory limits. simmach does not control the
//! threads that `interpose::allow_threads` permits, and clocks that code reads without the C library.

#![cfg_attr(
    not(feature = "sim"),
    allow(
        rustdoc::broken_intra_doc_links,
        reason = "links to items of the feature `sim` are broken without it"
    )
)]

#[cfg(any(feature = "sim", feature = "real"))]
#[macro_use]
mod dispatch;

#[cfg(feature = "sim")]
mod chaos;
#[cfg(feature = "sim")]
mod choice;
#[cfg(all(feature = "sim", target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod disk;
#[cfg(feature = "sim")]
mod disk_image;
#[cfg(feature = "sim")]
mod disk_profile;
#[cfg(feature = "sim")]
mod engine;
#[cfg(feature = "sim")]
mod harness;
#[cfg(feature = "sim")]
mod machine;
#[cfg(feature = "sim")]
mod mistakes;
#[cfg(feature = "sim")]
mod outcome;
#[cfg(any(feature = "sim", feature = "real"))]
mod panic_message;
#[cfg(feature = "sim")]
mod report;
#[cfg(feature = "sim")]
mod run;
#[cfg(feature = "sim")]
mod shrink;
#[cfg(feature = "sim")]
mod sim;
#[cfg(feature = "sim")]
mod spec;
#[cfg(all(feature = "sim", target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod system;

#[cfg(any(feature = "sim", feature = "real"))]
pub mod compat;
#[cfg(feature = "sim")]
pub mod guest;
#[cfg(feature = "sim")]
pub mod interpose;
#[cfg(any(feature = "sim", feature = "real"))]
pub mod io {
    //! Readiness of sockets, with the names of `tokio::io`. Streams implement the traits of `futures::io`, and with the feature
    //! `tokio` those of `tokio::io`.

    pub use crate::net::{Interest, Ready};
}
#[cfg(any(feature = "sim", feature = "real"))]
pub mod net;
pub mod point;
#[cfg(feature = "sim")]
pub mod prelude;
#[cfg(feature = "sim")]
pub mod program;
#[cfg(any(feature = "sim", feature = "real"))]
pub mod rand;
pub mod role;
#[cfg(any(feature = "sim", feature = "real"))]
pub mod signal;
#[cfg(any(feature = "sim", feature = "real"))]
pub mod storage;
#[cfg(any(feature = "sim", feature = "real"))]
pub mod task;
#[cfg(any(feature = "sim", feature = "real"))]
pub mod time;

#[cfg(feature = "sim")]
pub use crate::chaos::{
    Budget, Cadence, DurationRange, Fault, FaultPlan, GracefulMonkey, Hardship, Hit, InSequence,
    OneOf, Partitions, Plan, PowerOffs, RollingUpgrade, SideBySide, Swarm, Target, faults,
};
#[cfg(feature = "sim")]
pub use crate::choice::{SampleUniform, Step, Steps};
#[cfg(feature = "sim")]
pub use crate::disk_profile::{CrashProfile, DiskProfile};
#[cfg(feature = "sim")]
pub use crate::engine::time::machine_clocks::ClockSkew;
#[cfg(feature = "sim")]
pub use crate::machine::{OnExit, Selector, Termination};
#[cfg(feature = "sim")]
pub use crate::sim::{AtPoint, ControlError, DiskSnapshot, GRACE, Machine, Sim};
#[cfg(feature = "sim")]
pub use crate::spec::Topology;
#[cfg(feature = "sim")]
pub use simmach_macros::sim_test;

#[cfg(any(feature = "sim", feature = "real"))]
pub use futures::{join, try_join};

/// An error of any kind.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A result whose error type is [`BoxError`] by default.
pub type Result<T = (), E = BoxError> = std::result::Result<T, E>;

/// Defines the `main` of a test target with `harness = false`, which runs all its [`sim_test`]s and accepts the flags of libtest.
///
/// In other test targets it has no effect, since each test is a `#[test]` there.
#[cfg(feature = "sim")]
#[macro_export]
macro_rules! main {
    () => {
        fn main() -> ::std::process::ExitCode {
            $crate::__private::main()
        }
    };
}

/// Used by the expansion of macros. Not part of the public API.
#[doc(hidden)]
#[cfg(any(feature = "sim", feature = "real"))]
pub mod __private;

#[cfg(test)]
mod tests {
    /// The crate's documentation has a row for every feature of the manifest.
    #[test]
    fn features_are_all_documented() {
        let manifest = include_str!("../Cargo.toml");
        let (_, features) = manifest.split_once("[features]\n").expect("there is a section");
        let (features, _) = features.split_once("\n[").expect("it is not the last section");
        let names = features.lines().filter(|line| !line.starts_with([' ', '#', ']']));
        let names = names.filter_map(|line| Some(line.split_once(" = ")?.0));
        let names: Vec<&str> = names.filter(|name| *name != "default").collect();
        assert!(names.len() >= 4, "{names:?}");
        for name in names {
            let row = format!("\n//! | `{name}`");
            assert!(include_str!("lib.rs").contains(&row), "the feature `{name}` has no row");
        }
    }
}
