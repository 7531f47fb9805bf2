//! Checks the parsed arguments and turns them into a [`Test`].
//!
//! Literals are checked here. Other expressions are checked by the compiler and at the start of a run. Zones are checked
//! if the attribute contains the whole cluster.

use std::collections::BTreeSet;
use std::time::Duration;

use proc_macro2::Ident;
use syn::{Attribute, Error, Expr, LitStr, Path, Result};

use crate::parse::{Argument, Bound, Errors, Function, Link, Machine, ParsedArgument, Value};

pub(crate) use function::{output, sim_type};

use function::{check_signature, ignore, should_panic};
use names::{check_client, check_links, check_machines};
use values::{
    check_bounds, check_polls, check_seeds, check_switch, epoch, hardware, limit, number, runtime,
    text,
};

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
    /// The identifier `native`, if all processes are declared native.
    pub(crate) native: Option<Ident>,
    /// The identifier `identical`, if all machines have identical hardware.
    pub(crate) identical_hardware: Option<Ident>,
    pub(crate) plans: Vec<Expr>,
    pub(crate) time_limit: Option<Limit>,
    pub(crate) stall_limit: Option<Limit>,
    pub(crate) poll_limit: Option<Expr>,
    pub(crate) epoch: Option<Limit>,
    pub(crate) check: Option<Expr>,
    pub(crate) own_process: Option<Expr>,
    pub(crate) expect_failure: Option<Vec<Bound>>,
    pub(crate) ignore: Option<Ignore>,
    /// `Some(None)` accepts any message.
    pub(crate) should_panic: Option<Option<LitStr>>,
    /// The function's other attributes.
    pub(crate) attrs: Vec<Attribute>,
    /// Whether the test can be expanded despite errors.
    pub(crate) can_expand: bool,
    /// Whether all zones of the cluster are known.
    zones_known: bool,
}

/// A duration. For `epoch`, the time since 1970.
pub(crate) enum Limit {
    Text(Duration),
    Expr(Expr),
}

/// The `#[ignore]` attribute.
pub(crate) struct Ignore {
    pub(crate) attr: Attribute,
    pub(crate) reason: Option<LitStr>,
}

impl Test {
    pub(crate) fn new(
        parsed: Vec<ParsedArgument>,
        function: &Function,
        errors: &mut Errors,
    ) -> Self {
        let mut test = Self {
            krate: None,
            seeds: None,
            base_seed: None,
            topology: None,
            machines: Vec::new(),
            links: Vec::new(),
            client: None,
            native: None,
            identical_hardware: None,
            plans: Vec::new(),
            time_limit: None,
            stall_limit: None,
            poll_limit: None,
            epoch: None,
            check: None,
            own_process: None,
            expect_failure: None,
            ignore: None,
            should_panic: None,
            attrs: Vec::new(),
            can_expand: true,
            zones_known: errors.is_empty(),
        };
        test.arguments(parsed, errors);
        test.check_zones(errors);
        test.attributes(&function.attrs, errors);
        test.can_expand &= check_signature(&function.sig, errors);
        test
    }

    fn arguments(&mut self, parsed: Vec<ParsedArgument>, errors: &mut Errors) {
        let mut seen = BTreeSet::new();
        for ParsedArgument { argument, name, value } in parsed {
            if !seen.insert(argument) {
                errors.at(
                    name.span(),
                    format!("duplicate argument `{argument}`; remove one of the two"),
                );
                continue;
            }
            if let Err(error) = self.argument(argument, value, errors) {
                errors.push(error);
            }
        }
    }

    /// Checks and stores an argument. This function is long because it has one arm for each argument.
    fn argument(&mut self, argument: Argument, value: Value, errors: &mut Errors) -> Result<()> {
        match (argument, value) {
            (Argument::Seeds, Value::Expr(value)) => {
                check_seeds(&value).map(|()| self.seeds = Some(*value))
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
                self.zones_known &= check_machines(&machines, errors);
                self.machines = machines;
                Ok(())
            }
            (Argument::Links, Value::Links(links)) => {
                check_links(&links, errors);
                self.links = links;
                Ok(())
            }
            (Argument::Client, Value::Expr(value)) => {
                self.zones_known &= text(&value).is_some();
                check_client(&value).map(|()| self.client = Some(*value))
            }
            (Argument::Runtime, Value::Expr(value)) => {
                runtime(&value).map(|native| self.native = native)
            }
            (Argument::Hardware, Value::Expr(value)) => {
                hardware(&value).map(|identical| self.identical_hardware = identical)
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
            (Argument::PollLimit, Value::Expr(value)) => {
                check_polls(&value).map(|()| self.poll_limit = Some(*value))
            }
            (Argument::Epoch, Value::Expr(value)) => {
                epoch(*value).map(|epoch| self.epoch = Some(epoch))
            }
            (Argument::Check, Value::Expr(value)) => {
                let checked = check_switch(&value, argument, "run each seed twice");
                checked.map(|()| self.check = Some(*value))
            }
            (Argument::OwnProcess, Value::Expr(value)) => {
                let effect = "run each seed in an OS process of its own";
                let checked = check_switch(&value, argument, effect);
                checked.map(|()| self.own_process = Some(*value))
            }
            (Argument::ExpectFailure, Value::Bounds(bounds)) => {
                let checked = check_bounds(&bounds);
                // An invalid bound would cause a second error in the expansion.
                self.expect_failure = Some(if checked.is_ok() { bounds } else { Vec::new() });
                checked
            }
            (Argument::Crate, Value::Path(value)) => {
                self.krate = Some(value);
                Ok(())
            }
            (Argument::Crate, _) => {
                self.can_expand = false;
                Ok(())
            }
            (_, Value::Invalid) => Ok(()),
            // All arguments are listed, so that one without an arm above is a compile error.
            (
                Argument::Seeds
                | Argument::BaseSeed
                | Argument::Topology
                | Argument::Machines
                | Argument::Links
                | Argument::Client
                | Argument::Runtime
                | Argument::Hardware
                | Argument::Chaos
                | Argument::TimeLimit
                | Argument::StallLimit
                | Argument::PollLimit
                | Argument::Epoch
                | Argument::Check
                | Argument::OwnProcess
                | Argument::ExpectFailure,
                Value::Expr(_)
                | Value::Path(_)
                | Value::Machines(_)
                | Value::Links(_)
                | Value::Bounds(_),
            ) => {
                unreachable!("the parser returns a value of the argument's form")
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
                let message = "`expect_failure` already expects a failure; remove this attribute";
                Err(Error::new_spanned(path, message))
            } else if path.is_ident("should_panic") {
                should_panic(attr).map(|expected| self.should_panic = Some(expected))
            } else if path.segments.last().is_some_and(|last| last.ident == "sim_test") {
                Err(Error::new_spanned(
                    path,
                    "duplicate attribute `#[sim_test]`; remove one of the two",
                ))
            } else if path.segments.last().is_some_and(|last| last.ident == "test") {
                Err(Error::new_spanned(
                    path,
                    "`#[sim_test]` already defines a test; remove this attribute",
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
        // A macro's `$plans:expr` comes in an invisible group.
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
