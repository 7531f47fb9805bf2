//! Checks what can be checked before anything runs, and turns what was read into a [`Test`].
//!
//! A value is checked where it is a literal; what an expression yields is checked by the compiler and at the start of
//! a run. Zones are checked when the whole cluster stands in the attribute.

use std::collections::BTreeSet;
use std::time::Duration;

use syn::{Attribute, Error, Expr, LitStr, Path};

use crate::parse::{Argument, Bound, Errors, Function, Given, Link, Machine, Value};

pub(crate) use function::{output, sim_type};

use function::{ignore, should_panic, signature};
use names::{client, link_pairs, machine_names};
use values::{epoch, limit, number, seeds, steps, switch, text};

mod function;
pub(crate) mod names;
mod values;

/// Everything that the expansion needs.
pub(crate) struct Test {
    pub(crate) krate: Option<Path>,
    pub(crate) seeds: Option<Expr>,
    pub(crate) base_seed: Option<Expr>,
    pub(crate) topology: Option<Expr>,
    pub(crate) machines: Vec<Machine>,
    pub(crate) links: Vec<Link>,
    pub(crate) client: Option<Expr>,
    pub(crate) plans: Vec<Expr>,
    pub(crate) time_limit: Option<Limit>,
    pub(crate) stall_limit: Option<Limit>,
    pub(crate) step_limit: Option<Expr>,
    pub(crate) epoch: Option<Limit>,
    pub(crate) check: Option<Expr>,
    pub(crate) expect_failure: Option<Vec<Bound>>,
    pub(crate) ignore: Option<Ignore>,
    /// `Some(None)`: with any text.
    pub(crate) should_panic: Option<Option<LitStr>>,
    /// What else stood above the function.
    pub(crate) attrs: Vec<Attribute>,
    /// Whether the test can be written in spite of the errors.
    pub(crate) sound: bool,
    /// Whether all the zones that there are could be read.
    zones_known: bool,
}

/// A span of time; of an epoch, since 1970.
pub(crate) enum Limit {
    Text(Duration),
    Expr(Expr),
}

/// `#[ignore]`, as it was written.
pub(crate) struct Ignore {
    pub(crate) attr: Attribute,
    pub(crate) reason: Option<LitStr>,
}

impl Test {
    pub(crate) fn new(given: Vec<Given>, function: &Function, errors: &mut Errors) -> Self {
        let mut test = Self {
            krate: None,
            seeds: None,
            base_seed: None,
            topology: None,
            machines: Vec::new(),
            links: Vec::new(),
            client: None,
            plans: Vec::new(),
            time_limit: None,
            stall_limit: None,
            step_limit: None,
            epoch: None,
            check: None,
            expect_failure: None,
            ignore: None,
            should_panic: None,
            attrs: Vec::new(),
            sound: true,
            zones_known: errors.is_empty(),
        };
        test.arguments(given, errors);
        test.zones(errors);
        test.attributes(&function.attrs, errors);
        test.sound &= signature(&function.sig, errors);
        test
    }

    fn arguments(&mut self, given: Vec<Given>, errors: &mut Errors) {
        let mut seen = BTreeSet::new();
        for Given { argument, name, value } in given {
            if !seen.insert(argument) {
                errors.at(name.span(), format!("`{argument}` is given twice"));
                continue;
            }
            let checked = match (argument, value) {
                (Argument::Seeds, Value::Expr(value)) => {
                    seeds(&value).map(|()| self.seeds = Some(*value))
                }
                (Argument::BaseSeed, Value::Expr(value)) => {
                    number(&value, "`base_seed`").map(|_| self.base_seed = Some(*value))
                }
                (Argument::Topology, Value::Expr(value)) => {
                    self.topology = Some(*value);
                    self.zones_known = false;
                    Ok(())
                }
                (Argument::Machines, Value::Machines(machines)) => {
                    self.zones_known &= machine_names(&machines, errors);
                    self.machines = machines;
                    Ok(())
                }
                (Argument::Links, Value::Links(links)) => {
                    link_pairs(&links, errors);
                    self.links = links;
                    Ok(())
                }
                (Argument::Client, Value::Expr(value)) => {
                    self.zones_known &= text(&value).is_some();
                    client(&value).map(|()| self.client = Some(*value))
                }
                (Argument::Chaos, Value::Expr(value)) => {
                    self.plans = plans(*value);
                    Ok(())
                }
                (Argument::TimeLimit, Value::Expr(value)) => {
                    limit(*value, argument).map(|limit| self.time_limit = Some(limit))
                }
                (Argument::StallLimit, Value::Expr(value)) => {
                    limit(*value, argument).map(|limit| self.stall_limit = Some(limit))
                }
                (Argument::StepLimit, Value::Expr(value)) => {
                    steps(&value).map(|()| self.step_limit = Some(*value))
                }
                (Argument::Epoch, Value::Expr(value)) => {
                    epoch(*value).map(|epoch| self.epoch = Some(epoch))
                }
                (Argument::Check, Value::Expr(value)) => {
                    switch(&value, argument).map(|()| self.check = Some(*value))
                }
                (Argument::ExpectFailure, Value::Bounds(bounds)) => {
                    let wrong = bounds.iter().filter_map(|one| number(&one.most, "a bound").err());
                    let wrong = wrong.reduce(|mut all, one| {
                        all.combine(one);
                        all
                    });
                    // One that is no number would be said to be so once more.
                    self.expect_failure = Some(if wrong.is_none() { bounds } else { Vec::new() });
                    wrong.map_or(Ok(()), Err)
                }
                (Argument::Crate, Value::Path(value)) => {
                    self.krate = Some(value);
                    Ok(())
                }
                (Argument::Crate, _) => {
                    self.sound = false;
                    Ok(())
                }
                (_, Value::Wrong) => Ok(()),
                (
                    _,
                    Value::Expr(_)
                    | Value::Path(_)
                    | Value::Machines(_)
                    | Value::Links(_)
                    | Value::Bounds(_),
                ) => {
                    unreachable!("the parser gives every argument a value of its form")
                }
            };
            if let Err(error) = checked {
                errors.push(error);
            }
        }
    }

    fn attributes(&mut self, attrs: &[Attribute], errors: &mut Errors) {
        for attr in attrs {
            let path = attr.path();
            let checked = if path.is_ident("ignore") {
                ignore(attr).map(|reason| {
                    self.ignore = Some(Ignore { attr: attr.clone(), reason });
                })
            } else if path.is_ident("should_panic") && self.expect_failure.is_some() {
                let message =
                    "`expect_failure` says already that the test fails: drop this attribute";
                Err(Error::new_spanned(path, message))
            } else if path.is_ident("should_panic") {
                should_panic(attr).map(|expected| self.should_panic = Some(expected))
            } else if path.segments.last().is_some_and(|last| last.ident == "sim_test") {
                Err(Error::new_spanned(path, "`#[sim_test]` is given twice"))
            } else if path.segments.last().is_some_and(|last| last.ident == "test") {
                Err(Error::new_spanned(
                    path,
                    "`#[sim_test]` makes a test already: drop this attribute",
                ))
            } else {
                self.attrs.push(attr.clone());
                Ok(())
            };
            if let Err(error) = checked {
                errors.push(error);
            }
        }
    }
}

fn plans(value: Expr) -> Vec<Expr> {
    match value {
        Expr::Array(array) if array.attrs.is_empty() => array.elems.into_iter().collect(),
        // As a list comes that a macro has as `$plans:expr`.
        Expr::Group(group) if is_list(&group.expr) => plans(*group.expr),
        plan => vec![plan],
    }
}

fn is_list(value: &Expr) -> bool {
    match value {
        Expr::Array(array) => array.attrs.is_empty(),
        Expr::Group(group) => is_list(&group.expr),
        _ => false,
    }
}
