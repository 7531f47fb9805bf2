//! Makes the generator of `futures::select!` a function of the run.
//!
//! `futures` draws the order of the branches from a thread-local generator, which is seeded from a
//! counter of the process. The generator is private, so this module finds it by its behaviour: it
//! is the only word of the thread's static TLS block that advances by one step of xorshift with
//! each
//! `select!`. A run sets the generator when it begins. If the generator is not found, it is not
//! changed, and the determinism check detects code that depends on it.

use std::sync::atomic::{AtomicIsize, Ordering};

use crate::engine::thread_storage::ThreadStorage;

/// Distance of the generator from the beginning of the thread's TLS block, in words. It is the same in every thread.
static OFFSET: AtomicIsize = AtomicIsize::new(UNKNOWN);
const UNKNOWN: isize = -1;
const NOWHERE: isize = -2;

/// Number of draws that are observed to find the generator.
const DRAWS: u32 = 4;

/// Sets this thread's generator from a word that the run has drawn.
pub(crate) fn seed(word: u64) {
    // The first draw initializes the generator.
    draw();
    let Some(storage) = ThreadStorage::of_this_object() else { return };
    let offset = match OFFSET.load(Ordering::Relaxed) {
        NOWHERE => return,
        UNKNOWN => {
            let found = find(storage);
            OFFSET.store(found.unwrap_or(NOWHERE), Ordering::Relaxed);
            found
        }
        offset => Some(offset),
    };
    if let Some(offset) = offset.and_then(|offset| usize::try_from(offset).ok()) {
        // A generator of this kind must not be zero.
        storage.set(offset, word | 1);
    }
}

/// The offset of the word that advances by one step with each draw; `None` unless there is exactly
/// one.
fn find(storage: ThreadStorage) -> Option<isize> {
    let words = (0..storage.len()).filter_map(|at| Some((at, storage.get(at)?)));
    // The generator is never zero, as many words are.
    let mut candidates: Vec<(usize, u64)> = words.filter(|(_, word)| *word != 0).collect();
    for _ in 0..DRAWS {
        draw();
        candidates.retain_mut(|(at, word)| {
            let before = std::mem::replace(word, storage.get(*at).unwrap_or(0));
            *word == step(before)
        });
    }
    match candidates[..] {
        [(only, _)] => isize::try_from(only).ok(),
        _ => None,
    }
}

/// One step of the generator: xorshift64* without its multiplication (Vigna, 2016).
fn step(mut state: u64) -> u64 {
    state ^= state >> 12;
    state ^= state << 25;
    state ^ state >> 27
}

/// Draws once: a `select!` over two futures shuffles two branches.
fn draw() {
    let mut once = std::pin::pin!(async {
        futures::select! {
            () = futures::future::ready(()) => {}
            () = futures::future::ready(()) => {}
        }
    });
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let _ = std::future::Future::poll(once.as_mut(), &mut cx);
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// The branches that 64 calls of `select!` take.
    fn branches() -> u64 {
        let mut taken = 0;
        for _ in 0..64 {
            let mut once = std::pin::pin!(async {
                futures::select! {
                    () = futures::future::ready(()) => 0,
                    () = futures::future::ready(()) => 1,
                }
            });
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            match std::future::Future::poll(once.as_mut(), &mut cx) {
                std::task::Poll::Ready(branch) => taken = taken << 1 | branch,
                std::task::Poll::Pending => unreachable!("both futures are ready"),
            }
        }
        taken
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the generator is a thread's own")]
    fn select_depends_on_the_seed() {
        let of = |word: u64, before: u32| {
            let run = move || {
                (0..before).for_each(|_| _ = branches());
                seed(word);
                branches()
            };
            thread::spawn(run).join().expect("no panic")
        };
        let first = of(7, 0);
        assert_eq!((of(7, 0), of(7, 3)), (first, first));
        assert_ne!(of(9, 0), first);
    }
}
