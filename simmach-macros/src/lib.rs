//! The `#[sim_test]` attribute of simmach.
//!
//! Four steps, a file each: [`parse`] reads the attribute and the function, [`validate`] checks what can be checked
//! before anything runs, [`expand`] writes the test, and [`fallback`] writes what is left of it after an error. All
//! errors are collected and reported at once, each on the token that is wrong.

use proc_macro::TokenStream;

mod expand;
mod fallback;
mod parse;
#[cfg(test)]
mod tests;
mod validate;

/// Turns one async function into many seeded runs of a whole cluster, in virtual time.
///
/// (The table of arguments is written below, with the crate's entry.)
#[proc_macro_attribute]
pub fn sim_test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::sim_test(arguments.into(), item.into()).into()
}
