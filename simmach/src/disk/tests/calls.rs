//! Single calls and their errors.
