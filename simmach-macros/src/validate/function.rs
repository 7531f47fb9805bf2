//! The function below the attribute, and the attributes that are libtest's.

use syn::{Attribute, Error, FnArg, LitStr, Meta, Result, ReturnType, Safety, Signature, Type};

use super::values::text;
use crate::parse::Errors;

pub(super) fn ignore(attr: &Attribute) -> Result<Option<LitStr>> {
    match &attr.meta {
        Meta::Path(_) => Ok(None),
        Meta::NameValue(pair) if text(&pair.value).is_some() => Ok(text(&pair.value)),
        Meta::NameValue(_) | Meta::List(_) => {
            Err(Error::new_spanned(&attr.meta, "write `#[ignore]` or `#[ignore = \"reason\"]`"))
        }
    }
}

pub(super) fn should_panic(attr: &Attribute) -> Result<Option<LitStr>> {
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
pub(super) fn signature(sig: &Signature, errors: &mut Errors) -> bool {
    let mut wrong = Vec::new();
    if sig.asyncness.is_none() {
        wrong.push(Error::new(sig.fn_token.span, "a simulated test is an `async fn`"));
    }
    if let Some(constness) = &sig.constness {
        wrong.push(Error::new(constness.span, "a simulated test can't be `const`"));
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
        wrong.push(Error::new_spanned(abi, "a simulated test can't be `extern`"));
    }
    if !sig.generics.params.is_empty() {
        wrong.push(Error::new_spanned(&sig.generics, "a simulated test can't be generic"));
    }
    if let Some(bounds) = &sig.generics.where_clause {
        wrong.push(Error::new_spanned(bounds, "a simulated test can't have bounds"));
    }
    if let Some(variadic) = &sig.variadic {
        wrong.push(Error::new_spanned(variadic, "a simulated test takes `sim: Sim`, or nothing"));
    }
    for (nth, input) in sig.inputs.iter().enumerate() {
        match input {
            FnArg::Receiver(receiver) => wrong.push(Error::new_spanned(
                receiver,
                "a simulated test is a function of its own: it has no `self`",
            )),
            FnArg::Typed(extra) if nth > 0 => wrong
                .push(Error::new_spanned(extra, "a simulated test takes `sim: Sim`, or nothing")),
            FnArg::Typed(sim) => match &*sim.ty {
                Type::Reference(_) | Type::ImplTrait(_) => {
                    wrong.push(Error::new_spanned(&sim.ty, "write `sim: Sim`: it is `Copy`"));
                }
                _ => (),
            },
        }
    }
    let sound = wrong.is_empty();
    wrong.into_iter().for_each(|error| errors.push(error));
    sound
}

/// The type of the one argument, when there is one.
pub(crate) fn sim_type(sig: &Signature) -> Option<&Type> {
    match sig.inputs.first() {
        Some(FnArg::Typed(typed)) => Some(&typed.ty),
        Some(FnArg::Receiver(_)) | None => None,
    }
}

/// The type that the function returns, when it says one.
pub(crate) fn output(sig: &Signature) -> Option<&Type> {
    match &sig.output {
        ReturnType::Type(_, ty) => Some(ty),
        ReturnType::Default => None,
    }
}
