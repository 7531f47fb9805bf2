//! What is left after an error: the errors, and the function, so that the editor still knows what is in it.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::Error;

use crate::parse::{Errors, Function};
use crate::validate::Test;

/// The function as it stands, without what makes a test of it.
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

/// Something that is no function, as it stands.
pub(crate) fn item(errors: &Errors, item: TokenStream) -> TokenStream {
    let mut tokens = errors.to_compile_errors();
    tokens.extend(item);
    tokens
}

/// Points past the attributes and documentation, at what the item is.
pub(crate) fn no_function(item: &TokenStream) -> Error {
    let mut rest = item.clone().into_iter().peekable();
    while rest.next_if(|token| token.to_string() == "#").is_some() {
        rest.next();
    }
    let message = "`#[sim_test]` goes on an `async fn` with a body";
    Error::new_spanned(rest.next().to_token_stream(), message)
}
