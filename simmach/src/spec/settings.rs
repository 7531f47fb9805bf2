//! Settings of a test that are the same for all runs: its name, its seeds, and the expected outcome.

use crate::engine::record::deviations::Size;
use crate::spec::Spec;

/// A registered test, which the macro generates.
#[derive(Debug)]
pub struct SimTest {
    /// The name of the function.
    pub name: &'static str,
    /// `module_path!()` of the function, beginning with the name of the crate.
    pub module_path: &'static str,
    /// The name of the package, `CARGO_PKG_NAME`.
    pub package: &'static str,
    /// The name of the test target, `CARGO_CRATE_NAME`.
    pub target: &'static str,
    /// The folder of `Cargo.toml`.
    pub manifest_dir: &'static str,
    /// The source file.
    pub file: &'static str,
    /// The line of the attribute.
    pub line: u32,
    /// `#[ignore]`: the reason, or `""` if there is none.
    pub ignore: Option<&'static str>,
    /// The arguments of `#[should_panic]`, if the test has this attribute.
    pub should_panic: Option<ShouldPanic>,
    /// Returns the settings.
    pub settings: fn() -> Settings,
    /// Builds the spec of a run, on the thread of the run.
    pub spec: fn() -> Spec,
}

/// `#[should_panic]`, optionally with an expected message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShouldPanic {
    /// A text that the failure message must contain. `None` accepts any failure of the program under test.
    pub expected: Option<&'static str>,
}

/// The seeds of a test, and the expected result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Number of seeds.
    pub seeds: u64,
    /// The first seed.
    pub base_seed: u64,
    /// Whether each seed is run twice to check that the runs are identical. `None` checks one seed in twenty.
    pub check: Option<bool>,
    /// Whether each run is executed by an OS process of its own.
    pub own_process: bool,
    /// Set if some seed must fail, with bounds on the shrunk failure.
    pub expect_failure: Option<ExpectFailure>,
}

/// `expect_failure`: some seed must fail, and the shrunk failure must not exceed these bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpectFailure {
    machines: Option<u64>,
    faults: Option<u64>,
    steps: Option<u64>,
    reorderings: Option<u64>,
}

impl SimTest {
    /// The name that a test runner shows: the module path without the crate, and the function.
    pub fn path(&self) -> String {
        match self.module_path.split_once("::") {
            Some((_, modules)) => format!("{modules}::{}", self.name),
            None => self.name.to_owned(),
        }
    }

    /// A unique name of the test: package, target and path.
    pub fn key(&self) -> String {
        format!("{}/{}/{}", self.package, self.target, self.path())
    }
}

impl Settings {
    /// Default number of seeds.
    pub const DEFAULT_SEEDS: u64 = 100;

    /// The default settings.
    pub fn new() -> Self {
        Self {
            seeds: Self::DEFAULT_SEEDS,
            base_seed: 0,
            check: None,
            own_process: false,
            expect_failure: None,
        }
    }

    /// Sets the number of seeds.
    #[must_use]
    pub fn seeds(mut self, seeds: u64) -> Self {
        self.seeds = seeds;
        self
    }

    /// Sets the first seed.
    #[must_use]
    pub fn base_seed(mut self, base: u64) -> Self {
        self.base_seed = base;
        self
    }

    /// Expects some seed to fail.
    #[must_use]
    pub fn expect_failure(mut self, expect: ExpectFailure) -> Self {
        self.expect_failure = Some(expect);
        self
    }

    /// Sets whether each seed is run twice to check that the runs are identical.
    #[must_use]
    pub fn check(mut self, every: bool) -> Self {
        self.check = Some(every);
        self
    }

    /// Sets whether each run is executed by an OS process of its own.
    #[must_use]
    pub fn own_process(mut self, own: bool) -> Self {
        self.own_process = own;
        self
    }
}

impl ExpectFailure {
    /// No bounds on the shrunk failure.
    pub fn new() -> Self {
        Self::default()
    }

    /// Maximum number of machines that are affected by faults.
    #[must_use]
    pub fn machines(mut self, max: u64) -> Self {
        self.machines = Some(max);
        self
    }

    /// Maximum number of faults: those of plans, and those of single packets.
    #[must_use]
    pub fn faults(mut self, max: u64) -> Self {
        self.faults = Some(max);
        self
    }

    /// Maximum number of steps.
    #[must_use]
    pub fn steps(mut self, max: u64) -> Self {
        self.steps = Some(max);
        self
    }

    /// Maximum number of reorderings, in which a task runs after a task that became ready later.
    #[must_use]
    pub fn reorderings(mut self, max: u64) -> Self {
        self.reorderings = Some(max);
        self
    }

    /// Returns whether there is any bound.
    pub(crate) fn has_bounds(&self) -> bool {
        [self.machines, self.faults, self.steps, self.reorderings].iter().any(Option::is_some)
    }

    /// Describes the bounds that `size` exceeds: `3 faults instead of at most 2`.
    pub(crate) fn exceeded(&self, size: &Size) -> Vec<String> {
        let bounds = [
            (self.machines, size.machines, "machine"),
            (self.faults, size.faults, "fault"),
            (self.steps, size.steps, "step"),
            (self.reorderings, size.reorderings, "reordering"),
        ];
        let exceeded = bounds.into_iter().filter_map(|(max, actual, unit)| {
            let max = max.filter(|max| actual > *max)?;
            let plural = if actual == 1 { "" } else { "s" };
            Some(format!("{actual} {unit}{plural} instead of at most {max}"))
        });
        exceeded.collect()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new()
    }
}
