//! The `#[sim_test]` attribute.
use proc_macro::TokenStream;

/// Marks an async function as a simulated test.
#[proc_macro_attribute]
pub fn sim_test(_args: TokenStream, item: TokenStream) -> TokenStream {
    item
}
