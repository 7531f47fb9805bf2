//! The bytes of a file, in pages. A page that was never written or was cut off is a hole, which
//! reads as zeros.

use rustix::io::Errno;

use crate::disk::region::Region;

/// Size of a page in bytes.
pub(super) const PAGE: usize = 4096;

type Page = Box<[u8; PAGE]>;

/// Sparse bytes without a size. Bytes that were never written are zero.
#[derive(Debug)]
pub(super) enum Pages {
    Memory(Sparse),
    /// A memory file, since the file has been mapped.
    Mapped(Region),
}

/// Pages in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Sparse {
    pages: Vec<Option<Page>>,
    /// Number of pages that are not holes.
    used: u64,
}

impl Default for Pages {
    fn default() -> Self {
        Self::Memory(Sparse::default())
    }
}

impl Clone for Pages {
    /// The clone is not shared with mappings.
    fn clone(&self) -> Self {
        Self::Memory(match self {
            Self::Memory(sparse) => sparse.clone(),
            Self::Mapped(region) => {
                let mut sparse = Sparse::default();
                let mut bytes = [0; PAGE];
                for page in region.data_pages() {
                    let start = (page * PAGE) as u64;
                    region.read(start, &mut bytes);
                    sparse.write(start, &bytes);
                }
                sparse
            }
        })
    }
}

impl Pages {
    /// Moves the bytes of a file of this size to a memory file, unless they are in one. Returns its descriptor.
    pub(super) fn map(&mut self, size: u64) -> Result<i32, Errno> {
        if let Self::Memory(sparse) = self {
            let mut region = Region::new()?;
            for (page, bytes) in (0..).zip(&sparse.pages) {
                if let Some(bytes) = bytes {
                    region.write(page * PAGE as u64, &bytes[..]);
                }
            }
            region.set_size(size);
            *self = Self::Mapped(region);
        }
        match self {
            Self::Mapped(region) => Ok(region.descriptor()),
            Self::Memory(_) => Err(Errno::NOMEM),
        }
    }

    /// Leaves a memory file to the mappings that there are.
    pub(super) fn unmap(&mut self) {
        if let Self::Mapped(_) = self {
            *self = self.clone();
        }
    }

    /// The pages that are not holes.
    pub(super) fn data_pages(&self) -> Vec<usize> {
        match self {
            Self::Memory(sparse) => {
                let numbered = sparse.pages.iter().enumerate();
                numbered.filter(|(_, page)| page.is_some()).map(|(number, _)| number).collect()
            }
            Self::Mapped(region) => region.data_pages(),
        }
    }

    /// Number of pages that are not holes.
    pub(super) fn used(&self) -> u64 {
        match self {
            Self::Memory(sparse) => sparse.used,
            Self::Mapped(region) => region.used(),
        }
    }

    /// The end of the last page that is not a hole.
    pub(super) fn extent(&self) -> u64 {
        let last = match self {
            Self::Memory(sparse) => sparse.pages.iter().rposition(Option::is_some),
            Self::Mapped(region) => region.data_pages().last().copied(),
        };
        last.map_or(0, |last| ((last + 1) * PAGE) as u64)
    }

    /// Number of holes that a write would fill.
    pub(super) fn holes(&self, start: u64, length: u64) -> u64 {
        if length == 0 {
            return 0;
        }
        let (first, last) = (index(start), index(start + length - 1));
        let is_filled = |page: usize| match self {
            Self::Memory(sparse) => sparse.pages.get(page).is_some_and(Option::is_some),
            Self::Mapped(region) => {
                let start = (page * PAGE) as u64;
                region.next_data(start) == Some(start)
            }
        };
        (first..=last).filter(|page| !is_filled(*page)).count() as u64
    }

    /// Fills `into` from `start` on.
    pub(super) fn read(&self, start: u64, into: &mut [u8]) {
        match self {
            Self::Memory(sparse) => sparse.read(start, into),
            Self::Mapped(region) => region.read(start, into),
        }
    }

    /// Writes `from` at `start`.
    pub(super) fn write(&mut self, start: u64, from: &[u8]) {
        match self {
            Self::Memory(sparse) => sparse.write(start, from),
            Self::Mapped(region) => region.write(start, from),
        }
    }

    /// Makes holes of all from `end` on, where the file ends then.
    pub(super) fn cut(&mut self, end: u64) {
        match self {
            Self::Memory(sparse) => sparse.cut(end),
            Self::Mapped(region) => region.set_size(end),
        }
    }

    /// Clears a range. Pages that are wholly in it become holes.
    pub(super) fn clear(&mut self, start: u64, length: u64) {
        let length = self.extent().saturating_sub(start).min(length);
        match self {
            Self::Memory(sparse) => sparse.clear(start, length),
            Self::Mapped(region) => region.clear(start, length),
        }
    }

    /// The first position from `start` on that is not in a hole.
    pub(super) fn next_data(&self, start: u64) -> Option<u64> {
        match self {
            Self::Memory(sparse) => sparse.next_data(start),
            Self::Mapped(region) => region.next_data(start),
        }
    }

    /// The first position from `start` on that is in a hole.
    pub(super) fn next_hole(&self, start: u64) -> u64 {
        match self {
            Self::Memory(sparse) => sparse.next_hole(start),
            Self::Mapped(region) => region.next_hole(start),
        }
    }
}

impl Sparse {
    fn read(&self, start: u64, into: &mut [u8]) {
        for (page, within, part) in parts(start, into.len()) {
            let into = &mut into[part];
            match self.pages.get(page) {
                Some(Some(page)) => into.copy_from_slice(&page[within..within + into.len()]),
                Some(None) | None => into.fill(0),
            }
        }
    }

    fn write(&mut self, start: u64, from: &[u8]) {
        for (page, within, part) in parts(start, from.len()) {
            let from = &from[part];
            self.page(page)[within..within + from.len()].copy_from_slice(from);
        }
    }

    fn cut(&mut self, end: u64) {
        let (page, within) = (index(end), end as usize % PAGE);
        if within > 0
            && let Some(Some(page)) = self.pages.get_mut(page)
        {
            page[within..].fill(0);
        }
        let kept = page + usize::from(within > 0);
        if kept < self.pages.len() {
            let cut = self.pages.drain(kept..);
            self.used -= cut.flatten().count() as u64;
        }
    }

    fn clear(&mut self, start: u64, length: u64) {
        for (page, within, part) in parts(start, length as usize) {
            let Some(slot) = self.pages.get_mut(page) else { return };
            if part.len() == PAGE {
                self.used -= u64::from(slot.take().is_some());
            } else if let Some(page) = slot {
                page[within..within + part.len()].fill(0);
            }
        }
    }

    fn next_data(&self, start: u64) -> Option<u64> {
        let first = index(start);
        let rest = self.pages.get(first..)?;
        let found = first + rest.iter().position(Option::is_some)?;
        Some(start.max((found * PAGE) as u64))
    }

    fn next_hole(&self, start: u64) -> u64 {
        let first = index(start);
        let rest = self.pages.get(first..).unwrap_or_default();
        let filled = rest.iter().take_while(|page| page.is_some()).count();
        start.max(((first + filled) * PAGE) as u64)
    }

    fn page(&mut self, number: usize) -> &mut Page {
        if self.pages.len() <= number {
            self.pages.resize_with(number + 1, || None);
        }
        let slot = &mut self.pages[number];
        if slot.is_none() {
            self.used += 1;
        }
        slot.get_or_insert_with(|| Box::new([0; PAGE]))
    }
}

fn index(position: u64) -> usize {
    (position / PAGE as u64) as usize
}

/// The pages of a range: the number of the page, where the range begins in it, and which part of the range it is.
fn parts(
    start: u64,
    length: usize,
) -> impl Iterator<Item = (usize, usize, std::ops::Range<usize>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at == length {
            return None;
        }
        let position = start + at as u64;
        let within = (position % PAGE as u64) as usize;
        let part = at..(at + PAGE - within).min(length);
        at = part.end;
        Some((index(position), within, part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_zero_and_take_no_page() {
        let mut pages = Pages::default();
        pages.write(3 * PAGE as u64 - 1, b"ab");
        let mut found = [9; 4];
        pages.read(3 * PAGE as u64 - 2, &mut found);
        assert_eq!((found, pages.used()), ([0, b'a', b'b', 0], 2));
        assert_eq!((pages.next_data(0), pages.next_hole(0)), (Some(2 * PAGE as u64), 0));
        assert_eq!(pages.next_hole(2 * PAGE as u64), 4 * PAGE as u64);
        assert_eq!((pages.next_data(4 * PAGE as u64), pages.extent()), (None, 4 * PAGE as u64));
        assert_eq!(pages.holes(0, 4 * PAGE as u64), 2);
    }

    #[test]
    fn cut_and_cleared_bytes_are_zero() {
        let mut pages = Pages::default();
        pages.write(0, &[7; 3 * PAGE]);
        pages.clear(10, 2 * PAGE as u64);
        assert_eq!((pages.used(), pages.next_hole(0)), (2, PAGE as u64));
        pages.cut(2 * PAGE as u64 + 11);
        let mut found = vec![1; 3 * PAGE];
        pages.read(0, &mut found);
        let kept: Vec<usize> = (0..found.len()).filter(|at| found[*at] != 0).collect();
        assert_eq!(kept, [(0..10).collect::<Vec<_>>(), vec![2 * PAGE + 10]].concat());
        pages.cut(0);
        assert_eq!((pages.used(), pages.extent()), (0, 0));
    }
}
