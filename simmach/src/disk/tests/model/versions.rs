//! The versions of one file, and which of these versions a power failure may mix.

use crate::disk::tests::model::{PAGE, SECTOR_BYTES, Seen};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Base,
    Write,
    Resize,
}

/// The state of a file after a change.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) bytes: Vec<u8>,
    pub(super) how: How,
    pub(super) touched: std::ops::Range<usize>,
    pub(super) is_durable: bool,
    pub(super) is_dropped: bool,
    /// Whether a sync succeeded after a failed sync that dropped this version.
    pub(super) is_taken_for_durable: bool,
}

pub(super) fn base(bytes: Vec<u8>) -> Version {
    Version {
        bytes,
        how: How::Base,
        touched: 0..0,
        is_durable: true,
        is_dropped: false,
        is_taken_for_durable: false,
    }
}

pub(super) fn sync_file(versions: &mut Vec<Version>) {
    if versions.iter().any(|version| version.is_dropped) {
        for version in versions.iter_mut() {
            version.is_durable |= !version.is_dropped;
            version.is_taken_for_durable |= version.is_dropped;
        }
    } else {
        let newest = versions.last().expect("the base").bytes.clone();
        *versions = vec![base(newest)];
    }
}

fn sector(bytes: &[u8], sector: usize, size: usize) -> Vec<u8> {
    let end = ((sector + 1) * SECTOR_BYTES).min(size);
    (sector * SECTOR_BYTES..end).map(|at| bytes.get(at).copied().unwrap_or(0)).collect()
}

/// Equal bytes in a row, for messages.
fn runs(bytes: &[u8]) -> String {
    bytes.chunk_by(|a, b| a == b).map(|run| format!("{}*{} ", run.len(), run[0])).collect()
}

fn touches(version: &Version, sector: usize) -> bool {
    let Version { touched, .. } = version;
    !touched.is_empty()
        && touched.start < (sector + 1) * SECTOR_BYTES
        && sector * SECTOR_BYTES < touched.end
}

/// What a write added to the end of the file, up to a size.
fn appended(versions: &[Version], index: usize, size: usize) -> std::ops::Range<usize> {
    let old = versions[index - 1].bytes.len();
    match versions[index].how {
        How::Write => versions[index].touched.start.max(old)..versions[index].touched.end.min(size),
        How::Base | How::Resize => 0..0,
    }
}

/// Checks that the bytes of a file are ones that a power failure may leave: one of the sizes, and of each sector one of the
/// versions.
pub(super) fn explain_file(
    versions: &[Version],
    durable: &[bool],
    ceiling: usize,
    found: &[u8],
    is_ordered: bool,
) -> Result<(), String> {
    let resizes = |index: &usize| {
        *index > 0 && versions[*index].bytes.len() != versions[index - 1].bytes.len()
    };
    let last_sized =
        (0..ceiling).filter(|index| durable[*index] && resizes(index)).max().unwrap_or(0);
    let mut reasons = Vec::new();
    for sized in last_sized..ceiling {
        let (size, appends) = (
            versions[sized].bytes.len(),
            sized > 0 && !appended(versions, sized, usize::MAX).is_empty(),
        );
        let is_cut = appends
            && found.len().is_multiple_of(PAGE)
            && (versions[sized - 1].bytes.len() + 1..size).contains(&found.len());
        if found.len() != size && !is_cut {
            continue;
        }
        let wrong = (0..found.len().div_ceil(SECTOR_BYTES)).find(|number| {
            let shown = (1..=sized).filter(|index| {
                let range = appended(versions, *index, found.len());
                let start = number * SECTOR_BYTES;
                is_ordered
                    && !range.is_empty()
                    && range.start < start + SECTOR_BYTES
                    && start < range.end
            });
            let forced =
                (1..ceiling).filter(|index| durable[*index] && touches(&versions[*index], *number));
            let floor = shown.chain(forced).max().unwrap_or(0);
            let own = sector(found, *number, found.len());
            !(floor..ceiling)
                .any(|version| sector(&versions[version].bytes, *number, found.len()) == own)
        });
        match wrong {
            Some(number) => {
                let runs = |bytes: &[u8]| runs(&sector(bytes, number, found.len()));
                let all: Vec<String> =
                    versions.iter().map(|version| runs(&version.bytes)).collect();
                let own = runs(found);
                reasons
                    .push(format!("with the size of {sized} sector {number} is {own}of {all:?}"));
            }
            None => return Ok(()),
        }
    }
    Err(format!(
        "{} bytes of {} versions up to {ceiling}, {last_sized} durable: {reasons:?}",
        found.len(),
        versions.len()
    ))
}

pub(super) fn lost_resizes(versions: &[Version], found: &[u8]) -> u64 {
    match versions {
        [.., before, last] if last.how == How::Resize => {
            u64::from(found.len() == before.bytes.len() && found.len() != last.bytes.len())
        }
        _ => 0,
    }
}

pub(super) fn count_file(versions: &[Version], found: &[u8], seen: &mut Seen) {
    let last = versions.len() - 1;
    if last == 0 {
        return;
    }
    let is_version = |index: usize| versions[index].bytes == found;
    if is_version(last) {
        seen.whole_file += 1;
        return;
    }
    if is_version(0) {
        seen.old_file += 1;
    } else if (1..last).any(is_version) {
        seen.prefix += 1;
    }
    if versions.iter().all(|version| version.bytes.len() != found.len()) {
        seen.cut_in_a_write += 1;
    }
    // The oldest and the newest version that each sector may show.
    let sectors = 0..found.len() / SECTOR_BYTES;
    let shown: Vec<(usize, usize)> = sectors
        .map(|number| {
            let own = sector(found, number, found.len());
            let fits = |index: &usize| sector(&versions[*index].bytes, number, found.len()) == own;
            let fitting: Vec<usize> = (0..=last).filter(fits).collect();
            (fitting.first().copied().unwrap_or(0), fitting.last().copied().unwrap_or(last))
        })
        .collect();
    let shows = |index: usize| {
        shown
            .iter()
            .enumerate()
            .any(|(number, (oldest, _))| touches(&versions[index], number) && *oldest >= index)
    };
    let lacks = |index: usize| {
        shown
            .iter()
            .enumerate()
            .any(|(number, (_, newest))| touches(&versions[index], number) && *newest < index)
    };
    let writes: Vec<usize> =
        (1..=last).filter(|index| versions[*index].how == How::Write).collect();
    seen.torn += u64::from(writes.iter().any(|index| shows(*index) && lacks(*index)));
    let is_torn_prefix = |at: usize| {
        let (older, newer) = (&writes[..at], &writes[at + 1..]);
        let is_whole = older.iter().all(|index| !lacks(*index));
        let is_lost = newer.iter().all(|index| !shows(*index));
        older.len() >= 3 && is_whole && is_lost && shows(writes[at]) && lacks(writes[at])
    };
    seen.torn_prefix += u64::from((0..writes.len()).any(is_torn_prefix));
    let is_reordered = writes.iter().any(|newer| {
        shows(*newer) && writes.iter().any(|older| older < newer && lacks(*older) && !shows(*older))
    });
    seen.reordered += u64::from(is_reordered);
    seen.dropped_by_failed_sync += u64::from(
        writes.iter().any(|index| versions[*index].is_taken_for_durable && lacks(*index)),
    );
    // The file is as long as a write made it, and has zeros where that write and all after it left none.
    let has_zeros = writes.iter().any(|index| {
        let range = appended(versions, *index, found.len());
        let mut whole = range.start.div_ceil(SECTOR_BYTES)..range.end / SECTOR_BYTES;
        whole.any(|number| {
            let is_zero =
                |bytes: &[u8]| sector(bytes, number, found.len()).iter().all(|byte| *byte == 0);
            let (before, since) = versions.split_at(*index);
            is_zero(found)
                && before.iter().all(|version| version.bytes.len() <= number * SECTOR_BYTES)
                && since.iter().all(|version| !is_zero(&version.bytes))
        })
    });
    seen.zeros_appended += u64::from(has_zeros);
}
