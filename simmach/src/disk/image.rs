//! The files of a disk as processes see them, whether or not they are durable, as an image.

use std::collections::BTreeMap;

use crate::disk::content::Content;
use crate::disk::file_system::FileSystem;
use crate::disk::inode::{InodeId, InodeKind, ROOT};
use crate::disk::pages::PAGE;
use crate::disk_image::{Allowance, Extent, ImageEntry, ImageKind};

impl FileSystem {
    /// All names on the disk. Files without a name, which a process may have open, are not included.
    pub(crate) fn image(&self, allowance: &mut Allowance) -> Vec<ImageEntry> {
        let mut entries = Vec::new();
        let mut seen = BTreeMap::new();
        self.add_folder(ROOT, &[], &mut entries, &mut seen, allowance);
        entries
    }

    fn add_folder(
        &self,
        folder: InodeId,
        path: &[u8],
        entries: &mut Vec<ImageEntry>,
        seen: &mut BTreeMap<InodeId, Vec<u8>>,
        allowance: &mut Allowance,
    ) {
        for (name, id) in self.entries(folder).into_iter().flatten() {
            let Some(inode) = self.find(*id) else { continue };
            let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
            let path = [path, slash, name].concat();
            let kind = match (&inode.kind, seen.get(id)) {
                (_, Some(first)) => ImageKind::SameAs(first.clone()),
                (InodeKind::Folder(_), None) => ImageKind::Folder,
                (InodeKind::Link(target), None) => ImageKind::Link(target.clone()),
                (InodeKind::File(content), None) => content.image(allowance),
            };
            let is_folder = kind == ImageKind::Folder;
            seen.entry(*id).or_insert_with(|| path.clone());
            entries.push(ImageEntry { path: path.clone(), kind, mode: inode.mode });
            if is_folder {
                self.add_folder(*id, &path, entries, seen, allowance);
            }
        }
    }
}

impl Content {
    fn image(&self, allowance: &mut Allowance) -> ImageKind {
        if let Err(left_out) = allowance.take(self.pages.used() * PAGE as u64) {
            return left_out;
        }
        let (size, mut data, mut at) = (self.size(), Vec::new(), 0);
        while let Some(start) = self.pages.next_data(at).filter(|start| *start < size) {
            let end = self.pages.next_hole(start).min(size);
            let mut bytes = vec![0; (end - start) as usize];
            self.pages.read(start, &mut bytes);
            data.push(Extent { start, bytes });
            at = end;
        }
        ImageKind::File { size, data }
    }
}
