//! Names of machines and the selectors that match them.
//!
//! `api{1..=3}.public` is three machines; `machine/service` is one of several services on a machine; a machine's zone is
//! what follows its first dot, or its own name. A selector is such a name in which `*` stands for any characters, dots
//! among them; several of them match what any does.

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;

/// Why a name can't be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    /// Nothing there.
    #[error("`{0}`: a machine or service name has an empty part")]
    Empty(String),
    /// A name that means something else to every kernel.
    #[error("`{0}` cannot be a machine name: it is an address, or resolves to the local machine")]
    Reserved(String),
    /// A character that no name has.
    #[error("`{name}`: `{character}` is not allowed in a machine name")]
    Character {
        /// The name.
        name: String,
        /// The character.
        character: char,
    },
    /// A range that does not parse.
    #[error("`{0}`: invalid range; expected {{1..=5}} or {{0..5}}")]
    Range(String),
    /// A range that is upside down.
    #[error("`{name}`: the range {{{range}}} is empty")]
    UpsideDown {
        /// The name.
        name: String,
        /// What stands in the braces.
        range: String,
    },
    /// More machines than anyone means.
    #[error("`{name}`: the range {{{range}}} expands to more than {MOST} machines")]
    TooMany {
        /// The name.
        name: String,
        /// What stands in the braces.
        range: String,
    },
}

/// The most machines that one range makes.
pub(crate) const MOST: u64 = 100_000;

/// The digits of a `u64` at most.
const MAX_DIGITS: usize = 20;

/// All the names that `pattern` stands for, its ranges written out from left to right.
///
/// # Errors
///
/// When a range does not parse or is upside down, or a name is empty or has a character that none has.
pub(crate) fn expand(pattern: &str) -> Result<Vec<String>, NameError> {
    let names = write_out(pattern)?;
    // Names of one pattern differ in their numbers alone, and the first has the least of each: if any is an address, or wrong
    // in another way, the first is.
    names.first().map_or(Ok(()), |name| check(name))?;
    Ok(names)
}

/// Whether a pattern stands for one name alone.
///
/// # Errors
///
/// As [`expand`].
pub(crate) fn is_one(pattern: &str) -> Result<bool, NameError> {
    if pattern.contains('{') {
        Ok(expand(pattern)?.len() == 1)
    } else {
        check(pattern).map(|()| true)
    }
}

fn write_out(pattern: &str) -> Result<Vec<String>, NameError> {
    let mut names = vec![String::new()];
    let mut rest = pattern;
    while let Some(open) = rest.find('{') {
        let close = rest[open..].find('}').ok_or_else(|| NameError::Range(pattern.to_owned()))?;
        let range = &rest[open + 1..open + close];
        let numbers = numbers(pattern, range)?;
        let count = numbers.end - numbers.start;
        if count * names.len() as u64 > MOST {
            return Err(NameError::TooMany { name: pattern.to_owned(), range: range.to_owned() });
        }
        let literal = &rest[..open];
        rest = &rest[open + close + 1..];
        let mut longer = Vec::with_capacity(names.len() * count as usize);
        for name in &names {
            for number in numbers.clone() {
                let mut text = String::with_capacity(pattern.len() + MAX_DIGITS);
                text.push_str(name);
                text.push_str(literal);
                text.push_str(&number.to_string());
                longer.push(text);
            }
        }
        names = longer;
    }
    if !rest.is_empty() {
        names.iter_mut().for_each(|name| name.push_str(rest));
    }
    Ok(names)
}

/// A machine's zone.
pub(crate) fn zone(machine: &str) -> &str {
    let dot = machine.bytes().position(|byte| byte == b'.');
    dot.map_or(machine, |dot| &machine[dot + 1..])
}

/// The machine and the service of `machine/service`.
pub(crate) fn split(name: &str) -> (&str, Option<&str>) {
    let slash = name.bytes().position(|byte| byte == b'/');
    slash.map_or((name, None), |slash| (&name[..slash], Some(&name[slash + 1..])))
}

fn numbers(pattern: &str, range: &str) -> Result<Range<u64>, NameError> {
    let wrong = || NameError::Range(pattern.to_owned());
    let (start, end) = range.split_once("..").ok_or_else(wrong)?;
    let (end, inclusive) = end.strip_prefix('=').map_or((end, false), |end| (end, true));
    let parse = |text: &str| text.trim().parse::<u64>().map_err(|_| wrong());
    let (start, end) = (parse(start)?, parse(end)?);
    let past = if inclusive { end.checked_add(1).ok_or_else(wrong)? } else { end };
    if start >= past {
        let (name, range) = (pattern.to_owned(), range.to_owned());
        return Err(NameError::UpsideDown { name, range });
    }
    if past - start > MOST {
        return Err(NameError::TooMany { name: pattern.to_owned(), range: range.to_owned() });
    }
    Ok(start..past)
}

fn check(name: &str) -> Result<(), NameError> {
    let (machine, service) = split(name);
    let parts = machine.split('.').chain(service);
    if parts.into_iter().any(str::is_empty) {
        return Err(NameError::Empty(name.to_owned()));
    }
    let may_be_address = machine.starts_with(|c: char| c == ':' || c.is_ascii_hexdigit());
    if machine.eq_ignore_ascii_case("localhost")
        || may_be_address && machine.parse::<IpAddr>().is_ok()
    {
        return Err(NameError::Reserved(machine.to_owned()));
    }
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    match name.chars().find(|c| !allowed(c)).or(service.and_then(|s| s.chars().find(|c| *c == '/')))
    {
        Some(character) => Err(NameError::Character { name: name.to_owned(), character }),
        None => Ok(()),
    }
}

/// Which machines, or services of machines, are meant: names with `*` and ranges.
///
/// ```
/// use simmach::Selector;
/// assert!(Selector::from("api*").matches("api1.public"));
/// assert!(Selector::from("api{1..=2}.public").matches("api2.public"));
/// assert!(!Selector::from(["a", "b"]).matches("c"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    patterns: Vec<String>,
    /// What is wrong with those that can't be read.
    mistakes: Vec<String>,
}

impl Selector {
    /// Every machine.
    pub fn all() -> Self {
        Self::from("*")
    }

    /// True if a pattern matches the machine's name. A pattern for a service (`machine/service`) does if its machine does.
    pub fn matches(&self, machine: &str) -> bool {
        self.patterns.iter().any(|pattern| glob(split(pattern).0, machine))
    }

    /// True if a pattern matches this service of this machine.
    pub fn matches_service(&self, machine: &str, service: Option<&str>) -> bool {
        self.patterns.iter().any(|pattern| {
            let (of_machine, of_service) = split(pattern);
            glob(of_machine, machine)
                && of_service.is_none_or(|own| service.is_some_and(|name| glob(own, name)))
        })
    }

    /// Its patterns, each by itself: one that matches nothing is a slip, whatever the others match.
    pub(crate) fn each(&self) -> impl Iterator<Item = Self> {
        let patterns = self.patterns.iter();
        patterns.map(|pattern| Self { patterns: vec![pattern.clone()], mistakes: Vec::new() })
    }

    /// What is wrong with it, given the names of all machines; `of` is what it was given for.
    pub(crate) fn mistakes(&self, of: &str, machines: &[&str]) -> Vec<String> {
        if !self.mistakes.is_empty() {
            return self.mistakes.iter().map(|mistake| format!("{of}: {mistake}")).collect();
        }
        let unmatched = self.each().filter(|one| !machines.iter().any(|name| one.matches(name)));
        unmatched.map(|one| format!("{of}: no machine matches `{one}`")).collect()
    }

    /// True if a pattern matches the machine as a whole, and not by one of its services alone.
    pub(crate) fn matches_whole(&self, machine: &str) -> bool {
        let mut patterns = self.patterns.iter().map(|pattern| split(pattern));
        patterns.any(|(whole, service)| service.is_none() && glob(whole, machine))
    }

    fn add(&mut self, pattern: &str) {
        match write_out(pattern) {
            Ok(patterns) => self.patterns.extend(patterns),
            Err(error) => {
                self.mistakes.push(error.to_string());
                // A name that matches nothing, which whoever uses it reports.
                self.patterns.push(pattern.to_owned());
            }
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.patterns.join(", "))
    }
}

impl From<&str> for Selector {
    fn from(pattern: &str) -> Self {
        Self::from([pattern])
    }
}

impl From<String> for Selector {
    fn from(pattern: String) -> Self {
        Self::from(pattern.as_str())
    }
}

impl From<&String> for Selector {
    fn from(pattern: &String) -> Self {
        Self::from(pattern.as_str())
    }
}

impl From<&Selector> for Selector {
    fn from(selector: &Selector) -> Self {
        selector.clone()
    }
}

impl<S: AsRef<str>, const N: usize> From<[S; N]> for Selector {
    fn from(patterns: [S; N]) -> Self {
        Self::from(&patterns[..])
    }
}

impl<S: AsRef<str>> From<Vec<S>> for Selector {
    fn from(patterns: Vec<S>) -> Self {
        Self::from(&patterns[..])
    }
}

impl<S: AsRef<str>> From<&[S]> for Selector {
    fn from(patterns: &[S]) -> Self {
        let mut selector = Self { patterns: Vec::new(), mistakes: Vec::new() };
        patterns.iter().for_each(|pattern| selector.add(pattern.as_ref()));
        selector
    }
}

/// `*` stands for any characters, none among them. Linear but for the stars.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, taken)) = star {
            p = at + 1;
            t = taken + 1;
            star = Some((at, t));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_make_machines() {
        assert_eq!(expand("api{1..=2}.public").unwrap(), ["api1.public", "api2.public"]);
        assert_eq!(expand("n{0..2}-{8..=9}").unwrap(), ["n0-8", "n0-9", "n1-8", "n1-9"]);
        assert_eq!(expand("cl.internal").unwrap(), ["cl.internal"]);
    }

    #[test]
    fn wrong_names_are_named() {
        for (name, said) in [
            ("api{5..=1}", "`api{5..=1}`: the range {5..=1} is empty"),
            ("api{1..1}", "`api{1..1}`: the range {1..1} is empty"),
            ("api{1-2}", "`api{1-2}`: invalid range; expected {1..=5} or {0..5}"),
            ("api{1..=2", "`api{1..=2`: invalid range; expected {1..=5} or {0..5}"),
            (
                "Localhost",
                "`Localhost` cannot be a machine name: it is an address, or resolves to the local machine",
            ),
            (
                "10.0.0.1",
                "`10.0.0.1` cannot be a machine name: it is an address, or resolves to the local machine",
            ),
            ("", "``: a machine or service name has an empty part"),
            (".public", "`.public`: a machine or service name has an empty part"),
            ("a/", "`a/`: a machine or service name has an empty part"),
            ("a b", "`a b`: ` ` is not allowed in a machine name"),
            ("a/b/c", "`a/b/c`: `/` is not allowed in a machine name"),
            (
                "n{0..=99999999}",
                "`n{0..=99999999}`: the range {0..=99999999} expands to more than 100000 machines",
            ),
        ] {
            assert_eq!(expand(name).unwrap_err().to_string(), said);
        }
    }

    #[test]
    fn stars_cross_dots() {
        assert!(glob("api*", "api1.public") && glob("*.public", "api1.public") && glob("*", "x"));
        assert!(glob("a*b*c", "a.b.b.c") && !glob("a*b*c", "a.b.b.d"));
        assert!(!glob("api", "api1") && !glob("", "a") && glob("", ""));
    }

    #[test]
    fn a_service_is_matched_by_its_machine_or_its_own_name() {
        let selector = Selector::from("api*/web");
        assert!(selector.matches_service("api1", Some("web")));
        assert!(!selector.matches_service("api1", Some("db")));
        assert!(!selector.matches_service("api1", None));
        assert!(Selector::from("api1").matches_service("api1", Some("db")));
    }

    proptest! {
        /// Only the first name of a pattern is checked.
        #[test]
        fn names_of_a_pattern_are_right_if_the_first_is(text in "[a-c0-9.]{0,4}(\\{[0-9]{1,3}\\.\\.=?[0-9]{1,3}\\}[.0-9a]{0,3}){1,3}") {
            if let Ok(names) = expand(&text) {
                for name in names {
                    prop_assert!(check(&name).is_ok(), "{name} of {text}");
                }
            }
        }

        /// Whatever is written, it is a list of names or an error, never a panic, and never a name that is empty.
        #[test]
        fn any_text_is_names_or_an_error(text in "[a-c0-9{}.=/* ]{0,12}") {
            if let Ok(names) = expand(&text) {
                prop_assert!(!names.is_empty() && names.iter().all(|name| !name.is_empty()));
            }
            let _ = Selector::from(text.as_str()).matches("a1.b");
        }

        #[test]
        fn a_pattern_without_stars_matches_itself_alone(a in "[a-c.]{0,6}", b in "[a-c.]{0,6}") {
            prop_assert_eq!(glob(&a, &b), a == b);
        }
    }
}
