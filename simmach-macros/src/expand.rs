//! Expands the test into the user's function, its entry in the registry, and a function for libtest.
//!
//! The function and the entry are inside a `const _`, so that their names cannot collide. The
//! user's tokens keep their spans, and generated tokens around them take the same spans. So on a
//! type error, the compiler points at the user's expression, not at the attribute.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Expr, LitStr};

use crate::fallback;
use crate::parse::{self, Bound, Direction, Errors, Function};
use crate::validate::{Ignore, Limit, Test, output, sim_type};

pub(crate) fn sim_test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let parsed = parse::arguments(arguments, &mut errors);
    let function: Function = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(_) => {
            errors.push(fallback::not_a_function(&item));
            return fallback::item(&errors, item);
        }
    };
    let test = Test::new(parsed, &function, &mut errors);
    if !test.can_expand {
        return fallback::function(&errors, &test, &function);
    }
    let mut tokens = errors.to_compile_errors();
    tokens.extend(expand(&test, &function));
    tokens
}

fn expand(test: &Test, function: &Function) -> TokenStream {
    let name = &function.sig.ident;
    let path = test.krate.as_ref().map_or_else(|| quote!(::simmach), ToTokens::to_token_stream);
    let inner = body(test, function);
    let spec = spec(test, function);
    let settings = settings(test);
    let entry = entry(test, name);
    let libtest_function = libtest_function(test, function, &path);
    quote! {
        const _: () = {
            use #path::__private as __simmach;
            #inner
            #spec
            #settings
            __simmach::inventory::submit! { #entry }
        };
        #libtest_function
    }
}

/// Returns the function without the attributes that this macro handles.
fn body(test: &Test, function: &Function) -> TokenStream {
    let Function { sig, body, .. } = function;
    let attrs = &test.attrs;
    quote!(#(#attrs)* #sig #body)
}

fn spec(test: &Test, function: &Function) -> TokenStream {
    let allows = allows(test);
    let mut calls = TokenStream::new();
    if let Some(topology) = &test.topology {
        calls.extend(call("topology", topology.span(), &[topology]));
    }
    for machine in &test.machines {
        calls.extend(call("machine", machine.service.span(), &[&machine.name, &machine.service]));
    }
    for link in &test.links {
        let method = match link.direction {
            Direction::BothWays => "link",
            Direction::OneWay => "link_one_way",
        };
        calls.extend(call(method, link.profile.span(), &[&link.from, &link.to, &link.profile]));
    }
    if let Some(client) = &test.client {
        calls.extend(call("client", client.span(), &[client]));
    }
    if let Some(native) = &test.native {
        calls.extend(call("native", native.span(), &[]));
    }
    if let Some(identical) = &test.identical_hardware {
        calls.extend(call("identical_hardware", identical.span(), &[]));
    }
    for plan in &test.plans {
        calls.extend(call("plan", plan.span(), &[plan]));
    }
    calls.extend(limit("time_limit", test.time_limit.as_ref()));
    calls.extend(limit("stall_limit", test.stall_limit.as_ref()));
    calls.extend(value("poll_limit", test.poll_limit.as_ref()));
    calls.extend(test.epoch.as_ref().map(epoch));
    let body = body_call(function);
    quote! {
        #(#allows)*
        fn __simmach_spec() -> __simmach::Spec {
            __simmach::SpecBuilder::new() #calls #body
        }
    }
}

/// Returns the call that passes the body. The call has the span of the return type, so that the compiler points there if the
/// type is not valid. The argument has the span of its type.
fn body_call(function: &Function) -> TokenStream {
    let sig = &function.sig;
    let span = at(output(sig).map_or_else(|| sig.ident.span(), Spanned::span));
    let mut name = sig.ident.clone();
    name.set_span(at(name.span()));
    let (parameter, argument) = match sim_type(sig) {
        Some(ty) => {
            let of_type = at(ty.span());
            (quote_spanned!(span=> sim), Some(quote_spanned!(of_type=> __simmach::argument(sim))))
        }
        None => (quote_spanned!(span=> _), None),
    };
    quote_spanned!(span=> .body(|#parameter| #name(#argument)))
}

fn settings(test: &Test) -> TokenStream {
    let allows = allows(test);
    let seeds = value("seeds", test.seeds.as_ref());
    let base_seed = value("base_seed", test.base_seed.as_ref());
    let check = value("check", test.check.as_ref());
    let own_process = value("own_process", test.own_process.as_ref());
    let expect_failure = test.expect_failure.as_ref().map(|bounds| {
        let bounds = bounds
            .iter()
            .map(|Bound { quantity, max }| call(&quantity.to_string(), max.span(), &[max]));
        quote!(.expect_failure(__simmach::ExpectFailure::new() #(#bounds)*))
    });
    quote! {
        #(#allows)*
        fn __simmach_settings() -> __simmach::Settings {
            __simmach::Settings::new() #seeds #base_seed #check #own_process #expect_failure
        }
    }
}

fn entry(test: &Test, name: &Ident) -> TokenStream {
    let name = name.to_string();
    let ignore = option(test.ignore.as_ref().map(|Ignore { reason, .. }| match reason {
        Some(reason) => reason.to_token_stream(),
        None => quote!(""),
    }));
    let should_panic = option(test.should_panic.as_ref().map(|expected| {
        let expected = option(expected.as_ref().map(LitStr::to_token_stream));
        quote!(__simmach::ShouldPanic { expected: #expected })
    }));
    quote! {
        __simmach::SimTest {
            name: #name,
            module_path: ::core::module_path!(),
            package: ::core::env!("CARGO_PKG_NAME"),
            target: ::core::env!("CARGO_CRATE_NAME"),
            manifest_dir: ::core::env!("CARGO_MANIFEST_DIR"),
            file: ::core::file!(),
            line: ::core::line!(),
            ignore: #ignore,
            should_panic: #should_panic,
            settings: __simmach_settings,
            spec: __simmach_spec,
        }
    }
}

/// Returns the function that libtest runs. Under `harness = false` the compiler drops it.
fn libtest_function(test: &Test, function: &Function, path: &TokenStream) -> TokenStream {
    let Function { vis, sig, .. } = function;
    let name = &sig.ident;
    let text = name.to_string();
    let ignore = test.ignore.as_ref().map(|Ignore { attr, .. }| attr);
    let docs = test.attrs.iter().filter(|attr| attr.path().is_ident("doc"));
    quote! {
        #(#docs)*
        #[::core::prelude::v1::test]
        #ignore
        #vis fn #name() {
            #path::__private::plain(::core::module_path!(), #text)
        }
    }
}

fn value(method: &str, value: Option<&Expr>) -> Option<TokenStream> {
    value.map(|value| call(method, value.span(), &[value]))
}

fn limit(method: &str, limit: Option<&Limit>) -> Option<TokenStream> {
    limit.map(|limit| match limit {
        Limit::Expr(value) => call(method, value.span(), &[value]),
        Limit::Text(time) => {
            let (seconds, nanos) = (time.as_secs(), time.subsec_nanos());
            let time = quote!(::core::time::Duration::new(#seconds, #nanos));
            call(method, Span::call_site(), &[&time])
        }
    })
}

fn epoch(epoch: &Limit) -> TokenStream {
    match epoch {
        Limit::Expr(value) => call("epoch", value.span(), &[value]),
        Limit::Text(since) => {
            let (seconds, nanos) = (since.as_secs(), since.subsec_nanos());
            let since = quote!(::core::time::Duration::new(#seconds, #nanos));
            let date = quote!(::std::time::SystemTime::UNIX_EPOCH + #since);
            call("epoch", Span::call_site(), &[&date])
        }
    }
}

fn call(method: &str, span: Span, arguments: &[&dyn ToTokens]) -> TokenStream {
    let span = at(span);
    let method = Ident::new(method, span);
    quote_spanned!(span=> .#method(#(#arguments),*))
}

fn option(value: Option<TokenStream>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}

/// Returns the function's `allow` attributes, which also apply to the arguments.
fn allows(test: &Test) -> impl Iterator<Item = &Attribute> {
    test.attrs.iter().filter(|attr| attr.path().is_ident("allow"))
}

/// Returns the location of the user's token with the hygiene of generated code, so that lints ignore the code.
fn at(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}
