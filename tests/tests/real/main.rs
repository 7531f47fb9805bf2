//! Tests real mode: outside a run, the same modules are those of tokio, and storage is LMDB in a
//! real folder.
#![cfg(unix)]
#![allow(clippy::disallowed_methods, reason = "what is real is measured in real time")]

mod both;
mod child;
mod instants;
mod intervals;
mod outputs;
mod storage;
mod tasks;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;

/// Runs a body outside any run, on a new tokio runtime.
fn run_for_real<R>(body: impl Future<Output = R>) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime.expect("a runtime"), body)
}

/// Returns this process's folder for stores, which is initially empty.
fn folder() -> PathBuf {
    static ONCE: Once = Once::new();
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("real-{}", std::process::id()));
    ONCE.call_once(|| {
        let _ = fs::remove_dir_all(&folder);
        simmach::storage::set_folder(&folder);
    });
    folder
}
