//! Tests of single calls and their errors.
