//! `select!`: parses tokio's grammar and expands to one future.
//!
//! The input begins with the crate's path, which `simmach::select!` adds. The output contains no
//! `unsafe`. It pins the futures on the stack in a separate block, so that all of them are dropped
//! before a handler runs.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Block, Error, Expr, Pat, Token, token};

/// Maximum number of branches, as in tokio.
const MAX_BRANCHES: usize = 64;

mod words {
    syn::custom_keyword!(biased);
}

pub(crate) fn select(input: TokenStream) -> TokenStream {
    let mut tokens = input.into_iter();
    let Some(krate) = tokens.next() else { return TokenStream::new() };
    match Select::parse.parse2(tokens.collect::<TokenStream>()) {
        Ok(select) => expand(&krate, &select),
        Err(error) => error.to_compile_error(),
    }
}

struct Select {
    biased: bool,
    branches: Vec<Branch>,
    otherwise: Option<TokenStream>,
}

/// `pattern = future, if condition => handler`
struct Branch {
    pattern: Pat,
    future: Expr,
    condition: Option<Expr>,
    handler: TokenStream,
}

impl Parse for Select {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let biased = input.peek(words::biased) && input.peek2(Token![;]);
        if biased {
            input.parse::<words::biased>()?;
            input.parse::<Token![;]>()?;
        }
        let (mut branches, mut otherwise) = (Vec::<Branch>::new(), None);
        while !input.is_empty() {
            if input.peek(Token![else]) {
                input.parse::<Token![else]>()?;
                input.parse::<Token![=>]>()?;
                otherwise = Some(handler(input)?);
                if !input.is_empty() {
                    return Err(input.error("`else` must be the last branch"));
                }
            } else {
                branches.push(input.parse()?);
            }
        }
        if branches.is_empty() && otherwise.is_none() {
            return Err(input.error(
                "`select!` needs at least one branch of the form `pattern = future => handler`",
            ));
        }
        if branches.len() > MAX_BRANCHES {
            return Err(Error::new_spanned(
                &branches[MAX_BRANCHES].pattern,
                format!("`select!` takes at most {MAX_BRANCHES} branches"),
            ));
        }
        Ok(Self { biased, branches, otherwise })
    }
}

impl Parse for Branch {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let pattern = Pat::parse_multi_with_leading_vert(input)?;
        input.parse::<Token![=]>()?;
        let future = input.parse()?;
        let condition = if input.peek(Token![,]) {
            input.parse::<Token![,]>()?;
            input.parse::<Token![if]>()?;
            Some(input.parse()?)
        } else {
            None
        };
        input.parse::<Token![=>]>()?;
        let handler = handler(input)?;
        Ok(Self { pattern, future, condition, handler })
    }
}

/// Parses a handler: a block with an optional comma, or an expression with a comma unless it is the last.
fn handler(input: ParseStream<'_>) -> syn::Result<TokenStream> {
    if input.peek(token::Brace) {
        let block: Block = input.parse()?;
        input.parse::<Option<Token![,]>>()?;
        return Ok(block.into_token_stream());
    }
    let handler: Expr = input.parse()?;
    if !input.is_empty() {
        input.parse::<Token![,]>()?;
    }
    Ok(handler.into_token_stream())
}

fn expand(krate: &TokenTree, select: &Select) -> TokenStream {
    let otherwise = select.otherwise.clone().unwrap_or_else(|| {
        quote!(::core::panic!("all branches are disabled and there is no else branch"))
    });
    if select.branches.is_empty() {
        return quote!({ #otherwise });
    }
    let count = select.branches.len();
    let nth = || 0..count;
    let kinds: Vec<_> = nth().map(|nth| format_ident!("Branch{nth}")).collect();
    let types: Vec<_> = nth().map(|nth| format_ident!("T{nth}")).collect();
    let local = |name: &str| Ident::new(name, Span::mixed_site());
    let futures: Vec<_> = nth().map(|nth| local(&format!("future{nth}"))).collect();
    let (on, out, cx, waits) = (local("on"), local("out"), local("cx"), local("waits"));
    let conditions = select.branches.iter().map(|branch| match &branch.condition {
        Some(condition) => condition.to_token_stream(),
        None => quote!(true),
    });
    let expressions = select.branches.iter().map(|branch| &branch.future);
    let polls = select.branches.iter().enumerate().map(|(nth, branch)| {
        poll_arm(nth, &branch.pattern, (&futures[nth], &kinds[nth]), [&on, &out, &cx, &waits])
    });
    let arms = select.branches.iter().zip(&kinds).map(|(branch, kind)| {
        let Branch { pattern, handler, .. } = branch;
        quote!(__SimmachSelected::#kind(#pattern) => #handler,)
    });
    let order = if select.biased { quote!(as_written) } else { quote!(drawn) };
    quote! {{
        enum __SimmachSelected<#(#types),*> { #(#kinds(#types),)* Disabled }
        let #out = {
            let mut #on = [#(#conditions),*];
            #(let #futures = ::core::future::IntoFuture::into_future(#expressions);)*
            #(let mut #futures = ::core::pin::pin!(#futures);)*
            let #out = ::core::future::poll_fn(|#cx| {
                let mut #waits = false;
                for branch in #krate::__private::Order::#order(#count) {
                    match branch {
                        #(#polls)*
                        _ => {}
                    }
                }
                if #waits {
                    ::core::task::Poll::Pending
                } else {
                    ::core::task::Poll::Ready(__SimmachSelected::Disabled)
                }
            })
            .await;
            #out
        };
        #[allow(unreachable_patterns)]
        match #out {
            #(#arms)*
            __SimmachSelected::Disabled => #otherwise,
            _ => ::core::unreachable!("outputs that do not match are skipped"),
        }
    }}
}

/// Returns the match arm that polls the branch `nth` if it is enabled. An output that does not match the pattern is skipped.
fn poll_arm(
    nth: usize,
    pattern: &Pat,
    (future, kind): (&Ident, &Ident),
    [on, out, cx, waits]: [&Ident; 4],
) -> TokenStream {
    let check = check(pattern, out);
    quote! {
        #nth if #on[#nth] => match ::core::future::Future::poll(#future.as_mut(), #cx) {
            ::core::task::Poll::Ready(#out) => {
                #on[#nth] = false;
                #check
                return ::core::task::Poll::Ready(__SimmachSelected::#kind(#out));
            }
            ::core::task::Poll::Pending => #waits = true,
        },
    }
}

/// Skips an output that does not match its pattern. The output is only borrowed here: the handler's match moves it.
fn check(pattern: &Pat, out: &Ident) -> Option<TokenStream> {
    if matches_all(pattern) {
        return None;
    }
    let mut looks = pattern.clone();
    borrow_only(&mut looks);
    Some(quote! {
        #[allow(unused_variables, unreachable_patterns)]
        match &#out {
            #looks => {}
            _ => continue,
        }
    })
}

/// Whether a pattern certainly matches everything. A single name in capitals may be a constant.
fn matches_all(pattern: &Pat) -> bool {
    match pattern {
        Pat::Wild(_) => true,
        Pat::Ident(name) => {
            let is_variable =
                name.ident.to_string().starts_with(|c: char| c == '_' || c.is_lowercase());
            is_variable && name.subpat.is_none()
        }
        Pat::Tuple(tuple) => tuple
            .elems
            .iter()
            .all(|pattern| matches!(pattern, Pat::Rest(_)) || matches_all(pattern)),
        Pat::Paren(inner) => matches_all(&inner.pat),
        Pat::Type(typed) => matches_all(&typed.pat),
        _ => false,
    }
}

/// Removes `ref` and `mut` from names, since the matched value is behind a reference.
fn borrow_only(pattern: &mut Pat) {
    match pattern {
        Pat::Ident(name) => {
            name.by_ref = None;
            name.mutability = None;
            if let Some((_, inner)) = &mut name.subpat {
                borrow_only(inner);
            }
        }
        Pat::Or(or) => or.cases.iter_mut().for_each(borrow_only),
        Pat::Paren(inner) => borrow_only(&mut inner.pat),
        Pat::Reference(inner) => borrow_only(&mut inner.pat),
        Pat::Slice(slice) => slice.elems.iter_mut().for_each(borrow_only),
        Pat::Struct(parts) => parts.fields.iter_mut().for_each(|field| borrow_only(&mut field.pat)),
        Pat::Tuple(tuple) => tuple.elems.iter_mut().for_each(borrow_only),
        Pat::TupleStruct(parts) => parts.elems.iter_mut().for_each(borrow_only),
        Pat::Type(typed) => borrow_only(&mut typed.pat),
        _ => {}
    }
}
