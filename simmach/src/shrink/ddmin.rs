//! Delta debugging (Zeller and Hildebrandt, 2002): minimizes a list until no single item can be
//! removed.

/// Minimizes `items`. `test` tries lists in order and returns the index of the first list that passes, if any.
pub(super) fn ddmin<T: Clone>(
    mut items: Vec<T>,
    mut test: impl FnMut(&mut dyn Iterator<Item = Vec<T>>) -> Option<u64>,
) -> Vec<T> {
    if items.is_empty() {
        return items;
    }
    if test(&mut std::iter::once(Vec::new())).is_some() {
        return Vec::new();
    }
    let mut parts = 2;
    while items.len() > 1 {
        parts = parts.min(items.len());
        let found = {
            let chunks = chunks(items.len(), parts);
            let keep = |at: usize| items[chunks[at].clone()].to_vec();
            let without = |at: usize| {
                let chunk = &chunks[at];
                [&items[..chunk.start], &items[chunk.end..]].concat()
            };
            // With two chunks, each is the complement of the other.
            let kept = (0..parts).map(keep).map(|list| (list, 2));
            let left = (0..if parts > 2 { parts } else { 0 })
                .map(without)
                .map(|list| (list, (parts - 1).max(2)));
            let lists: Vec<_> = kept.chain(left).collect();
            test(&mut lists.iter().map(|(list, _)| list.clone())).and_then(|at| {
                let at = usize::try_from(at).ok()?;
                lists.into_iter().nth(at)
            })
        };
        match found {
            Some((list, next)) => {
                items = list;
                parts = next;
            }
            None if parts >= items.len() => break,
            None => parts *= 2,
        }
    }
    items
}

/// Splits a length into `parts` ranges of nearly the same size.
fn chunks(length: usize, parts: usize) -> Vec<std::ops::Range<usize>> {
    (0..parts).map(|part| length * part / parts..length * (part + 1) / parts).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn minimise(length: usize, fails: impl Fn(&[usize]) -> bool) -> (Vec<usize>, usize) {
        let mut runs = 0;
        let found = ddmin((0..length).collect(), |lists| {
            (0..).zip(lists).find_map(|(at, list)| {
                runs += 1;
                fails(&list).then_some(at)
            })
        });
        (found, runs)
    }

    proptest! {
        /// The result is exactly the needed items.
        #[test]
        fn ddmin_finds_the_needed_items(length in 1..60usize, needed in prop::collection::btree_set(0..60usize, 0..6)) {
            let needed: Vec<usize> = needed.into_iter().filter(|item| *item < length).collect();
            let (found, runs) = minimise(length, |list| needed.iter().all(|item| list.contains(item)));
            prop_assert_eq!(&found, &needed);
            prop_assert!(runs <= 1 + 2 * length * (needed.len() + 1), "{}", runs);
        }

        /// The result is minimal even if the test is not monotone.
        #[test]
        fn ddmin_leaves_no_removable_item(length in 1..40usize, parity in 0..3usize) {
            let fails = |list: &[usize]| list.contains(&0) && (list.len() % 3 == parity || list.len() == length);
            let (found, _) = minimise(length, fails);
            for at in 0..found.len() {
                let mut fewer = found.clone();
                fewer.remove(at);
                prop_assert!(!fails(&fewer), "{found:?}");
            }
        }
    }
}
