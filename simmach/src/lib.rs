//! A test harness for distributed systems.
