//! Reads the tokens of `#[sim_test(...)]` and of the function below it.
//!
//! Only the grammar is checked here. After an error, parsing continues at the next argument or the next entry of a list, so
//! that one error does not hide another. The tokens of the function's body are passed on without being parsed.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser, Result};
use syn::token::Paren;
use syn::{Attribute, Error, Expr, LitStr, Path, Signature, Token, Visibility, parenthesized};

pub(crate) use argument::{Argument, closest};
pub(crate) use list::Errors;

use argument::{Form, unknown};
use list::{list, skip};

pub(crate) mod argument;
mod list;

/// A parsed argument.
pub(crate) struct ParsedArgument {
    pub(crate) argument: Argument,
    pub(crate) name: Ident,
    pub(crate) value: Value,
}

pub(crate) enum Value {
    Expr(Box<Expr>),
    Path(Path),
    Machines(Vec<Machine>),
    Links(Vec<Link>),
    Bounds(Vec<Bound>),
    /// A value that could not be parsed. The error is recorded, and the argument counts as given.
    Invalid,
}

/// `"api{1..=2}.public" => service`
pub(crate) struct Machine {
    pub(crate) name: LitStr,
    pub(crate) service: Expr,
}

/// `"a" <-> "b" => profile`
pub(crate) struct Link {
    pub(crate) from: LitStr,
    pub(crate) to: LitStr,
    pub(crate) direction: Direction,
    pub(crate) profile: Expr,
}

/// `faults <= 2`
pub(crate) struct Bound {
    pub(crate) quantity: Ident,
    pub(crate) max: Expr,
}

/// The quantities that `expect_failure` can bound.
const QUANTITIES: [&str; 4] = ["machines", "faults", "steps", "reorderings"];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    BothWays,
    OneWay,
}

/// The function below the attribute; its body is not parsed.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    pub(crate) body: Group,
}

/// Parses the arguments of the attribute.
pub(crate) fn arguments(tokens: TokenStream, errors: &mut Errors) -> Vec<ParsedArgument> {
    let mut parsed = Vec::new();
    let read = |input: ParseStream<'_>| {
        list(input, errors, begins_argument, |input, errors| {
            if let Some(argument) = argument(input, errors)? {
                parsed.push(argument);
            }
            Ok(())
        });
        Ok(())
    };
    if let Err(error) = read.parse2(tokens) {
        errors.push(error);
    }
    parsed
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        Ok(Self {
            attrs: input.call(Attribute::parse_outer)?,
            vis: input.parse()?,
            sig: input.parse()?,
            body: input.call(block)?,
        })
    }
}

/// Parses a block. A macro's `$body:block` comes in an invisible group, which is removed.
fn block(input: ParseStream<'_>) -> Result<Group> {
    let span = input.span();
    match input.parse()? {
        TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
            block.parse2(group.stream())
        }
        TokenTree::Group(group) => Ok(group),
        TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {
            Err(Error::new(span, "expected a block"))
        }
    }
}

fn begins_argument(input: ParseStream<'_>) -> bool {
    let Ok(name) = input.fork().call(Ident::parse_any) else {
        return false;
    };
    let known = Argument::named(&name.to_string()).is_some() && !input.peek2(Token![::]);
    let equals = input.peek2(Token![=]) && !input.peek2(Token![==]) && !input.peek2(Token![=>]);
    known || equals || input.peek2(Paren)
}

fn begins_entry(input: ParseStream<'_>) -> bool {
    input.peek(LitStr) || input.peek2(Token![=>])
}

fn begins_bound(input: ParseStream<'_>) -> bool {
    input.peek(Ident::peek_any)
}

/// Parses an argument. None if its name is unknown: the error is recorded and its value skipped.
fn argument(input: ParseStream<'_>, errors: &mut Errors) -> Result<Option<ParsedArgument>> {
    if !input.peek(Ident::peek_any) {
        return Err(input.error("expected an argument such as `seeds = 1000`"));
    }
    let name = input.call(Ident::parse_any)?;
    let Some(argument) = Argument::named(&name.to_string()) else {
        errors.at(name.span(), unknown(&name.to_string()));
        skip(input, begins_argument);
        return Ok(None);
    };
    let value = value(input, argument, &name, errors).unwrap_or_else(|error| {
        errors.push(error);
        skip(input, begins_argument);
        Value::Invalid
    });
    Ok(Some(ParsedArgument { argument, name, value }))
}

fn value(
    input: ParseStream<'_>,
    argument: Argument,
    name: &Ident,
    errors: &mut Errors,
) -> Result<Value> {
    let example = argument.example();
    if argument.form() == Form::Bounds && (input.is_empty() || input.peek(Token![,])) {
        return Ok(Value::Bounds(Vec::new()));
    }
    if input.is_empty() || input.peek(Token![,]) {
        return Err(Error::new(
            name.span(),
            format!("`{argument}` needs a value, for example `{example}`"),
        ));
    }
    let message = || format!("invalid `{argument}`: expected the form `{example}`");
    Ok(match argument.form() {
        Form::Value => {
            let equals = equals(input, message)?;
            Value::Expr(Box::new(expression(input, equals, message)?))
        }
        Form::Path => {
            let equals = equals(input, message)?;
            Value::Path(path(input, equals, message)?)
        }
        Form::Machines => {
            let mut machines = Vec::new();
            entries(input, errors, message, begins_entry, |input| {
                machines.push(machine(input)?);
                Ok(())
            })?;
            Value::Machines(machines)
        }
        Form::Links => {
            let mut links = Vec::new();
            entries(input, errors, message, begins_entry, |input| {
                links.push(link(input)?);
                Ok(())
            })?;
            Value::Links(links)
        }
        Form::Bounds => {
            let mut bounds = Vec::new();
            entries(input, errors, message, begins_bound, |input| {
                bounds.push(bound(input)?);
                Ok(())
            })?;
            Value::Bounds(bounds)
        }
    })
}

fn equals(input: ParseStream<'_>, message: impl Fn() -> String) -> Result<Token![=]> {
    if !input.peek(Token![=]) || input.peek(Token![==]) || input.peek(Token![=>]) {
        return Err(input.error(message()));
    }
    input.parse()
}

/// Parses the expression after the token `before`.
fn expression(
    input: ParseStream<'_>,
    before: impl ToTokens,
    message: impl Fn() -> String,
) -> Result<Expr> {
    if input.is_empty() || input.peek(Token![,]) {
        return Err(Error::new_spanned(before, message()));
    }
    let ahead = input.fork();
    input.parse().map_err(|error: Error| match last_span(&ahead) {
        // If an expression ends too early, there is no token that the error could point at.
        Some(last) if input.is_empty() => Error::new(last, error),
        Some(_) | None => error,
    })
}

fn last_span(input: ParseStream<'_>) -> Option<Span> {
    let mut last = None;
    while let Ok(token) = input.parse::<TokenTree>() {
        last = Some(token.span());
    }
    last
}

/// Parses a path, with or without quotes.
fn path(
    input: ParseStream<'_>,
    before: impl ToTokens,
    message: impl Fn() -> String,
) -> Result<Path> {
    if input.is_empty() || input.peek(Token![,]) {
        return Err(Error::new_spanned(before, message()));
    }
    if input.peek(LitStr) {
        let quoted: LitStr = input.parse()?;
        return quoted
            .parse_with(Path::parse_mod_style)
            .map_err(|_| Error::new(quoted.span(), message()));
    }
    let span = input.span();
    input.call(Path::parse_mod_style).map_err(|_| Error::new(span, message()))
}

/// Parses the parenthesized list of an argument.
fn entries(
    input: ParseStream<'_>,
    errors: &mut Errors,
    message: impl Fn() -> String,
    begins: fn(ParseStream<'_>) -> bool,
    mut entry: impl FnMut(ParseStream<'_>) -> Result<()>,
) -> Result<()> {
    if !input.peek(Paren) {
        return Err(input.error(message()));
    }
    let content;
    parenthesized!(content in input);
    list(&content, errors, begins, |input, _| entry(input));
    Ok(())
}

fn bound(input: ParseStream<'_>) -> Result<Bound> {
    let quantity = input.call(Ident::parse_any)?;
    if !QUANTITIES.iter().any(|known| quantity == known) {
        let message = format!(
            "unknown quantity `{quantity}`: expected `machines`, `faults`, `steps` or `reorderings`"
        );
        return Err(Error::new(quantity.span(), message));
    }
    let message = format!("invalid bound: expected the form `{quantity} <= 2`");
    if !input.peek(Token![<=]) {
        return Err(Error::new(quantity.span(), message));
    }
    let less: Token![<=] = input.parse()?;
    let max = input.parse().map_err(|_| Error::new_spanned(less, message))?;
    Ok(Bound { quantity, max })
}

fn machine(input: ParseStream<'_>) -> Result<Machine> {
    let name = quoted(input, "the name of a machine", "\"api1.public\" => service")?;
    let what = format!("machine {}", quoted_name(&name));
    let missing = format!("{what} has no service: write `{} => service`", quoted_name(&name));
    let arrow = arrow(input, &name, &format!("{what} and its service"), &missing)?;
    let service = expression(input, arrow, || missing.clone())?;
    Ok(Machine { name, service })
}

fn link(input: ParseStream<'_>) -> Result<Link> {
    let from = quoted(input, "the name of a zone", "\"botnet\" <-> \"public\" => profile")?;
    let (direction, way) = direction(input, &from)?;
    if ends_here(input) || input.peek(Token![=>]) {
        return Err(Error::new_spanned(&way, no_target(&from, &way)));
    }
    let to = quoted(input, "the name of a zone", "\"public\"")?;
    let [a, b] = [&from, &to].map(quoted_name);
    let what = format!("the link from {a} to {b}");
    let missing = format!("{what} has no profile: write `{a} {} {b} => profile`", squeezed(&way));
    let arrow = arrow(input, &to, &format!("{what} and its profile"), &missing)?;
    let profile = expression(input, arrow, || missing.clone())?;
    Ok(Link { from, to, direction, profile })
}

/// Parses the `<->` or `->` after the first zone of a link; returns its tokens too.
fn direction(input: ParseStream<'_>, from: &LitStr) -> Result<(Direction, TokenStream)> {
    if input.peek(Token![<]) && input.peek2(Token![-]) && input.peek3(Token![>]) {
        // Not parsed as one token: `macro_rules!` passes it on as `<-` and `>`.
        let way = [
            input.parse::<Token![<]>()?.to_token_stream(),
            input.parse::<Token![-]>()?.to_token_stream(),
            input.parse::<Token![>]>()?.to_token_stream(),
        ];
        return Ok((Direction::BothWays, way.into_iter().collect()));
    }
    if input.peek(Token![->]) {
        return Ok((Direction::OneWay, input.parse::<Token![->]>()?.to_token_stream()));
    }
    let name = quoted_name(from);
    if ends_here(input) {
        return Err(Error::new(from.span(), no_target(from, "<->")));
    }
    if input.peek(Token![=>]) {
        return Err(input.error(no_target(from, "<->")));
    }
    if input.peek(Token![<-]) {
        let ahead = input.fork();
        ahead.parse::<Token![<-]>()?;
        let to = ahead.parse::<LitStr>().map_or("\"zone\"".to_owned(), |to| quoted_name(&to));
        return Err(input.error(format!(
            "the arrow of a link must point to the right: write `{to} -> {name}`"
        )));
    }
    Err(input.error(format!("expected `<->`, or `->` for one direction, after zone {name}")))
}

fn no_target(from: &LitStr, way: impl ToString) -> String {
    let (name, way) = (quoted_name(from), squeezed(way));
    format!("the link from {name} has no target: write `{name} {way} \"zone\" => profile`")
}

/// Returns the text of tokens without spaces.
fn squeezed(tokens: impl ToString) -> String {
    tokens.to_string().replace(' ', "")
}

fn ends_here(input: ParseStream<'_>) -> bool {
    input.is_empty() || input.peek(Token![,])
}

/// Parses a string literal; the error points at the token found instead.
fn quoted(input: ParseStream<'_>, what: &str, example: &str) -> Result<LitStr> {
    input.parse().map_err(|_| match input.fork().call(Ident::parse_any) {
        Ok(bare) => input.error(format!("{what} must be in quotes: write `\"{bare}\"`")),
        Err(_) => input.error(format!("expected {what} in quotes, such as `{example}`")),
    })
}

/// Parses the `=>` after a name. `between` describes what is on its two sides.
fn arrow(
    input: ParseStream<'_>,
    name: &LitStr,
    between: &str,
    missing: &str,
) -> Result<Token![=>]> {
    if ends_here(input) {
        return Err(Error::new(name.span(), missing));
    }
    if !input.peek(Token![=>]) {
        return Err(input.error(format!("expected `=>` between {between}")));
    }
    input.parse()
}

fn quoted_name(name: &LitStr) -> String {
    format!("{:?}", name.value())
}
