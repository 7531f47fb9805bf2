//! The expansion after an error: the errors, and the function unchanged, so that editors can still
//! analyze the function.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::Error;

use crate::parse::{Errors, Function};
use crate::validate::Test;

/// Returns the errors and the function, which is then not a test.
pub(crate) fn function(errors: &Errors, test: &Test, function: &Function) -> TokenStream {
    let errors = errors.to_compile_errors();
    let Function { vis, sig, body, .. } = function;
    let attrs = &test.attrs;
    quote! {
        #errors
        #(#attrs)*
        #[allow(unused)]
        #vis #sig #body
    }
}

/// Returns the errors and an item that is not a function.
pub(crate) fn item(errors: &Errors, item: TokenStream) -> TokenStream {
    let mut tokens = errors.to_compile_errors();
    tokens.extend(item);
    tokens
}

/// Returns the error for an item that is not a function. The error points at the first token after the attributes.
pub(crate) fn not_a_function(item: &TokenStream) -> Error {
    let mut rest = item.clone().into_iter().peekable();
    while rest.next_if(|token| token.to_string() == "#").is_some() {
        rest.next();
    }
    let message = "`#[sim_test]` can only be applied to an `async fn` with a body";
    Error::new_spanned(rest.next().to_token_stream(), message)
}
