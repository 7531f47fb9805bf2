//! Colours of reports on terminals.

use std::fmt;

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    colours: bool,
}

/// The meaning of a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    /// The headline of a failure.
    Alarm,
    /// A fault that took effect, or an error.
    Fault,
    /// A warning.
    Warning,
    /// A line from the harness.
    Harness,
    /// Text that should stand out.
    Bold,
    /// Text that should stay in the background.
    Dim,
}

impl Style {
    /// Text without colours.
    pub(crate) const PLAIN: Self = Self { colours: false };

    /// Text with colours, regardless of the environment.
    #[cfg(test)]
    pub(super) const COLOURED: Self = Self { colours: true };

    /// Decides by `NO_COLOR`, then by `CARGO_TERM_COLOR`, and last by whether the output is a
    /// terminal.
    pub(crate) fn for_output(is_terminal: bool) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let cargo = std::env::var("CARGO_TERM_COLOR").ok();
        Self::decide(is_terminal, no_color, cargo.as_deref())
    }

    fn decide(is_terminal: bool, no_color: bool, cargo: Option<&str>) -> Self {
        let colours = match cargo {
            _ if no_color => false,
            Some("always") => true,
            Some("never") => false,
            Some(_) | None => is_terminal,
        };
        Self { colours }
    }

    /// Returns the text in a colour.
    pub(crate) fn paint<T: fmt::Display>(self, ink: Ink, text: T) -> Painted<T> {
        let ink = self.colours.then_some(ink);
        Painted { ink, text }
    }
}

/// A text and its colour.
#[derive(Debug)]
pub(crate) struct Painted<T> {
    ink: Option<Ink>,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = match self.ink {
            None => return self.text.fmt(f),
            Some(Ink::Alarm) => "1;31",
            Some(Ink::Fault) => "31",
            Some(Ink::Warning) => "33",
            Some(Ink::Harness) => "34",
            Some(Ink::Bold) => "1",
            Some(Ink::Dim) => "2",
        };
        write!(f, "\x1b[{code}m")?;
        self.text.fmt(f)?;
        f.write_str("\x1b[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_follow_environment_then_terminal() {
        let colours = |terminal, no_color, cargo| Style::decide(terminal, no_color, cargo).colours;
        assert!(colours(true, false, None));
        assert!(!colours(false, false, None));
        assert!(!colours(true, true, Some("always")));
        assert!(colours(false, false, Some("always")));
        assert!(!colours(true, false, Some("never")));
        assert!(colours(true, false, Some("auto")));
    }
}
