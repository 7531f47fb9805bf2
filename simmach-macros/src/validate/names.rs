//! Names of machines, and the zones that follow from them.

use std::collections::BTreeSet;

use syn::{Error, Expr, Lit, Result};

use super::Test;
use super::values::{literal, text};
use crate::parse::{Direction, Errors, Link, Machine, near};

/// No test has more machines than this: a slip in a range should not fill the memory.
const MOST_MACHINES: u64 = 100_000;

impl Test {
    /// Every zone of a link must be one that a machine or the client is in. With a `topology`, or with a client that is
    /// not a literal, only a run can tell.
    pub(super) fn zones(&self, errors: &mut Errors) {
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
                match near(&name, known) {
                    Some(near) => format!("no machine is in zone {name:?}: did you mean {near:?}?"),
                    None => format!("no machine is in zone {name:?}: a machine's zone is what follows its first dot, or its own name"),
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
                format!("no link leads from the client's zone {client_zone:?}: it could reach no machine"),
            );
        }
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
        let (first, past) = bounds(range)?;
        if (past - first).saturating_mul(names.len() as u64) > MOST_MACHINES {
            return Err(format!("is more than {MOST_MACHINES} machines"));
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

/// The first number and the one past the last.
fn bounds(range: &str) -> std::result::Result<(u64, u64), String> {
    let malformed =
        || format!("has {{{range}}}, which is no range: five machines are written {{1..=5}}");
    let (first, last) = range.split_once("..").ok_or_else(malformed)?;
    let (last, inclusive) = last.strip_prefix('=').map_or((last, 0), |last| (last, 1));
    let number = |text: &str| text.trim().parse::<u64>().map_err(|_| malformed());
    let (first, last) = (number(first)?, number(last)?);
    let past = last.checked_add(inclusive).ok_or_else(malformed)?;
    if first >= past {
        return Err(format!("has the range {{{range}}}, which is upside down"));
    }
    Ok((first, past))
}

/// What follows the first dot, or the name itself; a service's name is no part of it.
fn zone(name: &str) -> &str {
    let machine = name.split_once('/').map_or(name, |(machine, _)| machine);
    machine.split_once('.').map_or(machine, |(_, zone)| zone)
}

/// Whether every name could be read.
pub(super) fn machine_names(machines: &[Machine], errors: &mut Errors) -> bool {
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
        // A name is one, however its letters are written.
        let twice: Vec<_> =
            names.into_iter().filter(|name| !seen.insert(name.to_ascii_lowercase())).collect();
        if let Some(twice) = twice.first() {
            errors.at(name.span(), format!("machine {twice:?} is named twice"));
        }
    }
    readable
}

/// `name`, `name.zone`, `name.zone/service`, each part of letters, digits, `-` and `_`.
fn name_parts(name: &str) -> std::result::Result<(), String> {
    if name.trim().is_empty() {
        return Err("is an empty name".to_owned());
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
    if let Some(odd) = plain.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_./".contains(*c)) {
        return Err(format!(
            "has {odd:?} in its name: letters, digits, '-', '_', a dot before the zone and a slash before the service"
        ));
    }
    let (machine, service) = plain.split_once('/').map_or((&*plain, None), |(m, s)| (m, Some(s)));
    if machine.split('.').any(str::is_empty) {
        return Err("has a dot with nothing beside it in its name".to_owned());
    }
    if machine.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok() {
        return Err("has a name that means something else wherever it is looked up".to_owned());
    }
    if service.is_some_and(|service| service.is_empty() || service.contains('/')) {
        return Err("has a slash in its name that no service follows".to_owned());
    }
    Ok(())
}

pub(super) fn link_pairs(links: &[Link], errors: &mut Errors) {
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
            errors.at(link.from.span(), format!("the link from {from:?} to {to:?} is given twice"));
        }
    }
}

pub(super) fn client(value: &Expr) -> Result<()> {
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
        Err("is not the name of one machine".to_owned())
    } else if text.contains('/') {
        Err("names a service: a client is a machine".to_owned())
    } else {
        name_parts(&text)
    };
    wrong.map_err(|wrong| Error::new(name.span(), format!("client {text:?} {wrong}")))
}
