//! Programs on tokio for the tests.
