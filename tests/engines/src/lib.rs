//! An empty library: this package consists of tests of storage engines.
