//! Helpers of the harness's unit tests: hand-made tests, a stand-in for `run::run`, temporary folders.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::engine::context::RunStatus;
use crate::engine::draws::overlay::Overlay;
use crate::engine::failure::verdict::{Failure, FailureKind, Verdict};
use crate::harness::Runner;
use crate::harness::workers::disk::{Folder, FolderError};
use crate::harness::workers::in_process::InProcess;
use crate::harness::workers::launch::{Launcher, StartError};
use crate::harness::workers::pool::Pool;
use crate::outcome::{Keep, Outcome};
use crate::spec::{Settings, SimTest, Spec};

/// Creates a test with this name. [`STAND_IN`] decides what it does.
pub(crate) fn named(module_path: &'static str, name: &'static str) -> &'static SimTest {
    with(module_path, name, |_| {})
}

/// Creates a test and applies `change` to its fields.
pub(crate) fn with(
    module_path: &'static str,
    name: &'static str,
    change: impl FnOnce(&mut SimTest),
) -> &'static SimTest {
    let mut test = SimTest {
        name,
        module_path,
        package: "some-package",
        target: "some_target",
        manifest_dir: "/nowhere",
        file: "tests/some_target.rs",
        line: 1,
        ignore: None,
        should_panic: None,
        settings: Settings::new,
        spec: no_spec,
    };
    change(&mut test);
    Box::leak(Box::new(test))
}

fn no_spec() -> Spec {
    unreachable!("the stand-in builds no cluster")
}

/// Stand-in for a run. The test's name and the seed decide whether it fails.
pub(crate) const STAND_IN: Runner = stand_in;

fn stand_in(test: &SimTest, seed: u64, _: &Overlay, keep: Keep, status: Arc<RunStatus>) -> Outcome {
    let fails = |message: String| Verdict::Failed(Failure::new(FailureKind::Panic, message));
    let verdict = match test.name {
        "fails_from_400" if seed >= 400 => fails(format!("seed {seed} is too much")),
        "fails_at_sevens" if seed % 7 == 6 => fails("a seven".to_owned()),
        "breaks_at_5" if seed == 5 => Verdict::Broken("the disk is full".to_owned()),
        name if name.starts_with("is_alone") => {
            static AT_WORK: AtomicBool = AtomicBool::new(false);
            let is_alone = !AT_WORK.swap(true, Ordering::SeqCst);
            pause(2);
            AT_WORK.store(false, Ordering::SeqCst);
            if is_alone { Verdict::Passed } else { fails("not alone".to_owned()) }
        }
        "takes_its_time" => {
            pause(20);
            Verdict::Passed
        }
        "hangs_at_3" if seed == 3 => {
            status.begin_poll(crate::engine::ids::MachineId(0), 42);
            pause(100_000);
            Verdict::Passed
        }
        _ => Verdict::Passed,
    };
    let mut outcome = Outcome::without_a_run(seed, verdict);
    outcome.threads_left = u64::from(test.name == "leaves_threads_at_sevens" && seed % 7 == 6);
    outcome.trace_hash = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    outcome.virtual_nanos = 1_000_000_000 + seed;
    outcome.polls = seed;
    assert!(!(keep.log && keep.events), "never both in a test");
    outcome
}

#[expect(clippy::disallowed_methods, reason = "it stands in for a run that takes real time")]
pub(crate) fn pause(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

/// Creates a pool that executes runs in this process and cannot start fresh processes.
pub(crate) fn in_process_pool(scratch: &Scratch, test: &'static SimTest) -> Pool {
    let root = scratch.path().to_owned();
    let create_folder =
        Box::new(move || Folder::create(&root).map(Arc::new).map_err(FolderError::Unusable));
    let tests: &'static [_] = Box::leak(Box::new([test]));
    let in_process =
        InProcess::new(tests, STAND_IN, create_folder, Duration::from_secs(100), |_| {});
    let start = Arc::new(|_: bool| Err(StartError::Worker("not in this test".to_owned())));
    Pool::in_process(in_process, tests, Launcher { start, show_output: false })
}

/// A temporary folder of one test.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("harness-test-{}-{nth}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a temporary folder can be made");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
