//! A file's bytes: what its readers see, and the changes that a power failure may undo.
//!
//! Each change keeps the bytes that it overwrote. So a sync copies nothing: it only forgets the
//! changes. A write consists of sectors, and each sector reaches the disk independently. A power
//! failure leaves each sector in one of its versions: the last durable one, or the one after any
//! later change to the sector.

use std::collections::{BTreeMap, VecDeque};

use rustix::io::Errno;

use crate::disk::pages::{PAGE, Pages};

/// Size of a sector in bytes. A disk writes a sector as a whole or not at all.
pub(super) const SECTOR: u64 = 512;

/// If a file has more unsynced changes than this, or more overwritten bytes than the next limit, it
/// is written back, as by a kernel that is short of memory.
const MAX_CHANGES: usize = 8_192;
const MAX_OVERWRITTEN: usize = 32 << 20;

/// The bytes of a file and its changes that are not durable.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    pub(super) pages: Pages,
    size: u64,
    /// The changes, oldest first.
    pub(super) changes: VecDeque<Change>,
    overwritten: usize,
    /// Number of changes so far.
    serial: u64,
    /// Whether a sync failed since the file was last durable as a whole.
    has_failed_sync: bool,
    /// If the file is mapped for writing, the bytes of its pages when the mappings were last read.
    seen: Option<BTreeMap<usize, Box<[u8; PAGE]>>>,
    /// The number of mappings for writing.
    writers: u32,
}

/// A change that may not be durable.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) kind: ChangeKind,
    pub(super) start: u64,
    pub(super) length: u64,
    /// The bytes that this range held before the change, up to the end of the file or of its last page.
    pub(super) old: Vec<u8>,
    pub(super) old_size: u64,
    pub(super) new_size: u64,
    /// Whether the change needed blocks of the disk that the file did not have.
    adds_blocks: bool,
    pub(super) serial: u64,
    /// Whether the change is on the disk, although other changes of the file may not be.
    pub(super) is_durable: bool,
    /// Whether a sync of the change failed. The kernel then treats the change as written, although
    /// it is not on the disk.
    pub(super) is_dropped: bool,
}

/// How a change reaches the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChangeKind {
    /// By sectors.
    Write,
    /// As a whole: the file was cut or extended.
    Resize,
}

impl Content {
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The number of the next change.
    pub(super) fn next_serial(&self) -> u64 {
        self.serial
    }

    /// Reads at `start`. Returns the number of bytes read, which is less than requested if the file
    /// ends.
    pub(super) fn read(&self, start: u64, into: &mut [u8]) -> usize {
        let length = self.size.saturating_sub(start).min(into.len() as u64) as usize;
        self.pages.read(start, &mut into[..length]);
        length
    }

    /// Writes the first `length` bytes of the pieces at `start`. If the file ends before `start`,
    /// the gap becomes a hole.
    pub(super) fn write(&mut self, start: u64, pieces: &[&[u8]], length: usize) {
        if length == 0 {
            return;
        }
        let end = start + length as u64;
        self.record(ChangeKind::Write, start, length as u64, self.size.max(end));
        let mut at = start;
        for piece in pieces {
            let part = piece.len().min((end - at) as usize);
            self.pages.write(at, &piece[..part]);
            at += part as u64;
        }
        self.see(start, length as u64);
    }

    /// Cuts or extends the file.
    pub(super) fn resize(&mut self, size: u64) {
        if size == self.size {
            return;
        }
        let cut = self.pages.extent().min(self.size).saturating_sub(size);
        self.record(ChangeKind::Resize, size, cut, size);
        self.pages.cut(size);
        self.forget_from(size);
    }

    /// Fills a range with zeros, as far as it is within the file.
    pub(super) fn clear(&mut self, start: u64, length: u64) {
        let length = self.size.saturating_sub(start).min(length);
        if length > 0 {
            self.record(ChangeKind::Write, start, length, self.size);
            self.pages.clear(start, length);
            self.see(start, length);
        }
    }

    fn record(&mut self, kind: ChangeKind, start: u64, length: u64, new_size: u64) {
        self.absorb();
        let there = self.size.min(self.pages.extent()).saturating_sub(start).min(length) as usize;
        let mut old = vec![0; there];
        self.pages.read(start, &mut old);
        self.overwritten += there;
        self.changes.push_back(Change {
            kind,
            start,
            length,
            old,
            old_size: self.size,
            new_size,
            adds_blocks: kind == ChangeKind::Write && self.pages.holes(start, length) > 0,
            serial: self.serial,
            is_durable: false,
            is_dropped: false,
        });
        self.serial += 1;
        self.size = new_size;
    }

    /// Whether so much is not durable that it must be written back.
    pub(super) fn is_overdue(&self) -> bool {
        self.changes.len() > MAX_CHANGES || self.overwritten > MAX_OVERWRITTEN
    }

    /// Whether a change that is not durable has changed the size or filled a hole.
    pub(super) fn has_new_blocks(&self) -> bool {
        let is_new = |change: &Change| change.adds_blocks || change.old_size != change.new_size;
        self.changes.iter().any(is_new)
    }

    /// Makes all changes durable, but for those that a failed sync has dropped.
    pub(super) fn sync(&mut self) {
        self.absorb();
        if self.has_failed_sync {
            self.force(0, u64::MAX);
        } else {
            self.changes.clear();
            self.overwritten = 0;
        }
    }

    /// A sync fails: the data that it should have written counts as written, although it is not on
    /// the disk.
    pub(super) fn fail_sync(&mut self) {
        self.absorb();
        for change in &mut self.changes {
            change.is_dropped |= !change.is_durable && change.kind == ChangeKind::Write;
            self.has_failed_sync |= change.is_dropped;
        }
    }

    /// Makes the changes with these numbers durable, but for those that a failed sync has dropped.
    pub(super) fn force(&mut self, from: u64, until: u64) {
        let named = |change: &&mut Change| (from..until).contains(&change.serial);
        for change in self.changes.iter_mut().filter(named) {
            change.is_durable |= !change.is_dropped;
        }
    }

    /// Makes the writes within a range durable.
    pub(super) fn sync_range(&mut self, start: u64, length: u64) {
        self.absorb();
        let end = start.saturating_add(length);
        for change in self.changes.iter_mut().filter(|change| change.kind == ChangeKind::Write) {
            let is_within = change.start >= start && change.start + change.length <= end;
            change.is_durable |= is_within && !change.is_dropped;
        }
    }

    /// Moves the file's bytes to a memory file, which mappings share, and returns its descriptor.
    /// `writes`: whether the new mapping may change the bytes.
    pub(super) fn map(&mut self, writes: bool) -> Result<i32, Errno> {
        let descriptor = self.pages.map(self.size)?;
        if writes {
            self.writers += 1;
            if self.seen.is_none() {
                self.seen = Some(BTreeMap::new());
                self.see(0, self.size);
            }
        }
        Ok(descriptor)
    }

    /// A mapping for writing is gone.
    pub(super) fn unmap(&mut self) {
        self.absorb();
        self.writers = self.writers.saturating_sub(1);
        if self.writers == 0 {
            self.seen = None;
        }
    }

    /// Detaches the file from its mappings, whose processes have ended. What is written through
    /// them from now on does not reach the file.
    pub(super) fn abandon_mappings(&mut self) {
        self.absorb();
        self.seen = None;
        self.writers = 0;
        self.pages.unmap();
    }

    /// Records changes made through mappings as writes of whole pages, made now.
    #[inline]
    pub(super) fn absorb(&mut self) {
        if let Some(seen) = self.seen.take() {
            self.absorb_mapped(seen);
        }
    }

    fn absorb_mapped(&mut self, mut seen: BTreeMap<usize, Box<[u8; PAGE]>>) {
        let mut now = [0; PAGE];
        for page in self.pages.data_pages() {
            let start = (page * PAGE) as u64;
            let length = self.size.saturating_sub(start).min(PAGE as u64) as usize;
            self.pages.read(start, &mut now);
            let before = seen.entry(page).or_insert_with(|| Box::new([0; PAGE]));
            if before[..length] != now[..length] {
                self.add_mapped_write(start, &before[..length]);
                before.copy_from_slice(&now);
            }
        }
        self.seen = Some(seen);
    }

    fn add_mapped_write(&mut self, start: u64, before: &[u8]) {
        self.overwritten += before.len();
        self.changes.push_back(Change {
            kind: ChangeKind::Write,
            start,
            length: before.len() as u64,
            old: before.to_vec(),
            old_size: self.size,
            new_size: self.size,
            adds_blocks: before.iter().all(|byte| *byte == 0),
            serial: self.serial,
            is_durable: false,
            is_dropped: false,
        });
        self.serial += 1;
    }

    /// Remembers the present bytes of a range's pages, so that `absorb` finds only later changes.
    fn see(&mut self, start: u64, length: u64) {
        let Some(seen) = &mut self.seen else { return };
        let (first, data) = ((start / PAGE as u64) as usize, self.pages.data_pages());
        let range = first..(start + length).div_ceil(PAGE as u64) as usize;
        for page in data.iter().filter(|page| range.contains(page)) {
            let own = seen.entry(*page).or_insert_with(|| Box::new([0; PAGE]));
            self.pages.read((*page * PAGE) as u64, &mut own[..]);
        }
        // A hole is zeros.
        seen.retain(|page, _| !range.contains(page) || data.binary_search(page).is_ok());
    }

    /// The file was cut or extended.
    fn forget_from(&mut self, size: u64) {
        if let Some(seen) = &mut self.seen {
            drop(seen.split_off(&(size.div_ceil(PAGE as u64) as usize)));
            self.see(size.saturating_sub(1), 1);
        }
    }

    /// Declares the present bytes durable, and forgets all changes. A power failure calls this, and
    /// undoes the lost changes itself.
    pub(super) fn forget_changes(&mut self) {
        self.changes.clear();
        self.overwritten = 0;
        self.has_failed_sync = false;
    }

    /// Restores the bytes that a change overwrote in one sector. Bytes of the sector outside the
    /// change stay as they are.
    pub(super) fn undo(&mut self, change: &Change, sector: u64) {
        let from = change.start.max(sector * SECTOR);
        let to = change.end().min((sector + 1) * SECTOR);
        let there = (change.start + change.old.len() as u64).clamp(from, to);
        if from < there {
            let part = (from - change.start) as usize..(there - change.start) as usize;
            self.pages.write(from, &change.old[part]);
        }
        self.pages.clear(there, to - there);
    }

    /// Sets the size after changes were undone.
    pub(super) fn set_size(&mut self, size: u64) {
        self.size = size;
        self.pages.cut(size);
    }
}

impl Change {
    pub(super) fn end(&self) -> u64 {
        self.start + self.length
    }

    /// The sectors that this change touched.
    pub(super) fn sectors(&self) -> std::ops::Range<u64> {
        match self.length {
            0 => 0..0,
            _ => self.start / SECTOR..self.end().div_ceil(SECTOR),
        }
    }

    /// The sizes that the file may have if only a part of this change reached the disk: the new
    /// size, the page boundaries below it from the largest down, and the old size.
    pub(super) fn sizes(&self) -> impl Iterator<Item = u64> + '_ {
        let (low, high) = (self.old_size, self.new_size);
        let pages = low / PAGE as u64 + 1..high.div_ceil(PAGE as u64);
        let ends = pages.rev().map(|page| page * PAGE as u64);
        std::iter::once(high).chain(ends.filter(move |_| high > low)).chain([low])
    }
}
