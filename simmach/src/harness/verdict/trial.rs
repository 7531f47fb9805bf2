//! One test on its way to a judgement: which seeds it runs, and how it is looked at.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::harness::config::{Choice, Config};
use crate::harness::seeds::Seeds;
use crate::harness::seeds::check::Rule;
use crate::harness::workers::pool::Pool;
use crate::report::numbers::span;
use crate::report::style::Style;
use crate::spec::{ExpectFailure, SimTest};

/// One test on its way to a judgement.
pub(crate) struct Trial<'a> {
    pub(crate) pool: &'a Pool,
    pub(crate) config: &'a Config,
    pub(crate) test: &'static SimTest,
    pub(crate) path: String,
    pub(crate) seeds: Seeds,
    pub(crate) rule: Rule,
    pub(crate) expect: Option<ExpectFailure>,
    pub(crate) which: Option<String>,
    pub(crate) style: Style,
}

impl<'a> Trial<'a> {
    /// With its seeds, unless they make no sense.
    pub(crate) fn new(
        pool: &'a Pool,
        config: &'a Config,
        test: &'static SimTest,
        style: Style,
    ) -> Result<Self, String> {
        let settings = catch_unwind(AssertUnwindSafe(test.settings))
            .map_err(|_| "the attribute's `seeds` or `base_seed` panicked".to_owned())?;
        let expect = settings.expect_failure;
        let seeds = Seeds::new(settings, config)?;
        let which = which(config, &seeds);
        let rule = match config.check.or(settings.check) {
            None => Rule::Some,
            Some(true) => Rule::Every,
            Some(false) => Rule::Off,
        };
        Ok(Self { pool, config, test, path: test.path(), seeds, rule, expect, which, style })
    }
}

/// Which seeds, where that is not what the attribute says.
fn which(config: &Config, seeds: &Seeds) -> Option<String> {
    let mut parts = Vec::new();
    if let (Choice::Random { .. }, Some((first, last))) = (config.choice, seeds.bounds()) {
        parts.push(format!("SIMMACH_SEEDS={first}..={last}"));
    }
    if let (Choice::Range { .. }, Some((first, last))) = (config.choice, seeds.bounds()) {
        parts.push(format!("{first}..={last}"));
    }
    if let Some(shard) = config.shard {
        parts.push(format!("shard {shard}"));
    }
    if let Some(budget) = config.budget {
        parts.push(format!("as many as fit into {}", span(budget.as_nanos())));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}
