//! A test harness for distributed systems.
//!
//! [`sim_test`] turns one annotated async function into many seeded runs of a whole cluster, in one process and in
//! virtual time: machines, a network with real TCP behaviour, real LMDB storage on every machine, and plans that break
//! them. The same seed is the same run, always.
//!
//! # A first test
//!
#![cfg_attr(feature = "sim", doc = "```")]
#![cfg_attr(not(feature = "sim"), doc = "```text")]
//! use simmach::net::{TcpListener, TcpStream};
//! use simmach::prelude::*;
//! use futures::{AsyncReadExt, AsyncWriteExt};
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
//! #[sim_test(seeds = 100, machines("echo.zone" => echo))]
//! async fn what_is_said_comes_back() -> Result {
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
//! | for | there is |
//! |---|---|
//! | the test | [`sim_test`], [`Topology`], [`Sim`], [`prelude`] |
//! | the code under test | [`net`], [`time`], [`task`], [`rand`], [`signal`], [`storage`]: tokio's names where tokio has them |
//! | what breaks the cluster | [`GracefulMonkey`], [`PowerOffs`], [`Partitions`], any other [`Plan`], and the links' [`net::NetworkProfile`] |
//!
//! The code under test never sees [`Sim`]. Every handle it holds is `Send + Sync` and belongs to its process: a process
//! that is stopped, killed or without power leaves nothing behind but what its machine's disk holds.
//!
//! # Features
//!
//! | feature | for |
//! |---|---|
//! | `sim`, the default | the simulation and its harness |
//! | `real` | the code under test outside a run: tokio, and LMDB in a real folder. Production takes this alone |
//! | `tokio` | `tokio::io`'s traits on streams; `real` has them anyway |
//! | `hyper` | `compat::hyper`: the executor and the timer that hyper 1 asks for; it implies `tokio` |
//!
//! # What is not modelled
//!
//! Each module says so in its first paragraph. In short: no SACK and no congestion control in TCP; no torn pages or
//! decay on disks; no cores, caches or memory limits on machines; real threads, and clocks other than the run's.

#![cfg_attr(
    not(feature = "sim"),
    allow(rustdoc::broken_intra_doc_links, reason = "the simulation's own items are not there")
)]

#[cfg(any(feature = "sim", feature = "real"))]
#[macro_use]
mod dispatch;

#[cfg(feature = "sim")]
mod chaos;
#[cfg(feature = "sim")]
mod choice;
#[cfg(feature = "sim")]
mod engine;
#[cfg(feature = "sim")]
mod harness;
#[cfg(feature = "sim")]
mod machine;
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

#[cfg(any(feature = "sim", feature = "real"))]
pub mod compat;
#[cfg(feature = "sim")]
pub mod interpose;
#[cfg(any(feature = "sim", feature = "real"))]
pub mod io {
    //! What a socket can be waited for, by tokio's names; the traits are those of `futures::io`, and with the feature
    //! `tokio` those of `tokio::io`.

    pub use crate::net::{Interest, Ready};
}
#[cfg(any(feature = "sim", feature = "real"))]
pub mod net;
#[cfg(feature = "sim")]
pub mod prelude;
#[cfg(feature = "sim")]
pub mod program;
#[cfg(any(feature = "sim", feature = "real"))]
pub mod rand;
#[cfg(any(feature = "sim", feature = "real"))]
pub mod signal;
#[cfg(any(feature = "sim", feature = "real"))]
pub mod storage;
#[cfg(any(feature = "sim", feature = "real"))]
pub mod task;
#[cfg(any(feature = "sim", feature = "real"))]
pub mod time;

#[cfg(feature = "sim")]
pub use crate::chaos::{DurationRange, GracefulMonkey, Partitions, Plan, PowerOffs};
#[cfg(feature = "sim")]
pub use crate::choice::{Step, Steps, WholeNumber};
#[cfg(feature = "sim")]
pub use crate::engine::time::machine_clocks::ClockSkew;
#[cfg(feature = "sim")]
pub use crate::machine::{Ending, OnExit, Selector};
#[cfg(feature = "sim")]
pub use crate::sim::{ControlError, GRACE, Machine, Sim};
#[cfg(feature = "sim")]
pub use crate::spec::Topology;
#[cfg(feature = "sim")]
pub use simmach_macros::sim_test;

#[cfg(any(feature = "sim", feature = "real"))]
pub use futures::{join, try_join};

/// An error of any kind.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A result whose error is any, unless said.
pub type Result<T = (), E = BoxError> = std::result::Result<T, E>;

/// Makes a test file's `main` under `harness = false`: all its [`sim_test`]s, with the flags of libtest.
///
/// In any other test file it does nothing: there each test is a `#[test]` of its own.
#[cfg(feature = "sim")]
#[macro_export]
macro_rules! main {
    () => {
        fn main() -> ::std::process::ExitCode {
            $crate::__private::main()
        }
    };
}

/// The macro's only door. Not for use by hand: anything in it may change.
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
