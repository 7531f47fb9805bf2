//! Names of machines and services, and the selectors that match them.
//!
//! `api{1..=3}.public` declares three machines. `machine/service` is one of several services on a
//! machine. The zone of a machine is the part of its name after the first dot, or its whole name if
//! it has no dot. A selector is a list of patterns: names in which `*` matches any characters,
//! including dots. The selector matches every name that one of its patterns matches.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::ops::Range;

use smallvec::SmallVec;

/// An invalid name of a machine or service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    /// A part of the name is empty.
    #[error("`{0}`: the name of a machine or service has an empty part")]
    Empty(String),
    /// The name is an address, or resolves to the local machine everywhere.
    #[error(
        "`{0}` cannot be the name of a machine: it is an IP address or a name of the local machine"
    )]
    Reserved(String),
    /// A character that is not allowed.
    #[error(
        "`{name}`: `{character}` is not allowed in the name of a machine; use letters, digits, `-`, `_` and `.`"
    )]
    Character {
        /// The name.
        name: String,
        /// The character.
        character: char,
    },
    /// A range that cannot be parsed.
    #[error("`{0}`: invalid range; expected {{1..=5}} or {{0..5}}")]
    Range(String),
    /// A range without numbers.
    #[error("`{name}`: the range {{{range}}} is empty")]
    EmptyRange {
        /// The name.
        name: String,
        /// The text in the braces.
        range: String,
    },
    /// More machines than one name may declare.
    #[error("`{name}`: the range {{{range}}} expands to more than {MAX_MACHINES} machines")]
    TooMany {
        /// The name.
        name: String,
        /// The text in the braces.
        range: String,
    },
}

/// Maximum number of machines that one name may declare.
pub(crate) const MAX_MACHINES: u64 = 100_000;

/// A name with ranges, such as `api{1..=3}.public`.
#[derive(Debug)]
pub(crate) struct NamePattern<'a> {
    /// Each range, with the text between it and the range before.
    ranges: SmallVec<[(&'a str, Range<u64>); 2]>,
    /// The text after the last range.
    rest: &'a str,
}

/// Parses a pattern that declares machines or services.
pub(crate) fn parse_declaration(pattern: &str) -> Result<NamePattern<'_>, NameError> {
    let names = NamePattern::parse(pattern)?;
    // The names of one pattern differ only in their numbers, and the first has the smallest ones. If any is invalid, for example
    // an address, so is the first.
    check(&names.first())?;
    Ok(names)
}

/// Returns whether a pattern declares exactly one name.
pub(crate) fn is_single(pattern: &str) -> Result<bool, NameError> {
    if pattern.contains('{') {
        Ok(parse_declaration(pattern)?.count() == 1)
    } else {
        check(pattern).map(|()| true)
    }
}

impl<'a> NamePattern<'a> {
    fn parse(pattern: &'a str) -> Result<Self, NameError> {
        let (mut ranges, mut rest, mut total) = (SmallVec::new(), pattern, 1);
        while let Some(open) = rest.find('{') {
            let close =
                rest[open..].find('}').ok_or_else(|| NameError::Range(pattern.to_owned()))?;
            let range = &rest[open + 1..open + close];
            let numbers = numbers(pattern, range)?;
            total *= numbers.end - numbers.start;
            if total > MAX_MACHINES {
                let (name, range) = (pattern.to_owned(), range.to_owned());
                return Err(NameError::TooMany { name, range });
            }
            ranges.push((&rest[..open], numbers));
            rest = &rest[open + close + 1..];
        }
        Ok(Self { ranges, rest })
    }

    /// The number of names.
    pub(crate) fn count(&self) -> usize {
        self.ranges.iter().map(|(_, numbers)| (numbers.end - numbers.start) as usize).product()
    }

    fn first(&self) -> Cow<'a, str> {
        let mut name = Cow::Borrowed("");
        for (text, numbers) in &self.ranges {
            name += *text;
            push_number(name.to_mut(), numbers.start);
        }
        name + self.rest
    }

    /// Calls `each` with every name. The numbers of the last range change fastest.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&str)) {
        match &*self.ranges {
            [] => each(self.rest),
            ranges => write_names(ranges, self.rest, &mut String::new(), &mut each),
        }
    }
}

/// Calls `each` with every name that begins with `name` and goes on with `ranges` and `rest`. Leaves `name` as it was.
fn write_names(
    ranges: &[(&str, Range<u64>)],
    rest: &str,
    name: &mut String,
    each: &mut impl FnMut(&str),
) {
    let before = name.len();
    match ranges {
        [] => {
            name.push_str(rest);
            each(name);
        }
        [(text, numbers), more @ ..] => {
            name.push_str(text);
            let length = name.len();
            for number in numbers.clone() {
                push_number(name, number);
                write_names(more, rest, name, each);
                name.truncate(length);
            }
        }
    }
    name.truncate(before);
}

/// Appends a number in decimal digits, at a third of the cost of `write!`.
fn push_number(text: &mut String, number: u64) {
    if number >= 10 {
        push_number(text, number / 10);
    }
    text.push(char::from(b'0' + (number % 10) as u8));
}

/// The zone of a machine.
pub(crate) fn zone(machine: &str) -> &str {
    let dot = machine.bytes().position(|byte| byte == b'.');
    dot.map_or(machine, |dot| &machine[dot + 1..])
}

/// Splits `machine/service`.
pub(crate) fn split(name: &str) -> (&str, Option<&str>) {
    let slash = name.bytes().position(|byte| byte == b'/');
    slash.map_or((name, None), |slash| (&name[..slash], Some(&name[slash + 1..])))
}

fn numbers(pattern: &str, range: &str) -> Result<Range<u64>, NameError> {
    let invalid = || NameError::Range(pattern.to_owned());
    let (start, end) = range.split_once("..").ok_or_else(invalid)?;
    let (end, inclusive) = end.strip_prefix('=').map_or((end, false), |end| (end, true));
    let parse = |text: &str| text.trim().parse::<u64>().map_err(|_| invalid());
    let (start, end) = (parse(start)?, parse(end)?);
    let past_end = if inclusive { end.checked_add(1).ok_or_else(invalid)? } else { end };
    if start >= past_end {
        let (name, range) = (pattern.to_owned(), range.to_owned());
        return Err(NameError::EmptyRange { name, range });
    }
    if past_end - start > MAX_MACHINES {
        return Err(NameError::TooMany { name: pattern.to_owned(), range: range.to_owned() });
    }
    Ok(start..past_end)
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

/// Selects machines, or services of machines, by patterns.
///
/// A pattern is the name of a machine or a service (`machine/service`). `*` matches any characters, and a range such as
/// `{1..=3}` stands for several patterns. A selector with several patterns matches what any of them matches. Methods that take
/// `impl Into<Selector>` accept a string, an array, a slice or a `Vec` of strings.
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
    /// Errors of patterns that could not be parsed.
    mistakes: Vec<String>,
}

impl Selector {
    /// A selector that matches every machine.
    pub fn all() -> Self {
        Self::from("*")
    }

    /// Returns `true` if a pattern matches the machine. A pattern for a service (`machine/service`) matches if its machine part
    /// does.
    pub fn matches(&self, machine: &str) -> bool {
        self.patterns.iter().any(|pattern| glob(split(pattern).0, machine))
    }

    /// Returns `true` if a pattern matches the service on the machine. `service` is `None` for the only service of a machine.
    pub fn matches_service(&self, machine: &str, service: Option<&str>) -> bool {
        self.patterns.iter().any(|pattern| {
            let (of_machine, of_service) = split(pattern);
            glob(of_machine, machine)
                && of_service.is_none_or(|own| service.is_some_and(|name| glob(own, name)))
        })
    }

    /// Iterates over the patterns as selectors of their own. Callers check that each pattern matches something.
    pub(crate) fn each(&self) -> impl Iterator<Item = Self> {
        let patterns = self.patterns.iter();
        patterns.map(|pattern| Self { patterns: vec![pattern.clone()], mistakes: Vec::new() })
    }

    /// Returns the mistakes in the selector, given the names of all machines. `of` says where the selector was given.
    pub(crate) fn mistakes(&self, of: &str, machines: &[&str]) -> Vec<String> {
        if !self.mistakes.is_empty() {
            return self.mistakes.iter().map(|mistake| format!("{of}: {mistake}")).collect();
        }
        let unmatched = self.each().filter(|one| !machines.iter().any(|name| one.matches(name)));
        let known = machines.join(", ");
        unmatched
            .map(|one| format!("{of}: no machine matches `{one}`; known machines: {known}"))
            .collect()
    }

    /// Returns whether a pattern matches the machine as a whole, not only one of its services.
    pub(crate) fn matches_whole(&self, machine: &str) -> bool {
        let mut patterns = self.patterns.iter().map(|pattern| split(pattern));
        patterns.any(|(whole, service)| service.is_none() && glob(whole, machine))
    }

    fn add(&mut self, pattern: &str) {
        match NamePattern::parse(pattern) {
            Ok(names) => names.for_each(|name| self.patterns.push(name.to_owned())),
            Err(error) => {
                self.mistakes.push(error.to_string());
                // An invalid pattern matches nothing, which callers report.
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

/// Matches `text` against `pattern`, where `*` matches any number of characters. Backtracks only to the last star.
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
        } else if let Some((at, matched)) = star {
            p = at + 1;
            t = matched + 1;
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

    fn expand(pattern: &str) -> Result<Vec<String>, NameError> {
        let names = parse_declaration(pattern)?;
        let mut expanded = Vec::new();
        names.for_each(|name| expanded.push(name.to_owned()));
        assert_eq!(expanded.len(), names.count());
        assert_eq!(expanded[0], names.first());
        Ok(expanded)
    }

    #[test]
    fn ranges_are_expanded() {
        assert_eq!(expand("api{1..=2}.public").unwrap(), ["api1.public", "api2.public"]);
        assert_eq!(expand("n{0..2}-{8..=9}").unwrap(), ["n0-8", "n0-9", "n1-8", "n1-9"]);
        assert_eq!(expand("cl.internal").unwrap(), ["cl.internal"]);
    }

    #[test]
    fn wrong_names_are_named() {
        for (name, expected) in [
            ("api{5..=1}", "`api{5..=1}`: the range {5..=1} is empty"),
            ("api{1..1}", "`api{1..1}`: the range {1..1} is empty"),
            ("api{1-2}", "`api{1-2}`: invalid range; expected {1..=5} or {0..5}"),
            ("api{1..=2", "`api{1..=2`: invalid range; expected {1..=5} or {0..5}"),
            (
                "Localhost",
                "`Localhost` cannot be the name of a machine: it is an IP address or a name of the local machine",
            ),
            (
                "10.0.0.1",
                "`10.0.0.1` cannot be the name of a machine: it is an IP address or a name of the local machine",
            ),
            ("", "``: the name of a machine or service has an empty part"),
            (".public", "`.public`: the name of a machine or service has an empty part"),
            ("a/", "`a/`: the name of a machine or service has an empty part"),
            (
                "a b",
                "`a b`: ` ` is not allowed in the name of a machine; use letters, digits, `-`, `_` and `.`",
            ),
            (
                "a/b/c",
                "`a/b/c`: `/` is not allowed in the name of a machine; use letters, digits, `-`, `_` and `.`",
            ),
            (
                "n{0..=99999999}",
                "`n{0..=99999999}`: the range {0..=99999999} expands to more than 100000 machines",
            ),
        ] {
            assert_eq!(expand(name).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn stars_match_dots() {
        assert!(glob("api*", "api1.public") && glob("*.public", "api1.public") && glob("*", "x"));
        assert!(glob("a*b*c", "a.b.b.c") && !glob("a*b*c", "a.b.b.d"));
        assert!(!glob("api", "api1") && !glob("", "a") && glob("", ""));
    }

    #[test]
    fn services_match_by_machine_or_by_service() {
        let selector = Selector::from("api*/web");
        assert!(selector.matches_service("api1", Some("web")));
        assert!(!selector.matches_service("api1", Some("db")));
        assert!(!selector.matches_service("api1", None));
        assert!(Selector::from("api1").matches_service("api1", Some("db")));
    }

    proptest! {
        /// `parse_declaration` checks only the first name.
        #[test]
        fn names_of_a_pattern_are_valid_if_the_first_is(text in "[a-c0-9.]{0,4}(\\{[0-9]{1,3}\\.\\.=?[0-9]{1,3}\\}[.0-9a]{0,3}){1,3}") {
            if let Ok(names) = expand(&text) {
                for name in names {
                    prop_assert!(check(&name).is_ok(), "{name} of {text}");
                }
            }
        }

        /// No text makes `parse_declaration` panic or declare an empty name.
        #[test]
        fn any_text_is_a_list_of_names_or_an_error(text in "[a-c0-9{}.=/* ]{0,12}") {
            if let Ok(names) = expand(&text) {
                prop_assert!(!names.is_empty() && names.iter().all(|name| !name.is_empty()));
            }
            let _ = Selector::from(text.as_str()).matches("a1.b");
        }

        #[test]
        fn pattern_without_stars_matches_only_itself(a in "[a-c.]{0,6}", b in "[a-c.]{0,6}") {
            prop_assert_eq!(glob(&a, &b), a == b);
        }
    }
}
