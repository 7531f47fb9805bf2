//! An empty library: this package consists of tests of programs on tokio.
