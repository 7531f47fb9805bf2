//! The programs of the comparison. cargo builds each separately, and each runs as a process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::ROLE;
use crate::cases::Case;

/// A program of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Of {
    Simmach,
    Madsim,
    Turmoil,
    Floor,
}

/// A case that takes longer than this is measured only once.
const LONG: Duration = Duration::from_secs(5);

impl Of {
    pub(crate) const ALL: [Self; 4] = [Self::Simmach, Self::Madsim, Self::Turmoil, Self::Floor];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Simmach => "simmach",
            Self::Madsim => "madsim",
            Self::Turmoil => "turmoil",
            Self::Floor => "floor",
        }
    }

    pub(crate) fn version(self) -> &'static str {
        match self {
            Self::Simmach => env!("CARGO_PKG_VERSION"),
            Self::Madsim => "0.2.34",
            Self::Turmoil => "0.7.2",
            Self::Floor => "",
        }
    }
}

/// The paths of the programs.
pub(crate) struct Programs {
    files: BTreeMap<Of, PathBuf>,
    /// The folder for builds and results.
    pub target: PathBuf,
}

impl Programs {
    /// Builds the peers; simmach's part is this program.
    pub(crate) fn build() -> Self {
        let own = std::env::current_exe().expect("a program has a file");
        // target/release/deps/peers-…
        let target = own.ancestors().nth(3).expect("it is in a target folder").join("peers");
        let mut files = BTreeMap::new();
        for of in [Of::Madsim, Of::Turmoil, Of::Floor] {
            files.insert(of, build(of, &target.join(of.name())));
        }
        files.insert(Of::Simmach, own);
        Self { files, target }
    }

    /// Runs a case on a program. The program prints lines of a name and a number.
    pub(crate) fn run(&self, of: Of, words: &[&str]) -> BTreeMap<String, f64> {
        let mut command = Command::new(&self.files[&of]);
        command.args(words);
        if of == Of::Simmach {
            command.env(ROLE, "case");
        }
        let ran = command.output().expect("it was built");
        let (out, err) =
            (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success(), "{of:?} {words:?}: {}\n{out}{err}", ran.status);
        let pair = |line: &str| {
            let (name, number) = line.split_once('=')?;
            Some((name.to_owned(), number.parse().ok()?))
        };
        out.lines().filter_map(pair).collect()
    }

    /// The path of this program.
    pub(crate) fn own(&self) -> &Path {
        &self.files[&Of::Simmach]
    }
}

fn build(of: Of, target: &Path) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(of.name());
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--locked", "--quiet", "--manifest-path"]);
    command.arg(folder.join("Cargo.toml")).arg("--target-dir").arg(target);
    if of == Of::Madsim {
        let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
        command.env("RUSTFLAGS", format!("{flags} --cfg madsim"));
    }
    let built = command.status().expect("cargo runs");
    assert!(built.success(), "{} was not built", of.name());
    target.join("release").join(format!("peer-{}{}", of.name(), std::env::consts::EXE_SUFFIX))
}

/// Measured seconds by case and program, one for each round.
#[derive(Default)]
pub(crate) struct Taken(BTreeMap<(&'static str, u64, Of), Vec<f64>>);

impl Taken {
    pub(crate) fn add(&mut self, case: &Case, of: Of, programs: &Programs) {
        let seconds = self.0.entry((case.name, case.number, of)).or_default();
        if seconds.first().is_some_and(|first| *first > LONG.as_secs_f64()) {
            return;
        }
        let number = case.number.to_string();
        seconds.push(programs.run(of, &[case.name, &number])["seconds"]);
    }

    /// The measurements of a case; empty if it was not run.
    pub(crate) fn of(&self, case: &Case, of: Of) -> &[f64] {
        self.named(case.name, case.number, of)
    }

    /// The same, by the case's name.
    pub(crate) fn named(&self, name: &'static str, number: u64, of: Of) -> &[f64] {
        self.0.get(&(name, number, of)).map_or(&[], Vec::as_slice)
    }
}
