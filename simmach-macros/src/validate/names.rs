//! Names of machines, and the zones they imply.

use std::collections::BTreeSet;

use syn::{Error, Expr, Lit, Result};

use super::Test;
use super::values::{literal, text};
use crate::parse::{Direction, Errors, Link, Machine, closest};

/// Maximum number of machines that one name may expand to, so that a typo in a range does not exhaust the memory.
const MAX_MACHINES: u64 = 100_000;

impl Test {
    /// Checks that every zone of a link contains a machine or the client. This is impossible if there is a `topology`, or if
    /// the client is not a literal.
    pub(super) fn check_zones(&self, errors: &mut Errors) {
        if !self.zones_known {
            return;
        }
        let client = self.client.as_ref().and_then(text);
        let named = self.machines.iter().flat_map(|machine| {
            let name = machine.name.value();
            expand_name(&name).unwrap_or_default()
        });
        let homes: BTreeSet<String> = named.map(|name| zone(&name).to_owned()).collect();
        let client_zone =
            client.as_ref().map_or("client".to_owned(), |name| zone(&name.value()).to_owned());
        for end in self.links.iter().flat_map(|link| [&link.from, &link.to]) {
            let name = end.value();
            if name.is_empty() || homes.contains(&name) || name == client_zone {
                continue;
            }
            let known = homes.iter().map(String::as_str).chain([client_zone.as_str()]);
            errors.at(
                end.span(),
                match closest(&name, known) {
                    Some(near) => format!("no machine is in zone {name:?}; did you mean {near:?}?"),
                    None => format!("no machine is in zone {name:?}; the zone of a machine is the part of its name after the first dot, or its whole name if it has no dot"),
                },
            );
        }
        let Some(client) = client else { return };
        let leaves = |link: &Link| {
            let back = link.direction == Direction::BothWays && link.to.value() == client_zone;
            back || link.from.value() == client_zone
        };
        let alone = !self.links.is_empty() && !self.links.iter().any(leaves);
        if alone && !homes.contains(&client_zone) {
            errors.at(
                client.span(),
                format!(
                    "the test's body runs in zone {client_zone:?}, from which no link leads to another zone; add a link"
                ),
            );
        }
    }
}

/// Expands the ranges in a name: `api{1..=2}.public` is `api1.public` and `api2.public`. The error says what is wrong
/// with the name.
pub(crate) fn expand_name(name: &str) -> std::result::Result<Vec<String>, String> {
    let mut names = vec![String::new()];
    let mut rest = name;
    while let Some(open) = rest.find(['{', '}']) {
        let close = rest[open..].find('}').map(|close| open + close);
        let (true, Some(close)) = (rest[open..].starts_with('{'), close) else {
            return Err("unmatched curly brace; expected a range of the form {1..=5}".to_owned());
        };
        let range = &rest[open + 1..close];
        let (first, past) = bounds(range)?;
        if (past - first).saturating_mul(names.len() as u64) > MAX_MACHINES {
            return Err(format!(
                "the ranges expand to more than {MAX_MACHINES} machines; use smaller ranges"
            ));
        }
        let before = &rest[..open];
        names = names
            .iter()
            .flat_map(|name| (first..past).map(move |n| format!("{name}{before}{n}")))
            .collect();
        rest = &rest[close + 1..];
    }
    for name in &mut names {
        name.push_str(rest);
    }
    Ok(names)
}

/// Parses a range. Returns its first number, and the number after its last.
fn bounds(range: &str) -> std::result::Result<(u64, u64), String> {
    let malformed = || format!("invalid range {{{range}}}; expected the form {{1..=5}}");
    let (first, last) = range.split_once("..").ok_or_else(malformed)?;
    let (last, inclusive) = last.strip_prefix('=').map_or((last, 0), |last| (last, 1));
    let number = |text: &str| text.trim().parse::<u64>().map_err(|_| malformed());
    let (first, last) = (number(first)?, number(last)?);
    let past = last.checked_add(inclusive).ok_or_else(malformed)?;
    if first >= past {
        let rule = match first == past && inclusive == 0 {
            true => "`..` excludes the end; write `..=` to include it",
            false => "its start must not be greater than its end",
        };
        return Err(format!("the range {{{range}}} is empty; {rule}"));
    }
    Ok((first, past))
}

/// Returns the part of the name after the first dot, or the whole name; without the service.
fn zone(name: &str) -> &str {
    let machine = name.split_once('/').map_or(name, |(machine, _)| machine);
    machine.split_once('.').map_or(machine, |(_, zone)| zone)
}

/// Checks all names. Returns whether each could be parsed.
pub(super) fn check_machines(machines: &[Machine], errors: &mut Errors) -> bool {
    let mut all_valid = true;
    let mut seen = BTreeSet::new();
    for Machine { name, .. } in machines {
        let text = name.value();
        let names = name_parts(&text).and_then(|()| expand_name(&text));
        let names = match names {
            Ok(names) => names,
            Err(wrong) => {
                errors.at(name.span(), format!("invalid machine {text:?}: {wrong}"));
                all_valid = false;
                continue;
            }
        };
        // Names are compared without regard to case.
        let twice: Vec<_> =
            names.into_iter().filter(|name| !seen.insert(name.to_ascii_lowercase())).collect();
        if let Some(twice) = twice.first() {
            let message = format!(
                "{twice:?} is declared twice: give each machine its own name, or use \"machine/service\" to run several services on one machine"
            );
            errors.at(name.span(), message);
        }
    }
    all_valid
}

/// Checks the form `name`, `name.zone` or `name.zone/service`, with parts of letters, digits, `-` and `_`.
fn name_parts(name: &str) -> std::result::Result<(), String> {
    if name.trim().is_empty() {
        return Err("the name is empty".to_owned());
    }
    // The dots of ranges are not separators.
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
    if let Some(odd) = plain.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_./".contains(*c)) {
        return Err(format!(
            "{odd:?} is not allowed in a name; use letters, digits, '-' and '_', in the form \"name\", \"name.zone\" or \"name.zone/service\""
        ));
    }
    let (machine, service) = plain.split_once('/').map_or((&*plain, None), |(m, s)| (m, Some(s)));
    if machine.split('.').any(str::is_empty) {
        return Err(
            "the name has an empty part; expected the form \"name\" or \"name.zone\"".to_owned()
        );
    }
    if machine.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok() {
        return Err("a name must not be an IP address or \"localhost\"".to_owned());
    }
    if service.is_some_and(|service| service.is_empty() || service.contains('/')) {
        return Err("expected one service after the slash, as in \"machine/service\"".to_owned());
    }
    Ok(())
}

pub(super) fn check_links(links: &[Link], errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for link in links {
        let (from, to) = (link.from.value(), link.to.value());
        for (end, name) in [(&link.from, &from), (&link.to, &to)] {
            if name.trim().is_empty() {
                errors.at(
                    end.span(),
                    "the name of a zone is empty; write the part of a machine's name after the \
                     first dot",
                );
            }
        }
        let there = seen.insert((from.clone(), to.clone()));
        let back = match link.direction {
            Direction::BothWays if from != to => seen.insert((to.clone(), from.clone())),
            Direction::BothWays | Direction::OneWay => true,
        };
        if !(there && back) {
            let (from, to) = if there { (to, from) } else { (from, to) };
            let message = format!(
                "the link from {from:?} to {to:?} is declared twice; `<->` declares both directions"
            );
            errors.at(link.from.span(), message);
        }
    }
}

pub(super) fn check_client(value: &Expr) -> Result<()> {
    let Some(literal) = literal(value) else {
        return Ok(());
    };
    let Lit::Str(name) = literal else {
        return Err(Error::new(
            literal.span(),
            "`client` must be the name of a machine in quotes, such as \"mover.botnet\"",
        ));
    };
    let text = name.value();
    let wrong = if text.contains(['{', '}', '*']) {
        Err("expected the name of one machine, without a range or `*`".to_owned())
    } else if text.contains('/') {
        Err("expected the name of a machine, without a service".to_owned())
    } else {
        name_parts(&text)
    };
    wrong.map_err(|wrong| Error::new(name.span(), format!("invalid `client` {text:?}: {wrong}")))
}
