//! Checks what can be checked before anything runs, and turns what was read into a [`Test`].
//!
//! A value is checked where it is a literal; what an expression yields is checked by the compiler and at the start of
//! a run. Zones are checked when the whole cluster stands in the attribute.

use std::collections::BTreeSet;
use std::time::Duration;

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, Expr, ExprLit, FnArg, Lit, LitInt, LitStr, Meta, Path, Result, ReturnType,
    Safety, Signature, Type, UnOp,
};

use crate::parse::{Argument, Errors, Function, Given, Link, Machine, Value, near};

/// No test has more machines than this: a slip in a range should not fill the memory.
const MOST_MACHINES: u64 = 10_000;

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

/// A span of time.
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
        for Given {
            argument,
            name,
            value,
        } in given
        {
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
                (Argument::Crate, Value::Path(value)) => {
                    self.krate = Some(value);
                    Ok(())
                }
                (Argument::Crate, _) => {
                    self.sound = false;
                    Ok(())
                }
                (_, Value::Wrong) => Ok(()),
                (_, Value::Expr(_) | Value::Path(_) | Value::Machines(_) | Value::Links(_)) => {
                    unreachable!("the parser gives every argument a value of its form")
                }
            };
            if let Err(error) = checked {
                errors.push(error);
            }
        }
    }

    /// Every zone of a link must be one that a machine or the client is in. With a `topology`, or with a client that is
    /// not a literal, only a run can tell.
    fn zones(&self, errors: &mut Errors) {
        if !self.zones_known {
            return;
        }
        let client = self.client.as_ref().and_then(text);
        let named = self.machines.iter().flat_map(|machine| {
            let name = machine.name.value();
            expand_name(&name).unwrap_or_default()
        });
        let homes: BTreeSet<String> = named.map(|name| zone(&name).to_owned()).collect();
        let client_zone = client
            .as_ref()
            .map_or("client".to_owned(), |name| zone(&name.value()).to_owned());
        for end in self.links.iter().flat_map(|link| [&link.from, &link.to]) {
            let name = end.value();
            if name.is_empty() || homes.contains(&name) || name == client_zone {
                continue;
            }
            let known = homes
                .iter()
                .map(String::as_str)
                .chain([client_zone.as_str()]);
            errors.at(
                end.span(),
                match near(&name, known) {
                    Some(near) => format!("no machine is in zone {name:?}: did you mean {near:?}?"),
                    None => format!("no machine is in zone {name:?}: a machine's zone is what follows its first dot, or its own name"),
                },
            );
        }
        if let Some(client) = client {
            let linked = self
                .links
                .iter()
                .flat_map(|link| [link.from.value(), link.to.value()]);
            if !self.links.is_empty()
                && !homes.contains(&client_zone)
                && !linked.into_iter().any(|end| end == client_zone)
            {
                errors.at(
                    client.span(),
                    format!("no link leads to the client's zone {client_zone:?}: it could reach no machine"),
                );
            }
        }
    }

    fn attributes(&mut self, attrs: &[Attribute], errors: &mut Errors) {
        for attr in attrs {
            let path = attr.path();
            let checked = if path.is_ident("ignore") {
                ignore(attr).map(|reason| {
                    self.ignore = Some(Ignore {
                        attr: attr.clone(),
                        reason,
                    });
                })
            } else if path.is_ident("should_panic") {
                should_panic(attr).map(|expected| self.should_panic = Some(expected))
            } else if path
                .segments
                .last()
                .is_some_and(|last| last.ident == "sim_test")
            {
                Err(Error::new_spanned(path, "`#[sim_test]` is given twice"))
            } else if path
                .segments
                .last()
                .is_some_and(|last| last.ident == "test")
            {
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

/// The type of the one argument, when there is one.
pub(crate) fn sim_type(sig: &Signature) -> Option<&Type> {
    match sig.inputs.first() {
        Some(FnArg::Typed(typed)) => Some(&typed.ty),
        Some(FnArg::Receiver(_)) | None => None,
    }
}

/// All the names that a name with ranges stands for: `api{1..=2}.public` is `api1.public` and `api2.public`.
///
/// # Errors
///
/// What is wrong with the name.
pub(crate) fn expand_name(name: &str) -> std::result::Result<Vec<String>, String> {
    let mut names = vec![String::new()];
    let mut rest = name;
    while let Some(open) = rest.find(['{', '}']) {
        let close = rest[open..].find('}').map(|close| open + close);
        let (true, Some(close)) = (rest[open..].starts_with('{'), close) else {
            return Err("has a curly bracket without its other half".to_owned());
        };
        let range = &rest[open + 1..close];
        let (first, last) = bounds(range)?;
        if u64::from(last - first).saturating_mul(names.len() as u64) >= MOST_MACHINES {
            return Err(format!("is more than {MOST_MACHINES} machines"));
        }
        let before = &rest[..open];
        names = names
            .iter()
            .flat_map(|name| (first..=last).map(move |n| format!("{name}{before}{n}")))
            .collect();
        rest = &rest[close + 1..];
    }
    for name in &mut names {
        name.push_str(rest);
    }
    Ok(names)
}

fn bounds(range: &str) -> std::result::Result<(u32, u32), String> {
    let numbers = range
        .split_once("..=")
        .map(|(first, last)| (number_of(first), number_of(last)));
    let Some((Some(first), Some(last))) = numbers else {
        return Err(format!(
            "has {{{range}}}, which is no range: five machines are written {{1..=5}}"
        ));
    };
    if first > last {
        return Err(format!(
            "has a range that is upside down: write {{{last}..={first}}}"
        ));
    }
    Ok((first, last))
}

fn number_of(text: &str) -> Option<u32> {
    let text = text.trim();
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

/// What follows the first dot, or the name itself; a service's name is no part of it.
fn zone(name: &str) -> &str {
    let machine = name.split_once('/').map_or(name, |(machine, _)| machine);
    machine.split_once('.').map_or(machine, |(_, zone)| zone)
}

/// Whether every name could be read.
fn machine_names(machines: &[Machine], errors: &mut Errors) -> bool {
    let mut readable = true;
    let mut seen = BTreeSet::new();
    for Machine { name, .. } in machines {
        let text = name.value();
        let names = name_parts(&text).and_then(|()| expand_name(&text));
        let names = match names {
            Ok(names) => names,
            Err(wrong) => {
                errors.at(name.span(), format!("machine {text:?} {wrong}"));
                readable = false;
                continue;
            }
        };
        let twice: Vec<_> = names
            .into_iter()
            .filter(|name| !seen.insert(name.clone()))
            .collect();
        if let Some(twice) = twice.first() {
            errors.at(name.span(), format!("machine {twice:?} is named twice"));
        }
    }
    readable
}

/// `name`, `name.zone`, `name.zone/service`, each part of letters, digits, `-` and `_`.
fn name_parts(name: &str) -> std::result::Result<(), String> {
    if name.trim().is_empty() {
        return Err("has no name".to_owned());
    }
    // A range has dots of its own.
    let mut plain = String::new();
    let mut depth = 0_usize;
    for letter in name.chars() {
        match letter {
            '{' => {
                depth += 1;
                plain.push('0');
            }
            '}' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(letter),
            _ => (),
        }
    }
    if let Some(odd) = plain
        .chars()
        .find(|c| !c.is_alphanumeric() && !"-_./".contains(*c))
    {
        return Err(format!(
            "has {odd:?} in its name: letters, digits, '-', '_', a dot before the zone and a slash before the service"
        ));
    }
    let (machine, service) = plain
        .split_once('/')
        .map_or((&*plain, None), |(m, s)| (m, Some(s)));
    if machine.split('.').any(str::is_empty) {
        return Err("has a dot with nothing beside it in its name".to_owned());
    }
    if service.is_some_and(|service| service.is_empty() || service.contains('/')) {
        return Err("has a slash in its name that no service follows".to_owned());
    }
    Ok(())
}

fn link_pairs(links: &[Link], errors: &mut Errors) {
    use crate::parse::Direction;

    let mut seen = BTreeSet::new();
    for link in links {
        let (from, to) = (link.from.value(), link.to.value());
        for (end, name) in [(&link.from, &from), (&link.to, &to)] {
            if name.trim().is_empty() {
                errors.at(end.span(), "a zone has no name");
            }
        }
        let there = seen.insert((from.clone(), to.clone()));
        let back = match link.direction {
            Direction::BothWays if from != to => seen.insert((to.clone(), from.clone())),
            Direction::BothWays | Direction::OneWay => true,
        };
        if !(there && back) {
            errors.at(
                link.from.span(),
                format!("the link from {from:?} to {to:?} is given twice"),
            );
        }
    }
}

fn client(value: &Expr) -> Result<()> {
    let Some(literal) = literal(value) else {
        return Ok(());
    };
    let Lit::Str(name) = literal else {
        return Err(Error::new(
            literal.span(),
            "`client` is a machine's name in quotes: \"mover.botnet\"",
        ));
    };
    let text = name.value();
    let wrong = if text.contains(['{', '}', '*']) {
        Err("is no name of one machine".to_owned())
    } else if text.contains('/') {
        Err("names a service: a client is a machine".to_owned())
    } else {
        name_parts(&text)
    };
    wrong.map_err(|wrong| Error::new(name.span(), format!("client {text:?} {wrong}")))
}

fn plans(value: Expr) -> Vec<Expr> {
    match value {
        Expr::Array(array) if array.attrs.is_empty() => array.elems.into_iter().collect(),
        plan => vec![plan],
    }
}

fn seeds(value: &Expr) -> Result<()> {
    if let Expr::Range(range) = peel(value) {
        return Err(Error::new_spanned(
            range,
            "`seeds` is how many: `seeds = 100, base_seed = 5` runs the seeds 5 to 104",
        ));
    }
    match number(value, "`seeds`")? {
        Some(0) => Err(Error::new(
            value.span(),
            "with `seeds = 0` nothing would run: one seed is the least",
        )),
        Some(_) | None => Ok(()),
    }
}

fn steps(value: &Expr) -> Result<()> {
    match number(value, "`step_limit`")? {
        Some(0) => Err(Error::new(
            value.span(),
            "with `step_limit = 0` no run could begin",
        )),
        Some(_) | None => Ok(()),
    }
}

/// The value of a literal; `None` for an expression.
fn number(value: &Expr, what: &str) -> Result<Option<u64>> {
    let wrong = |span: Span| Error::new(span, format!("{what} is a whole number, such as 1000"));
    if let Expr::Unary(unary) = peel(value)
        && matches!(unary.op, UnOp::Neg(_))
        && literal(&unary.expr).is_some()
    {
        return Err(Error::new_spanned(
            unary,
            format!("{what} can't be negative"),
        ));
    }
    match literal(value) {
        None => Ok(None),
        Some(Lit::Int(number)) => parsed(number, what).map(Some),
        Some(other) => Err(wrong(other.span())),
    }
}

fn parsed(number: &LitInt, what: &str) -> Result<u64> {
    number
        .base10_parse()
        .map_err(|_| Error::new(number.span(), format!("{what} is at most {}", u64::MAX)))
}

fn limit(value: Expr, argument: Argument) -> Result<Limit> {
    let Some(literal) = literal(&value) else {
        return Ok(Limit::Expr(value));
    };
    let Lit::Str(text) = literal else {
        let message = format!(
            "`{argument}` is a time with its unit: \"10m\", \"90s\", or an expression such as 90.secs()"
        );
        return Err(Error::new(literal.span(), message));
    };
    let duration = humantime::parse_duration(&text.value()).map_err(|error| {
        Error::new(
            text.span(),
            format!("{:?} is no time: {error}", text.value()),
        )
    })?;
    if duration.is_zero() {
        return Err(Error::new(
            text.span(),
            format!("with a `{argument}` of zero no run could begin"),
        ));
    }
    Ok(Limit::Text(duration))
}

fn ignore(attr: &Attribute) -> Result<Option<LitStr>> {
    match &attr.meta {
        Meta::Path(_) => Ok(None),
        Meta::NameValue(pair) if text(&pair.value).is_some() => Ok(text(&pair.value)),
        Meta::NameValue(_) | Meta::List(_) => Err(Error::new_spanned(
            &attr.meta,
            "write `#[ignore]` or `#[ignore = \"reason\"]`",
        )),
    }
}

fn should_panic(attr: &Attribute) -> Result<Option<LitStr>> {
    let wrong = || {
        let message = "write `#[should_panic]` or `#[should_panic(expected = \"text\")]`";
        Error::new_spanned(&attr.meta, message)
    };
    match &attr.meta {
        Meta::Path(_) => Ok(None),
        Meta::NameValue(pair) => text(&pair.value).map(Some).ok_or_else(wrong),
        Meta::List(list) => {
            let pair: syn::MetaNameValue = list.parse_args().map_err(|_| wrong())?;
            let expected = text(&pair.value).filter(|_| pair.path.is_ident("expected"));
            expected.map(Some).ok_or_else(wrong)
        }
    }
}

/// Whether the function can be called as a test's body.
fn signature(sig: &Signature, errors: &mut Errors) -> bool {
    let mut wrong = Vec::new();
    if sig.asyncness.is_none() {
        wrong.push(Error::new(
            sig.fn_token.span,
            "a simulated test is an `async fn`",
        ));
    }
    if let Some(constness) = &sig.constness {
        wrong.push(Error::new(
            constness.span,
            "a simulated test can't be `const`",
        ));
    }
    match &sig.safety {
        Safety::Unsafe(token) => {
            wrong.push(Error::new(token.span, "a simulated test can't be `unsafe`"));
        }
        Safety::Safe(token) => {
            wrong.push(Error::new(token.span, "a simulated test can't be `safe`"));
        }
        Safety::Default => (),
    }
    if let Some(abi) = &sig.abi {
        wrong.push(Error::new_spanned(
            abi,
            "a simulated test can't be `extern`",
        ));
    }
    if !sig.generics.params.is_empty() {
        wrong.push(Error::new_spanned(
            &sig.generics,
            "a simulated test can't be generic",
        ));
    }
    if let Some(bounds) = &sig.generics.where_clause {
        wrong.push(Error::new_spanned(
            bounds,
            "a simulated test can't have bounds",
        ));
    }
    if let Some(variadic) = &sig.variadic {
        wrong.push(Error::new_spanned(
            variadic,
            "a simulated test takes `sim: Sim`, or nothing",
        ));
    }
    for (nth, input) in sig.inputs.iter().enumerate() {
        match input {
            FnArg::Receiver(receiver) => wrong.push(Error::new_spanned(
                receiver,
                "a simulated test is a function of its own: it has no `self`",
            )),
            FnArg::Typed(extra) if nth > 0 => wrong.push(Error::new_spanned(
                extra,
                "a simulated test takes `sim: Sim`, or nothing",
            )),
            FnArg::Typed(sim) => match &*sim.ty {
                Type::Reference(_) | Type::ImplTrait(_) => {
                    wrong.push(Error::new_spanned(
                        &sim.ty,
                        "write `sim: Sim`: it is `Copy`",
                    ));
                }
                _ => (),
            },
        }
    }
    let sound = wrong.is_empty();
    wrong.into_iter().for_each(|error| errors.push(error));
    sound
}

fn text(value: &Expr) -> Option<LitStr> {
    match literal(value) {
        Some(Lit::Str(text)) => Some(text.clone()),
        Some(_) | None => None,
    }
}

fn literal(value: &Expr) -> Option<&Lit> {
    match peel(value) {
        Expr::Lit(ExprLit { lit, .. }) => Some(lit),
        _ => None,
    }
}

/// Without the brackets around it, also those that a macro puts there unseen.
fn peel(value: &Expr) -> &Expr {
    match value {
        Expr::Group(group) => peel(&group.expr),
        Expr::Paren(paren) => peel(&paren.expr),
        other => other,
    }
}

/// The type that the function returns, when it says one.
pub(crate) fn output(sig: &Signature) -> Option<&Type> {
    match &sig.output {
        ReturnType::Type(_, ty) => Some(ty),
        ReturnType::Default => None,
    }
}
