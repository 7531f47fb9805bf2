//! Compares the file system with a naive model. A power failure must leave only states that the
//! model allows, and each allowed state must occur in some case.

mod calls;
mod model;
mod operations;

use std::collections::{BTreeMap, BTreeSet};

use crate::disk::fate::{LossAddress, LossDraws};
use crate::disk::file_system::FileSystem;
use crate::disk::inode::{InodeId, InodeKind, ROOT};
use crate::disk::tests::model::{Model, Seen};
use crate::disk::tests::operations::{Operation, Random};
use crate::disk_image::Allowance;
use crate::disk_profile::CrashProfile;
use crate::engine::mix;

const UNLIMITED: u64 = u64::MAX;

/// Makes draws from a seed. Some of the draws are calm.
struct Drawn {
    seed: u64,
    /// The addresses whose losses are left out.
    calm: BTreeSet<LossAddress>,
    /// The losses that occurred, with their descriptions.
    losses: Vec<(LossAddress, String)>,
    drawn: BTreeSet<LossAddress>,
}

impl Drawn {
    fn new(seed: u64) -> Self {
        Self { seed, calm: BTreeSet::new(), losses: Vec::new(), drawn: BTreeSet::new() }
    }

    fn word(&self, at: LossAddress) -> u64 {
        mix(mix(self.seed, at.subject), at.part)
    }

    fn below(&mut self, at: LossAddress, n: u64) -> u64 {
        assert!(self.drawn.insert(at), "{at:?} is drawn twice");
        if self.calm.contains(&at) {
            0
        } else {
            ((u128::from(self.word(at)) * u128::from(n)) >> 64) as u64
        }
    }
}

impl LossDraws for Drawn {
    fn setting(&mut self, at: LossAddress, n: u64) -> u64 {
        assert!(n > 0 && self.drawn.insert(at), "{at:?} of {n}");
        ((u128::from(self.word(at)) * u128::from(n)) >> 64) as u64
    }

    fn is_lost(&mut self, at: LossAddress, chance: f64, describe: &dyn Fn() -> String) -> bool {
        let is_calm = self.calm.contains(&at);
        let unit = self.below(at, 1 << 20) as f64 / (1 << 20) as f64;
        let is_lost = unit >= 1.0 - chance && !is_calm;
        if is_lost {
            self.losses.push((at, describe()));
        }
        is_lost
    }

    fn lost_units(&mut self, at: LossAddress, n: u64, describe: &dyn Fn(u64) -> String) -> u64 {
        let lost = self.below(at, n + 1);
        if lost > 0 {
            self.losses.push((at, describe(lost)));
        }
        lost
    }
}

/// The file of each name in a folder.
type Names = BTreeMap<(InodeId, Vec<u8>), InodeId>;

/// The files of a file system: the names in each folder, and the bytes of each file.
fn state(files: &FileSystem) -> (Names, BTreeMap<InodeId, Vec<u8>>) {
    let (mut names, mut contents) = (BTreeMap::new(), BTreeMap::new());
    for id in files.all() {
        match &files.find(id).expect("it is there").kind {
            InodeKind::Folder(entries) => {
                names.extend(entries.iter().map(|(name, inode)| ((id, name.clone()), *inode)));
            }
            InodeKind::File(content) => {
                let mut bytes = vec![0; content.size() as usize];
                content.read(0, &mut bytes);
                contents.insert(id, bytes);
            }
            InodeKind::Link(_) => {}
        }
    }
    let named: BTreeSet<InodeId> = names.values().copied().collect();
    contents.retain(|id, _| named.contains(id));
    (names, contents)
}

/// Makes the calls of a seed on a file system and on a model, and compares them after each power failure.
fn check(seed: u64, profile: CrashProfile, seen: &mut Seen) {
    let mut random = Random(seed);
    let mut files = FileSystem::new(profile, UNLIMITED);
    let mut model = Model::new(profile);
    let mut made = Vec::new();
    for failure in 0..3 {
        for _ in 0..random.below(24) + 1 {
            let operation = Operation::draw(&mut random, &model);
            operation.make(&mut files, &mut model);
            made.push(operation);
        }
        let context = || format!("seed {seed}, {profile:?}, failure {failure}, after {made:?}");
        let (names, contents) = state(&files);
        assert_eq!((&names, &contents), (&model.names(), &model.contents()), "{}", context());

        let mut draws = Drawn::new(mix(seed, failure));
        let mut failed = files.clone();
        failed.lose_power(&mut draws);
        model
            .explain(&state(&failed), seen)
            .unwrap_or_else(|why| panic!("{why}: {}, {:?}", context(), draws.losses));

        // Any of the losses may be left out.
        let mut others = Drawn::new(mix(seed, failure));
        let left_out = draws.losses.iter().filter(|_| random.below(2) == 0);
        others.calm = left_out.map(|(at, _)| *at).collect();
        let mut partly = files.clone();
        partly.lose_power(&mut others);
        let mut ignored = Seen::default();
        model.explain(&state(&partly), &mut ignored).unwrap_or_else(|why| {
            panic!("with losses left out: {why}: {}, {:?}", context(), others.losses)
        });

        // Without any, nothing is lost.
        let mut calm = Drawn::new(mix(seed, failure));
        loop {
            let mut kept = files.clone();
            kept.lose_power(&mut calm);
            if calm.losses.is_empty() {
                let (names, contents) = state(&kept);
                assert_eq!(
                    (names, contents),
                    (model.reachable(), model.reachable_contents()),
                    "{}",
                    context()
                );
                break;
            }
            calm.calm.extend(calm.losses.drain(..).map(|(at, _)| at));
            calm.drawn.clear();
        }

        files = failed;
        model.restart(&state(&files));
    }
}

fn check_many(count: u64) {
    for profile in [CrashProfile::Journal, CrashProfile::Posix] {
        let mut seen = Seen::default();
        (0..count).for_each(|seed| check(seed, profile, &mut seen));
        println!("{profile:?}: {seen:#?}");
        seen.assert_complete(profile);
    }
}

#[test]
fn states_after_power_failures_are_allowed_and_complete() {
    check_many(2_500);
}

/// A lost change is described with the paths that a machine sees at the power failure. Files and
/// folders that have no name by then are described with their last paths.
#[test]
fn lost_changes_are_described_with_paths() {
    const NOW: i64 = 0;
    let mut files = FileSystem::new(CrashProfile::Journal, UNLIMITED);
    let a = files.create_folder(ROOT, b"a", 0o755, NOW).unwrap();
    let b = files.create_folder(ROOT, b"b", 0o755, NOW).unwrap();
    let file = files.create_file(a, b"x", 0o644, NOW).unwrap();
    files.rename((a, b"x"), (b, b"x"), false, NOW).unwrap();
    files.resize(file, 5, NOW).unwrap();
    files.create_file(a, b"y", 0o644, NOW).unwrap();
    files.unlink(a, b"y", NOW).unwrap();
    files.remove_folder(ROOT, b"a", NOW).unwrap();
    let mut texts = BTreeSet::new();
    for seed in 0..50 {
        let mut draws = Drawn::new(seed);
        files.clone().lose_power(&mut draws);
        texts.extend(draws.losses.into_iter().map(|(_, text)| text));
    }
    for text in [
        "the creation of /a is lost",
        "the creation of /a/x is lost",
        "the renaming of /a/x to /b/x is lost",
        "the change of the size of /b/x from 0 bytes to 5 bytes is lost",
        "the creation of /a/y is lost",
        "the removal of /a/y is lost",
        "the removal of /a is lost",
    ] {
        assert!(texts.contains(text), "{text}: {texts:#?}");
    }
}

/// A snapshot shows what processes see, whatever is durable. A power failure takes nothing of it.
#[test]
fn snapshots_are_whole_and_durable() {
    let image = |files: &FileSystem| files.image(&mut Allowance::new());
    for (seed, profile) in
        (0..400).flat_map(|seed| [(seed, CrashProfile::Journal), (seed, CrashProfile::Posix)])
    {
        let mut random = Random(seed);
        let mut files = FileSystem::new(profile, UNLIMITED);
        let mut model = Model::new(profile);
        for round in 0..3 {
            for _ in 0..random.below(24) + 1 {
                Operation::draw(&mut random, &model).make(&mut files, &mut model);
            }
            let seen = image(&files);
            let mut copy = files.durable_copy();
            assert_eq!(image(&copy), seen, "seed {seed}, {profile:?}");
            let losses = copy.lose_power(&mut Drawn::new(mix(seed, round)));
            assert_eq!((losses.names, losses.writes), (0, 0), "seed {seed}, {profile:?}");
            assert_eq!(image(&copy), seen, "seed {seed}, {profile:?}");
            assert_eq!(image(&files), seen, "the original is not changed");
        }
    }
}

/// 100,000 sequences with three power failures each.
#[test]
#[ignore = "takes 35 s"]
fn states_after_many_power_failures_are_allowed() {
    check_many(50_000);
}
