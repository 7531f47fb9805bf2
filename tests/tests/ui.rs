//! What `#[sim_test]` says to a mistake: each error has a file in `ui`, with the compiler's output beside it.
//!
//! The wrong programs are checked, not built. What is right is built and run by all the other tests. After a change of a
//! message, or of the compiler, `TRYBUILD=overwrite cargo test --test ui` writes the output anew: read the difference.

#[test]
fn every_mistake_is_told_on_its_token() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
