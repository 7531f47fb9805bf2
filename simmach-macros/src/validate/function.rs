//! The function below the attribute, and libtest's attributes on it.

use syn::{Attribute, Error, FnArg, LitStr, Meta, Result, ReturnType, Safety, Signature, Type};

use super::values::text;
use crate::parse::Errors;

pub(super) fn ignore(attr: &Attribute) -> Result<Option<LitStr>> {
    match &attr.meta {
        Meta::Path(_) => Ok(None),
        Meta::NameValue(pair) if text(&pair.value).is_some() => Ok(text(&pair.value)),
        Meta::NameValue(_) | Meta::List(_) => {
            Err(Error::new_spanned(&attr.meta, "expected `#[ignore]` or `#[ignore = \"reason\"]`"))
        }
    }
}

pub(super) fn should_panic(attr: &Attribute) -> Result<Option<LitStr>> {
    let wrong = || {
        let message = "expected `#[should_panic]` or `#[should_panic(expected = \"text\")]`";
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

/// Checks the signature. Returns whether the function can be called as a test's body.
pub(super) fn check_signature(sig: &Signature, errors: &mut Errors) -> bool {
    let mut found = Vec::new();
    if sig.asyncness.is_none() {
        found.push(Error::new(sig.fn_token.span, "a simulated test must be an `async fn`"));
    }
    if let Some(constness) = &sig.constness {
        found.push(Error::new(constness.span, "a simulated test cannot be `const`"));
    }
    match &sig.safety {
        Safety::Unsafe(token) => {
            found.push(Error::new(token.span, "a simulated test cannot be `unsafe`"));
        }
        Safety::Safe(token) => {
            found.push(Error::new(token.span, "a simulated test cannot be `safe`"));
        }
        Safety::Default => (),
    }
    if let Some(abi) = &sig.abi {
        found.push(Error::new_spanned(abi, "a simulated test cannot be `extern`"));
    }
    if !sig.generics.params.is_empty() {
        found.push(Error::new_spanned(&sig.generics, "a simulated test cannot be generic"));
    }
    if let Some(bounds) = &sig.generics.where_clause {
        found.push(Error::new_spanned(bounds, "a simulated test cannot have a `where` clause"));
    }
    if let Some(variadic) = &sig.variadic {
        found
            .push(Error::new_spanned(variadic, "a simulated test takes `sim: Sim` or no argument"));
    }
    for (nth, input) in sig.inputs.iter().enumerate() {
        match input {
            FnArg::Receiver(receiver) => found.push(Error::new_spanned(
                receiver,
                "a simulated test must be a free function, without `self`",
            )),
            FnArg::Typed(extra) if nth > 0 => found.push(Error::new_spanned(
                extra,
                "a simulated test takes `sim: Sim` or no argument",
            )),
            FnArg::Typed(sim) => match &*sim.ty {
                Type::Reference(_) => {
                    found.push(Error::new_spanned(
                        &sim.ty,
                        "the argument must be `sim: Sim`, not a reference; `Sim` is `Copy`",
                    ));
                }
                Type::ImplTrait(_) => {
                    found.push(Error::new_spanned(
                        &sim.ty,
                        "the argument of a simulated test must have the type `Sim`",
                    ));
                }
                _ => (),
            },
        }
    }
    let is_valid = found.is_empty();
    found.into_iter().for_each(|error| errors.push(error));
    is_valid
}

/// The type of the function's argument, if it has one.
pub(crate) fn sim_type(sig: &Signature) -> Option<&Type> {
    match sig.inputs.first() {
        Some(FnArg::Typed(typed)) => Some(&typed.ty),
        Some(FnArg::Receiver(_)) | None => None,
    }
}

/// The function's return type, if it is written.
pub(crate) fn output(sig: &Signature) -> Option<&Type> {
    match &sig.output {
        ReturnType::Type(_, ty) => Some(ty),
        ReturnType::Default => None,
    }
}
