//! The log filter: `RUST_LOG`, in the syntax that `env_logger` and `tracing-subscriber` share.
//!
//! The filter is a list of directives, each a level, a target, or `target=level`. Whether a
//! record is kept is decided by the level of the directive whose target is the longest prefix of the
//! record's target. Directives for spans and fields are not supported. Nor are regular expressions.

use std::env;
use std::sync::OnceLock;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// The environment variable of the filter.
pub(crate) const RUST_LOG: &str = "RUST_LOG";

/// The level if `RUST_LOG` is not set. At `DEBUG`, libraries log every protocol frame.
const DEFAULT: LevelFilter = LevelFilter::INFO;

/// Decides which records are kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LogFilter {
    targets: Targets,
    most_verbose: LevelFilter,
}

/// An invalid directive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid directive `{directive}` in {RUST_LOG}={text:?}: {why}; expected directives such as `warn`, `my_crate` or \
     `my_crate::module=debug`, separated by commas, with the levels off, error, warn, info, debug and trace"
)]
pub(crate) struct BadDirective {
    text: String,
    directive: String,
    why: &'static str,
}

/// The filter of this process. All of its runs share it, since `tracing` caches in statics which
/// records are enabled. Returns the first invalid directive as an error.
pub(crate) fn of_process() -> Result<&'static LogFilter, &'static BadDirective> {
    static FILTER: OnceLock<Result<LogFilter, BadDirective>> = OnceLock::new();
    let filter = FILTER.get_or_init(|| match env::var_os(RUST_LOG) {
        Some(text) => LogFilter::parse(&text.to_string_lossy()),
        None => Ok(LogFilter::default()),
    });
    filter.as_ref()
}

impl LogFilter {
    /// Parses a list of directives. An empty list means the default.
    pub(crate) fn parse(text: &str) -> Result<Self, BadDirective> {
        let mut targets = Targets::new();
        let mut most_verbose = None;
        let directives = text.split(',').map(str::trim).filter(|directive| !directive.is_empty());
        for directive in directives {
            let bad =
                |why| BadDirective { text: text.to_owned(), directive: directive.to_owned(), why };
            let level = match Directive::parse(directive).map_err(bad)? {
                Directive::Default(level) => {
                    targets = targets.with_default(level);
                    level
                }
                Directive::Target(target, level) => {
                    targets = targets.with_target(target, level);
                    level
                }
            };
            most_verbose = most_verbose.max(Some(level));
        }
        Ok(match most_verbose {
            Some(most_verbose) => Self { targets, most_verbose },
            None => Self::default(),
        })
    }

    /// Whether a record is kept.
    pub(crate) fn enables(&self, target: &str, level: tracing::Level) -> bool {
        level <= self.most_verbose && self.targets.would_enable(target, &level)
    }

    /// The most verbose level of any target.
    pub(crate) fn most_verbose(&self) -> LevelFilter {
        self.most_verbose
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self { targets: Targets::new().with_default(DEFAULT), most_verbose: DEFAULT }
    }
}

enum Directive<'a> {
    /// A level for all targets without a directive.
    Default(LevelFilter),
    /// A level for a target and those below it.
    Target(&'a str, LevelFilter),
}

impl<'a> Directive<'a> {
    fn parse(text: &'a str) -> Result<Self, &'static str> {
        if text.contains(['[', ']', '{', '}']) {
            return Err("filters by span or field are not supported");
        }
        if text.contains('/') {
            return Err("filters by regular expression are not supported");
        }
        let Some((target, level)) = text.split_once('=') else {
            return match text.parse() {
                Ok(level) => Ok(Self::Default(level)),
                Err(_) => Ok(Self::Target(checked(text)?, LevelFilter::TRACE)),
            };
        };
        let (target, level) = (checked(target.trim())?, level.trim());
        match level.parse() {
            Ok(filter) if !level.is_empty() => Ok(Self::Target(target, filter)),
            Ok(_) | Err(_) => Err("unknown level"),
        }
    }
}

/// Checks a target: a module path or a name of the user's, without characters of other syntaxes.
fn checked(target: &str) -> Result<&str, &'static str> {
    let is_odd = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '"' | '\'' | '=' | char::REPLACEMENT_CHARACTER)
    };
    match target.is_empty() || target.contains(is_odd) {
        true => Err("invalid target"),
        false => Ok(target),
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    fn kept(filter: &str, records: &[(&str, Level)]) -> Vec<bool> {
        let filter = LogFilter::parse(filter).expect(filter);
        records.iter().map(|(target, level)| filter.enables(target, *level)).collect()
    }

    const RECORDS: [(&str, Level); 6] = [
        ("shop::cart", Level::DEBUG),
        ("shop", Level::INFO),
        ("h2::codec", Level::DEBUG),
        ("h2", Level::WARN),
        ("other", Level::INFO),
        ("other", Level::ERROR),
    ];

    #[test]
    fn filter_defaults_to_info() {
        for nothing in ["", " ", ",", " , ,"] {
            assert_eq!(LogFilter::parse(nothing), Ok(LogFilter::default()), "{nothing:?}");
            assert_eq!(kept(nothing, &RECORDS), [false, true, false, true, true, true]);
        }
    }

    #[test]
    fn filter_takes_the_longest_target() {
        for (filter, expected) in [
            ("warn,shop=debug,h2=off", [true, true, false, false, false, true]),
            (" warn , shop = debug, h2=OFF,", [true, true, false, false, false, true]),
            ("shop", [true, true, false, false, false, false]),
            ("shop=info,shop::cart=trace", [true, true, false, false, false, false]),
            ("shop::cart=off,debug", [false, true, true, true, true, true]),
            ("off", [false; 6]),
            ("TRACE", [true; 6]),
            ("1", [false, false, false, false, false, true]),
            ("h2=3", [false, false, false, true, false, false]),
            // The last directive for a target counts.
            ("error,info", [false, true, false, true, true, true]),
        ] {
            assert_eq!(kept(filter, &RECORDS), expected, "{filter:?}");
        }
    }

    #[test]
    fn bad_directive_is_named() {
        for (text, directive) in [
            ("info,[conn{id=3}]=trace", "[conn{id=3}]=trace"),
            ("shop[request]", "shop[request]"),
            ("shop[{id}]=debug,info", "shop[{id}]=debug"),
            ("info/timeout", "info/timeout"),
            ("shop=verbose", "shop=verbose"),
            ("warn,shop=", "shop="),
            ("=debug", "=debug"),
            ("shop=debug=info", "shop=debug=info"),
            ("my crate=debug", "my crate=debug"),
            ("my crate", "my crate"),
            ("\"debug\"", "\"debug\""),
            ("sh\u{fffd}p=debug", "sh\u{fffd}p=debug"),
        ] {
            let error = LogFilter::parse(text).expect_err(text).to_string();
            assert!(
                error.contains(&format!("invalid directive `{directive}` in RUST_LOG=")),
                "{error}"
            );
            assert!(error.contains("expected directives such as"), "{error}");
        }
    }

    #[test]
    fn most_verbose_level_bounds_all() {
        for (filter, level) in [
            ("warn,shop=debug,h2=off", LevelFilter::DEBUG),
            ("off", LevelFilter::OFF),
            ("shop", LevelFilter::TRACE),
            ("", LevelFilter::INFO),
        ] {
            assert_eq!(LogFilter::parse(filter).expect(filter).most_verbose(), level, "{filter:?}");
        }
    }
}
