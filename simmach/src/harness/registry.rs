//! The tests of this binary, which `#[sim_test]` has registered, in the same order in every
//! process.
//!
//! A test's number is its index in that order. The parent and its workers run the same binary and
//! therefore use the same numbers. When a worker starts, the parent compares digests of all keys
//! with it.

use std::sync::OnceLock;

use crate::spec::SimTest;

/// All tests of the binary, sorted by name.
pub(crate) fn all() -> &'static [&'static SimTest] {
    static ALL: OnceLock<Vec<&'static SimTest>> = OnceLock::new();
    ALL.get_or_init(|| sorted(inventory::iter::<SimTest>.into_iter().collect()))
}

/// Finds the test of a function.
pub(crate) fn find(module_path: &str, name: &str) -> Option<&'static SimTest> {
    all().iter().copied().find(|test| test.module_path == module_path && test.name == name)
}

/// Index of a test in `tests`.
pub(crate) fn number(tests: &[&'static SimTest], test: &'static SimTest) -> Option<u32> {
    let at = tests.iter().position(|other| std::ptr::eq(*other, test))?;
    u32::try_from(at).ok()
}

/// FNV-1a hash over all keys in order.
pub(crate) fn digest(tests: &[&'static SimTest]) -> u64 {
    let bytes = tests.iter().flat_map(|test| test.key().into_bytes().into_iter().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn sorted(mut tests: Vec<&'static SimTest>) -> Vec<&'static SimTest> {
    tests.sort_by_cached_key(|test| (test.path(), test.module_path));
    tests
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::testing;

    #[test]
    fn tests_are_ordered_by_displayed_name() {
        let tests = sorted(vec![
            testing::named("krate::zoo", "a"),
            testing::named("krate", "b"),
            testing::named("krate::zoo::inner", "c"),
            testing::named("krate", "a"),
        ]);
        let paths: Vec<String> = tests.iter().map(|test| test.path()).collect();
        assert_eq!(paths, ["a", "b", "zoo::a", "zoo::inner::c"]);
        assert_eq!(number(&tests, tests[2]), Some(2));
        assert_eq!(number(&tests[..2], tests[2]), None);
    }

    #[test]
    fn digest_depends_on_order_and_boundaries_of_names() {
        let (a, b) = (testing::named("k", "a"), testing::named("k", "b"));
        assert_ne!(digest(&[a, b]), digest(&[b, a]));
        assert_ne!(digest(&[a]), digest(&[a, a]));
        assert_ne!(digest(&[]), digest(&[a]));
    }
}
