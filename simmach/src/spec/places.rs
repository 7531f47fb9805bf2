//! Where names stand: a hash table of one's own, which costs no allocation a name and is the same in every process.

use crate::engine::mix;

/// Places, found by a name's hash.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// A place and one more; 0 where there is none. As many as a power of two.
    slots: Vec<u32>,
    hashes: Vec<u64>,
}

impl Places {
    /// The places that were added for names of this hash, among which may be others', in the order in which they came.
    pub(super) fn of(&self, hash: u64) -> impl Iterator<Item = usize> {
        let mask = self.slots.len().wrapping_sub(1);
        let probed =
            (0..self.slots.len()).map(move |n| self.slots[(hash as usize).wrapping_add(n) & mask]);
        let taken = probed.take_while(|slot| *slot != 0).map(|slot| slot as usize - 1);
        taken.filter(move |place| self.hashes[*place] == hash)
    }

    /// Makes room for so many more.
    pub(super) fn reserve(&mut self, more: usize) {
        self.hashes.reserve(more);
        self.make_room(self.hashes.len() + more);
    }

    /// Adds the next place: they are numbered from 0.
    pub(super) fn add(&mut self, hash: u64) {
        self.make_room(self.hashes.len() + 1);
        self.hashes.push(hash);
        self.fill(self.hashes.len() - 1);
    }

    /// So that half of the slots are free, with so many places.
    fn make_room(&mut self, places: usize) {
        if places * 2 > self.slots.len() {
            self.slots = vec![0; (places * 4).next_power_of_two().max(16)];
            (0..self.hashes.len()).for_each(|place| self.fill(place));
        }
    }

    fn fill(&mut self, place: usize) {
        let mask = self.slots.len() - 1;
        let mut slot = self.hashes[place] as usize & mask;
        while self.slots[slot] != 0 {
            slot = (slot + 1) & mask;
        }
        self.slots[slot] = place as u32 + 1;
    }
}

/// A name's hash, whatever the case of its letters.
pub(super) fn hash(name: &str) -> u64 {
    name.as_bytes().chunks(8).fold(name.len() as u64, |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        word.make_ascii_lowercase();
        mix(hash, u64::from_le_bytes(word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_is_found_by_its_name_in_the_order_of_coming() {
        let mut places = Places::default();
        assert_eq!(places.of(hash("a")).count(), 0);
        for n in 0..1000 {
            places.add(hash(&format!("Machine{}.zone", n % 500)));
        }
        for n in 0..500 {
            let found: Vec<_> = places.of(hash(&format!("mAchine{n}.ZONE"))).collect();
            assert_eq!(found, [n, n + 500]);
        }
        assert_eq!(places.of(hash("machine500.zone")).count(), 0);
    }

    #[test]
    fn places_of_one_slot_are_told_apart() {
        let mut places = Places::default();
        (0..7).for_each(|n| places.add(n % 2 * 16));
        assert_eq!(places.of(0).collect::<Vec<_>>(), [0, 2, 4, 6]);
        assert_eq!(places.of(16).collect::<Vec<_>>(), [1, 3, 5]);
    }
}
