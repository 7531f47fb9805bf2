//! Comma-separated lists, parsed so that an error in one entry does not hide another.

use std::fmt;

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::parse::{ParseStream, Result};
use syn::{Error, Token};

/// All errors, in the order in which they were found.
#[derive(Default)]
pub(crate) struct Errors(Vec<Error>);

impl Errors {
    pub(crate) fn push(&mut self, error: Error) {
        self.0.push(error);
    }

    pub(crate) fn at(&mut self, span: Span, message: impl fmt::Display) {
        self.push(Error::new(span, message));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn to_compile_errors(&self) -> TokenStream {
        self.0.iter().map(Error::to_compile_error).collect()
    }
}

/// Parses a comma-separated list. After an error, it continues after the next comma that is followed by an entry.
pub(crate) fn list(
    input: ParseStream<'_>,
    errors: &mut Errors,
    begins: fn(ParseStream<'_>) -> bool,
    mut entry: impl FnMut(ParseStream<'_>, &mut Errors) -> Result<()>,
) {
    while !input.is_empty() {
        if let Err(error) = entry(input, errors) {
            errors.push(error);
            skip(input, begins);
        } else if !input.is_empty() && !input.peek(Token![,]) {
            errors.push(input.error("expected `,`"));
            if !begins(input) {
                skip(input, begins);
            }
        }
        // At the end of the list there is no comma.
        let _ = input.parse::<Option<Token![,]>>();
    }
}

/// Skips to the next comma that is followed by an entry or by nothing.
pub(crate) fn skip(input: ParseStream<'_>, begins: fn(ParseStream<'_>) -> bool) {
    if input.peek(Token![,]) {
        return;
    }
    while input.parse::<TokenTree>().is_ok() {
        let ahead = input.fork();
        if ahead.parse::<Token![,]>().is_ok() && (ahead.is_empty() || begins(&ahead)) {
            return;
        }
    }
}
