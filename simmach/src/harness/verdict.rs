//! What the runs of a test come to: trials, judgements, reports, progress.

pub(crate) mod capture;
pub(crate) mod interrupt;
pub(crate) mod judge;
pub(crate) mod judgement;
pub(crate) mod replay;
pub(crate) mod reporting;
pub(crate) mod trial;
