//! Compares files of machines with files on Linux. The same calls are made in a run and in a real
//! folder, and must have the same results.

#![cfg(target_os = "linux")]

#[path = "files/cases.rs"]
mod cases;
#[path = "files/random.rs"]
mod random;
#[path = "files/results.rs"]
mod results;

use std::path::PathBuf;

use simmach::interpose::allow_files;
use simmach::sim_test;

/// The real folder of one test, which is deleted on drop.
struct RealFolder(PathBuf);

impl RealFolder {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let path = path.join(format!("{name}-{}", std::process::id()));
        allow_files(|| {
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir_all(&path).expect("a folder for the test");
        });
        Self(path)
    }
}

impl Drop for RealFolder {
    fn drop(&mut self) {
        allow_files(|| _ = std::fs::remove_dir_all(&self.0));
    }
}

/// Number of sequences in one run.
const SEQUENCES: u64 = 40;

#[sim_test(seeds = 25)]
async fn random_calls_have_the_results_of_linux(sim: simmach::Sim) {
    // SAFETY: the function has no preconditions.
    unsafe { libc::umask(0o022) };
    let real = RealFolder::new("random");
    let mut different = Vec::new();
    for number in 0..SEQUENCES {
        let seed = sim.seed() * SEQUENCES + number;
        let own = PathBuf::from(format!("/var/lib/{number}"));
        let there = real.0.join(number.to_string());
        let expected = allow_files(|| random::calls(&there, seed));
        let found = random::calls(&own, seed);
        assert_eq!(found.len(), expected.len());
        let differs = found.iter().zip(&expected).position(|(found, expected)| found != expected);
        if let Some(at) = differs {
            let (before, found) = (found[..at].join("\n"), &found[at]);
            let expected = &expected[at];
            let text = format!("{before}\nin a run: {found}\non Linux: {expected}");
            different.push(format!("sequence {seed}:\n{text}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n\n"));
}

#[sim_test(seeds = 1)]
async fn cases_have_the_results_of_linux() {
    let real = RealFolder::new("cases");
    for (name, case) in cases::ALL {
        let expected = allow_files(|| {
            let folder = real.0.join(name);
            std::fs::create_dir(&folder).expect("a folder for the case");
            case(&folder)
        });
        let folder = PathBuf::from("/var/lib").join(name);
        std::fs::create_dir(&folder).expect("a folder for the case");
        let found = case(&folder);
        assert_eq!(found, expected, "{name}");
    }
}
