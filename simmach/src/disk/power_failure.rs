//! Decides what a power failure leaves of a file's changes.

use std::collections::BTreeMap;

use crate::disk::content::{Change, ChangeKind, Content, SECTOR};
use crate::disk::fate::{Fate, LossAddress, LossDraws, Outlook, UNLIKELY};
use crate::disk_profile::CrashProfile;

/// A file on a machine that loses power.
pub(super) struct Victim<'a> {
    /// The file's word in addresses of draws.
    pub(super) subject: u64,
    /// The file's path, for reports.
    pub(super) path: &'a str,
    /// The first change that cannot have reached the disk, because the journal lost an earlier
    /// change.
    pub(super) cut: u64,
    pub(super) profile: CrashProfile,
}

/// The size of a file after a power failure.
#[derive(Clone, Copy, Debug)]
struct NewSize {
    size: u64,
    /// Number of changes up to and including the one that gave the file this size.
    by: usize,
}

/// What happens to a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Kept,
    Lost,
    Torn,
}

impl Victim<'_> {
    /// Removes the lost changes from a file. Returns the number of changes that did not reach the
    /// disk as a whole.
    pub(super) fn lose(&self, content: &mut Content, draws: &mut dyn LossDraws) -> u64 {
        let changes: Vec<Change> = std::mem::take(&mut content.changes).into();
        content.forget_changes();
        if changes.is_empty() {
            return 0;
        }
        let fate = Fate::draw(draws, self.subject, changes.len());
        let decisions = self.decide(&changes, fate, draws);
        let sized = self.size(&changes, &decisions, draws);
        let floors = match self.profile {
            CrashProfile::Journal => data_of_size(&changes[..sized.by], sized.size),
            CrashProfile::Posix => BTreeMap::new(),
        };
        let versions = self.versions(&changes, &decisions, sized.size, &floors, draws);
        undo(content, &changes, &versions, sized)
    }

    fn decide(&self, changes: &[Change], fate: Fate, draws: &mut dyn LossDraws) -> Vec<Decision> {
        let decide = |index: usize, change: &Change, is_sized: bool, draws: &mut dyn LossDraws| {
            let is_shown =
                is_sized && change.kind == ChangeKind::Write && change.start >= change.old_size;
            if change.is_durable || is_shown && self.profile == CrashProfile::Journal {
                return Decision::Kept;
            }
            if change.serial >= self.cut {
                return Decision::Lost;
            }
            let is_sectored = change.kind == ChangeKind::Write;
            let (lost, torn) = match fate.outlook(index) {
                Outlook::Kept => (UNLIKELY, UNLIKELY),
                Outlook::Lost => (1.0, UNLIKELY),
                Outlook::Torn if is_sectored => (UNLIKELY, 1.0),
                // What cannot be torn is kept at times.
                Outlook::Torn if fate == Fate::Scattered => (0.5, UNLIKELY),
                Outlook::Torn => (1.0, UNLIKELY),
            };
            let age = changes.len() - 1 - index;
            let at = LossAddress::change(self.subject, age);
            if draws.is_lost(at, lost, &|| self.describe(change, false)) {
                return Decision::Lost;
            }
            let at = LossAddress::torn(self.subject, age);
            if is_sectored && draws.is_lost(at, torn, &|| self.describe(change, true)) {
                return Decision::Torn;
            }
            Decision::Kept
        };
        let mut is_sized = false;
        let mut decisions = vec![Decision::Kept; changes.len()];
        for (index, change) in changes.iter().enumerate().rev() {
            decisions[index] = decide(index, change, is_sized, draws);
            is_sized |= decisions[index] == Decision::Kept && change.old_size != change.new_size;
        }
        decisions
    }

    /// The size that the file has afterwards.
    fn size(
        &self,
        changes: &[Change],
        decisions: &[Decision],
        draws: &mut dyn LossDraws,
    ) -> NewSize {
        for (index, change) in changes.iter().enumerate().rev() {
            if change.new_size == change.old_size {
                continue;
            }
            match decisions[index] {
                Decision::Kept => return NewSize { size: change.new_size, by: index + 1 },
                Decision::Lost => continue,
                Decision::Torn => {}
            }
            let sizes: Vec<u64> = change.sizes().collect();
            let at = LossAddress::size(self.subject, changes.len() - 1 - index);
            let describe = |lost: u64| {
                let size = sizes.get(lost as usize).copied().unwrap_or(change.old_size);
                self.describe_append(size, change.new_size - size)
            };
            let lost = draws.lost_units(at, sizes.len() as u64 - 1, &describe) as usize;
            if lost + 1 < sizes.len() {
                return NewSize { size: sizes[lost], by: index + 1 };
            }
        }
        NewSize { size: changes[0].old_size, by: 0 }
    }

    /// For each sector that was touched, the number of changes that it shows.
    fn versions(
        &self,
        changes: &[Change],
        decisions: &[Decision],
        size: u64,
        floors: &BTreeMap<u64, usize>,
        draws: &mut dyn LossDraws,
    ) -> BTreeMap<u64, usize> {
        let mut touched: BTreeMap<u64, u64> = BTreeMap::new();
        for sector in changes.iter().flat_map(Change::sectors) {
            *touched.entry(sector).or_default() += 1;
        }
        let mut versions: BTreeMap<u64, usize> = BTreeMap::new();
        for (index, change) in changes.iter().enumerate().rev() {
            for sector in change.sectors() {
                let older = touched[&sector];
                // A newer change has brought it to the disk.
                if older == 0 {
                    continue;
                }
                let is_shown = floors.get(&sector).is_some_and(|floor| *floor > index);
                let is_kept = match decisions[index] {
                    _ if is_shown => true,
                    Decision::Kept => true,
                    Decision::Lost => false,
                    Decision::Torn if sector * SECTOR >= size => false,
                    Decision::Torn => {
                        let at =
                            LossAddress::sector(self.subject, changes.len() - 1 - index, sector);
                        // All versions are equally likely.
                        let chance = older as f64 / (older + 1) as f64;
                        !draws.is_lost(at, chance, &|| self.describe_sector(change, sector))
                    }
                };
                // A sector on the disk has what all changes before have made of it.
                touched.insert(sector, if is_kept { 0 } else { older - 1 });
                versions.insert(sector, if is_kept { index + 1 } else { 0 });
            }
        }
        versions
    }

    fn describe(&self, change: &Change, is_torn: bool) -> String {
        let Change { old_size, new_size, .. } = *change;
        let path = self.path;
        match change.kind {
            ChangeKind::Resize => {
                format!(
                    "the change of the size of {path} from {} to {} is lost",
                    bytes(old_size),
                    bytes(new_size)
                )
            }
            ChangeKind::Write if is_torn => {
                format!(
                    "a write of {} to {path} at offset {} is torn",
                    bytes(change.length),
                    change.start
                )
            }
            ChangeKind::Write if change.start == old_size => {
                self.describe_append(change.start, change.length)
            }
            ChangeKind::Write => {
                format!(
                    "a write of {} to {path} at offset {} is lost",
                    bytes(change.length),
                    change.start
                )
            }
        }
    }

    /// Describes lost bytes that were appended to the file.
    fn describe_append(&self, start: u64, length: u64) -> String {
        let (bytes, path) = (bytes(length), self.path);
        match length {
            1 => format!("the byte that was appended to {path} at offset {start} is lost"),
            _ => format!("the {bytes} that were appended to {path} at offset {start} are lost"),
        }
    }

    fn describe_sector(&self, change: &Change, sector: u64) -> String {
        let start = change.start.max(sector * SECTOR);
        let end = change.end().min((sector + 1) * SECTOR);
        format!(
            "in {}, {} at offset {start} {} lost",
            self.path,
            bytes(end - start),
            are(end - start)
        )
    }
}

/// With a journal the size of a file reaches the disk after the data that it shows: how many changes each sector shows at
/// least.
fn data_of_size(changes: &[Change], size: u64) -> BTreeMap<u64, usize> {
    let mut floors = BTreeMap::new();
    for (index, change) in changes.iter().enumerate() {
        let (start, end) = (change.start.max(change.old_size), change.end().min(size));
        if change.kind == ChangeKind::Write && start < end {
            let sectors = start / SECTOR..end.div_ceil(SECTOR);
            floors.extend(sectors.map(|sector| (sector, index + 1)));
        }
    }
    floors
}

/// Undoes the changes that a sector does not show. Returns the number of changes that did not survive as a whole.
fn undo(
    content: &mut Content,
    changes: &[Change],
    versions: &BTreeMap<u64, usize>,
    sized: NewSize,
) -> u64 {
    let mut lost = 0;
    for (index, change) in changes.iter().enumerate().rev() {
        let undone = change.sectors().filter(|sector| versions[sector] <= index);
        let mut is_whole = change.old_size == change.new_size || index < sized.by;
        for sector in undone {
            is_whole = false;
            content.undo(change, sector);
        }
        lost += u64::from(!is_whole);
    }
    content.set_size(sized.size);
    lost
}

fn are(bytes: u64) -> &'static str {
    if bytes == 1 { "is" } else { "are" }
}

/// Formats a number of bytes.
pub(super) fn bytes(count: u64) -> String {
    if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") }
}
