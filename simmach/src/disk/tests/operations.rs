//! Random operations, applied both to a file system and to the model.

use crate::disk::file_system::{FileSystem, SyncKind};
use crate::disk::inode::{InodeId, Name, ROOT};
use crate::disk::tests::model::Model;
use crate::engine::mix;
use crate::interpose::system::{Answer, Errno};

/// A small random number generator.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 = mix(self.0, 0x5eed);
        ((u128::from(self.0) * u128::from(n)) >> 64) as u64
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        from.get(self.below(from.len() as u64) as usize).cloned()
    }
}

/// A call on a file system. A call that fails must change nothing.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    CreateFile(InodeId, Name),
    CreateFolder(InodeId, Name),
    Link(InodeId, InodeId, Name),
    Remove(InodeId, Name),
    Rename((InodeId, Name), (InodeId, Name)),
    Write { file: InodeId, start: u64, length: u64, byte: u8 },
    Clear { file: InodeId, start: u64, length: u64 },
    Resize { file: InodeId, size: u64 },
    Sync(InodeId, SyncKind),
    FailSync(InodeId),
    SyncRange { file: InodeId, start: u64, length: u64 },
    SyncAll,
}

impl Operation {
    pub(super) fn draw(random: &mut Random, model: &Model) -> Self {
        let names: Vec<Name> =
            ["a", "b", "c"].iter().map(|name| name.as_bytes().to_vec()).collect();
        if model.is_full() {
            return Self::SyncAll;
        }
        let (folders, files) = (model.folders(), model.files());
        let entries: Vec<(InodeId, Name)> = model.names().into_keys().collect();
        let folder = random.pick(&folders).unwrap_or(ROOT);
        let name = random.pick(&names).expect("there are names");
        let Some(file) = random.pick(&files) else { return Self::CreateFile(folder, name) };
        let size = model.contents().get(&file).map_or(0, Vec::len) as u64;
        // Many writes are appends, of a few bytes or of pages; some begin at a sector.
        let start = match random.below(4) {
            0 | 1 => size,
            2 => random.below(size + 1) / 512 * 512,
            _ => random.below(size + 600),
        };
        let length = match random.below(3) {
            0 => random.below(400) + 1,
            1 => 512 * (random.below(6) + 1),
            _ => random.below(12_000) + 1,
        };
        match random.below(40) {
            0..4 => Self::CreateFile(folder, name),
            4..5 => Self::CreateFolder(folder, name),
            5..6 => Self::Link(file, folder, name),
            6..8 => match random.pick(&entries) {
                Some((folder, name)) => Self::Remove(folder, name),
                None => Self::SyncAll,
            },
            8..12 => match random.pick(&entries) {
                Some(from) => Self::Rename(from, (folder, name)),
                None => Self::SyncAll,
            },
            12..28 => Self::Write { file, start, length, byte: random.below(255) as u8 + 1 },
            28..29 => Self::Clear { file, start: start.min(size), length },
            29..32 => Self::Resize { file, size: random.below(size + 9_000) },
            32..34 => Self::Sync(file, SyncKind::All),
            34..35 => Self::Sync(file, SyncKind::Data),
            35..37 => Self::Sync(folder, SyncKind::All),
            37..38 => Self::FailSync(file),
            38..39 => Self::SyncRange { file, start: start / 4096 * 4096, length: 8_192 },
            _ => Self::SyncAll,
        }
    }

    /// Makes the call on both.
    pub(super) fn make(&self, files: &mut FileSystem, model: &mut Model) {
        let now = 0;
        let done: Answer<()> = match self {
            Self::CreateFile(folder, name) => {
                let created = files.create_file(*folder, name, 0o644, now);
                created.map(|id| model.create(*folder, name, id, false))
            }
            Self::CreateFolder(folder, name) => {
                let created = files.create_folder(*folder, name, 0o755, now);
                created.map(|id| model.create(*folder, name, id, true))
            }
            Self::Link(file, folder, name) => {
                let linked = files.link(*file, *folder, name, now);
                linked.map(|()| model.link(*folder, name, *file))
            }
            Self::Remove(folder, name) => {
                let removed = match files.unlink(*folder, name, now) {
                    Err(Errno(libc::EISDIR)) => files.remove_folder(*folder, name, now),
                    removed => removed,
                };
                removed.map(|()| model.remove(*folder, name))
            }
            Self::Rename(from, to) => {
                let renamed = files.rename((from.0, &from.1), (to.0, &to.1), false, now);
                renamed.map(|()| model.rename((from.0, &from.1), (to.0, &to.1)))
            }
            Self::Write { file, start, length, byte } => {
                let bytes = vec![*byte; *length as usize];
                let (first, second) = bytes.split_at(bytes.len() / 3);
                let written = files.write(*file, *start, &[first, second], now);
                written.map(|count| {
                    assert_eq!(count as u64, *length);
                    model.write(*file, *start, &bytes);
                })
            }
            Self::Clear { file, start, length } => files
                .clear(*file, *start, *length, now)
                .map(|()| model.clear(*file, *start, *length)),
            Self::Resize { file, size } => {
                files.resize(*file, *size, now).map(|()| model.resize(*file, *size))
            }
            Self::Sync(id, kind) => files.sync(*id, *kind).map(|()| model.sync(*id, *kind)),
            Self::FailSync(id) => files.fail_sync(*id).map(|()| model.fail_sync(*id)),
            Self::SyncRange { file, start, length } => files
                .sync_range(*file, *start, *length)
                .map(|()| model.sync_range(*file, *start, *length)),
            Self::SyncAll => {
                files.sync_all();
                model.sync_all();
                Ok(())
            }
        };
        // A call that fails changes neither.
        let _ = done;
    }
}
