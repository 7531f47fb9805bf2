//! Copies of stores: for the report of a failed run, and for snapshots of disks.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use crate::disk_image::{Allowance, DiskImage, Extent, ImageEntry, ImageKind};
use crate::engine::{MachineId, context};
use crate::storage::disks::{Disks, StoreState, state, wipe};
use crate::storage::error::Error;

/// The folder of stores in the image of a disk.
const STORES: &str = "simmach-storage";

/// The files of all stores, as their last commits left them.
pub(crate) fn images(allowance: &mut Allowance) -> Vec<DiskImage> {
    state(|disks| disks.images(allowance)).unwrap_or_default()
}

/// The files of a machine's stores, by name.
pub(crate) type StoreCopies = BTreeMap<String, Vec<u8>>;

/// Copies the stores of a machine, as their last commits left them.
pub(crate) fn copy(machine: MachineId) -> io::Result<StoreCopies> {
    state(|disks| {
        let stores = disks.stores.iter().filter(|store| store.machine == machine);
        let read = |store: &StoreState| {
            let file = disks.folder(machine).join(store.file_name());
            match context::outside(|| fs::read(file)) {
                Ok(bytes) => Some(Ok((store.file_name(), bytes))),
                // It was not used since it was opened or wiped.
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => Some(Err(error)),
            }
        };
        stores.filter_map(read).collect()
    })
    .unwrap_or_else(|| Ok(StoreCopies::new()))
}

/// Replaces the stores of a machine by copies.
pub(crate) fn restore(machine: MachineId, copies: &StoreCopies) -> io::Result<()> {
    wipe(machine)?;
    if copies.is_empty() {
        return Ok(());
    }
    let folder = state(|disks| disks.make_folder(machine)).unwrap_or(Err(Error::Closed))?;
    context::outside(|| {
        copies.iter().try_for_each(|(name, bytes)| fs::write(folder.join(name), bytes))
    })
}

impl Disks {
    fn images(&self, allowance: &mut Allowance) -> Vec<DiskImage> {
        let mut images: BTreeMap<MachineId, Vec<ImageEntry>> = BTreeMap::new();
        for store in &self.stores {
            let file = self.folder(store.machine).join(store.file_name());
            let kind = match context::outside(|| read_whole(&file, allowance)) {
                Ok(kind) => kind,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => ImageKind::LeftOut(error.to_string()),
            };
            let path = format!("{STORES}/{}", store.file_name()).into_bytes();
            let entries = images.entry(store.machine).or_insert_with(|| {
                let (path, kind) = (STORES.as_bytes().to_vec(), ImageKind::Folder);
                vec![ImageEntry { path, kind, mode: 0o755 }]
            });
            entries.push(ImageEntry { path, kind, mode: 0o644 });
        }
        let image = |(machine, entries)| DiskImage { machine, entries };
        images.into_iter().map(image).collect()
    }
}

fn read_whole(file: &Path, allowance: &mut Allowance) -> io::Result<ImageKind> {
    let size = fs::metadata(file)?.len();
    if let Err(left_out) = allowance.take(size) {
        return Ok(left_out);
    }
    let data = vec![Extent { start: 0, bytes: fs::read(file)? }];
    Ok(ImageKind::File { size, data })
}
