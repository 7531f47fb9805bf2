//! What the attribute says of a test before any run of it: its name, its seeds, what it expects.

use crate::engine::record::deviations::Size;
use crate::spec::Spec;

/// One registered test. The macro writes these; everything in it is the same for all runs.
#[derive(Debug)]
pub struct SimTest {
    /// The function's name.
    pub name: &'static str,
    /// `module_path!()` where it stands, the crate's name first.
    pub module_path: &'static str,
    /// The package, `CARGO_PKG_NAME`.
    pub package: &'static str,
    /// The crate as it is built, `CARGO_CRATE_NAME`: one package has several test targets.
    pub target: &'static str,
    /// The folder of the package's `Cargo.toml`.
    pub manifest_dir: &'static str,
    /// The source file.
    pub file: &'static str,
    /// The line of its attribute.
    pub line: u32,
    /// `#[ignore]`, with its reason or `""`.
    pub ignore: Option<&'static str>,
    /// `#[should_panic]`.
    pub should_panic: Option<ShouldPanic>,
    /// The seeds.
    pub settings: fn() -> Settings,
    /// The cluster, the plans and the body: built afresh on each run's own thread.
    pub spec: fn() -> Spec,
}

/// `#[should_panic]`, with the text that the failure must hold, if one is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShouldPanic {
    /// The text; `None` accepts any failure of the program under test.
    pub expected: Option<&'static str>,
}

/// Which seeds a test runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many.
    pub seeds: u64,
    /// The first.
    pub base_seed: u64,
    /// Whether each is run twice, to see that it is the same run; `None` checks one in twenty.
    pub check: Option<bool>,
    /// Whether some seed is to fail, and what it shrinks to then.
    pub expect_failure: Option<ExpectFailure>,
}

/// `expect_failure`: some seed fails, and what it shrinks to has no more of these than said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpectFailure {
    machines: Option<u64>,
    faults: Option<u64>,
    steps: Option<u64>,
    reorderings: Option<u64>,
}

impl SimTest {
    /// Its name as a test runner shows it: the path without the crate's own segment.
    pub fn path(&self) -> String {
        match self.module_path.split_once("::") {
            Some((_, modules)) => format!("{modules}::{}", self.name),
            None => self.name.to_owned(),
        }
    }

    /// What tells it from every other test there is: package, target and path.
    pub fn key(&self) -> String {
        format!("{}/{}/{}", self.package, self.target, self.path())
    }
}

impl Settings {
    /// The seeds of a test that says nothing about them.
    pub const DEFAULT_SEEDS: u64 = 100;

    /// The defaults.
    pub fn new() -> Self {
        Self { seeds: Self::DEFAULT_SEEDS, base_seed: 0, check: None, expect_failure: None }
    }

    /// How many seeds.
    #[must_use]
    pub fn seeds(mut self, seeds: u64) -> Self {
        self.seeds = seeds;
        self
    }

    /// The first seed.
    #[must_use]
    pub fn base_seed(mut self, base: u64) -> Self {
        self.base_seed = base;
        self
    }

    /// Some seed is to fail.
    #[must_use]
    pub fn expect_failure(mut self, expect: ExpectFailure) -> Self {
        self.expect_failure = Some(expect);
        self
    }

    /// Whether each seed is run twice.
    #[must_use]
    pub fn check(mut self, every: bool) -> Self {
        self.check = Some(every);
        self
    }
}

impl ExpectFailure {
    /// Whatever it shrinks to.
    pub fn new() -> Self {
        Self::default()
    }

    /// At most so many machines that something happens to.
    #[must_use]
    pub fn machines(mut self, most: u64) -> Self {
        self.machines = Some(most);
        self
    }

    /// At most so many strikes of plans and faults of packets.
    #[must_use]
    pub fn faults(mut self, most: u64) -> Self {
        self.faults = Some(most);
        self
    }

    /// At most so many steps.
    #[must_use]
    pub fn steps(mut self, most: u64) -> Self {
        self.steps = Some(most);
        self
    }

    /// At most so many tasks that have to wait for later ones.
    #[must_use]
    pub fn reorderings(mut self, most: u64) -> Self {
        self.reorderings = Some(most);
        self
    }

    /// Whether anything is said of what it shrinks to.
    pub(crate) fn has_bounds(&self) -> bool {
        [self.machines, self.faults, self.steps, self.reorderings].iter().any(Option::is_some)
    }

    /// What there is more of than is said.
    pub(crate) fn exceeded(&self, size: &Size) -> Vec<String> {
        let bounds = [
            (self.machines, size.machines, "machines"),
            (self.faults, size.faults, "faults"),
            (self.steps, size.steps, "steps"),
            (self.reorderings, size.reorderings, "reorderings"),
        ];
        let over = bounds.into_iter().filter_map(|(most, is, what)| {
            most.filter(|most| is > *most).map(|most| format!("{what} <= {most}, and it is {is}"))
        });
        over.collect()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new()
    }
}
