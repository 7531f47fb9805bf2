//! Tests the macro on tokens: its expansion, its errors, and that it never panics.

use proc_macro2::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};
use proptest::prelude::*;
use syn::Item;

use crate::expand::sim_test;
use crate::parse::argument::ARGUMENTS;
use crate::validate::names::expand_name;

const PLAIN: &str = "async fn t() {}";

#[test]
fn test_without_arguments_has_an_entry_and_a_libtest_function() {
    let items =
        expanded("", "/// Text.\n#[allow(x)] pub async fn t(sim: Sim) -> Result<()> { Ok(()) }");
    let [Item::Const(entry), Item::Fn(function)] = &items[..] else { panic!("two items") };
    let entry = text(entry);
    assert!(entry.contains(&squeezed("use :: simmach :: __private as __simmach")), "{entry}");
    assert!(
        entry.contains(&squeezed(
            "SpecBuilder :: new () . body (| sim | t (__simmach :: argument (sim)))"
        )),
        "{entry}"
    );
    assert!(entry.contains(&squeezed("Settings :: new () }")), "{entry}");
    assert!(entry.contains(&squeezed("ignore : :: core :: option :: Option :: None")), "{entry}");
    assert!(entry.contains(&squeezed("async fn t (sim : Sim) -> Result < () >")), "{entry}");
    let expected = "#[doc = \" Text.\"] #[::core::prelude::v1::test] pub fn t()
        { ::simmach::__private::plain(::core::module_path!(), \"t\") }";
    assert_eq!(text(function), squeezed(expected));
}

/// Checks the table in the README and the table in the attribute's documentation.
#[test]
fn every_argument_has_a_row_in_both_tables() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = std::fs::read_to_string(readme).expect("the README can be read");
    let (_, section) = readme.split_once("\n## The attribute\n").expect("it has the section");
    let readme = section.split("\n## ").next().unwrap_or_default().lines();
    let rustdoc = include_str!("lib.rs").lines().filter_map(|line| line.strip_prefix("/// "));
    let tables: [(&str, Vec<&str>); 2] =
        [("README.md", readme.collect()), ("lib.rs", rustdoc.collect())];
    for (file, lines) in tables {
        for (_, name, ..) in ARGUMENTS {
            let is_row = |line: &&str| {
                let rest = line.strip_prefix("| `").and_then(|line| line.strip_prefix(name));
                rest.is_some_and(|rest| rest.starts_with([' ', '(', '`']))
            };
            let rows = lines.iter().filter(|line| is_row(line)).count();
            assert_eq!(rows, 1, "rows of `{name}` in {file}");
        }
    }
}

#[test]
fn arguments_reach_their_setters() {
    let entry = entry(
        r#"seeds = n, base_seed = 7, topology = cluster(),
           machines("cl" => log, "api{1..=2}.public" => || api("cl")),
           links("botnet" <-> "public" => slow(), "a" -> "b" => fast()),
           client = "mover.botnet", chaos = [one, async |sim: Sim| {}],
           time_limit = "1m 500ms", stall_limit = 5.secs(), poll_limit = 9,
           epoch = "2030-01-01T00:00:00Z", check = true, own_process = own(), crate = "my::sim""#,
        PLAIN,
    );
    for expected in [
        "Settings :: new () . seeds (n) . base_seed (7) . check (true) . own_process (own ())",
        ". topology (cluster ())",
        ". machine (\"cl\" , log) . machine (\"api{1..=2}.public\" , || api (\"cl\"))",
        ". link (\"botnet\" , \"public\" , slow ()) . link_one_way (\"a\" , \"b\" , fast ())",
        ". client (\"mover.botnet\") . plan (one) . plan (async | sim : Sim | { })",
        ". time_limit (:: core :: time :: Duration :: new (60u64 , 500000000u32))",
        ". stall_limit (5.secs ()) . poll_limit (9) . epoch (:: std :: time :: SystemTime :: UNIX_EPOCH + :: core :: time :: Duration :: new (1893456000u64 , 0u32)) . body (| _ | t ())",
        "use my :: sim :: __private as __simmach",
    ] {
        assert!(entry.contains(&squeezed(expected)), "{expected} is not in {entry}");
    }
}

/// A fragment of a `macro_rules!`, such as `expr` or `path`, comes in a group without delimiters. `g { .. }` stands for one.
#[test]
fn fragments_in_arguments_are_transparent() {
    for (grouped, plain) in [
        ("seeds = g{3}, base_seed = g{n + 1}", "seeds = 3, base_seed = n + 1"),
        ("seeds = g{g{3}}", "seeds = 3"),
        ("topology = g{cluster()}", "topology = cluster()"),
        ("topology = g{cluster}()", "topology = cluster()"),
        ("topology = g{a::Cluster}::new(g{2})", "topology = a::Cluster::new(2)"),
        ("machines(g{\"a\"} => g{service})", "machines(\"a\" => service)"),
        (
            "machines(g{\"a\"} => || g{service}(g{1}), \"b\" => g{s})",
            "machines(\"a\" => || service(1), \"b\" => s)",
        ),
        (
            "machines(\"a\" => s), links(\"a\" <-> \"client\" => g{p})",
            "machines(\"a\" => s), links(\"a\" <-> \"client\" => p)",
        ),
        (
            "machines(\"a\" => s), links(\"a\" <-> \"client\" => g{p}.loss(0.1))",
            "machines(\"a\" => s), links(\"a\" <-> \"client\" => p.loss(0.1))",
        ),
        (
            "machines(\"a\" => s), links(g{\"a\"} -> g{\"client\"} => g{P::lan()}, g{\"client\"} -> \"a\" => p)",
            "machines(\"a\" => s), links(\"a\" -> \"client\" => P::lan(), \"client\" -> \"a\" => p)",
        ),
        (
            "machines(\"a\" => s), links(g{\"a\"} <-> g{\"client\"} => g{P::lan()},)",
            "machines(\"a\" => s), links(\"a\" <-> \"client\" => P::lan())",
        ),
        ("client = g{\"a.b\"}", "client = \"a.b\""),
        ("chaos = g{plan}", "chaos = plan"),
        ("chaos = [g{one}, g{Two::new()}.every(g{x})]", "chaos = [one, Two::new().every(x)]"),
        ("chaos = g{[one, two]}", "chaos = [one, two]"),
        ("chaos = g{g{[one, g{two}]}}", "chaos = [one, two]"),
        ("time_limit = g{\"5s\"}, stall_limit = g{x}", "time_limit = \"5s\", stall_limit = x"),
        (
            "time_limit = g{\"5s\"}, stall_limit = g{5}.secs()",
            "time_limit = \"5s\", stall_limit = 5.secs()",
        ),
        (
            "poll_limit = g{7}, epoch = g{\"2030-01-01T00:00:00Z\"}, check = g{true}",
            "poll_limit = 7, epoch = \"2030-01-01T00:00:00Z\", check = true",
        ),
        ("own_process = g{true}", "own_process = true"),
        (
            "expect_failure(faults <= g{2}, steps <= g{n})",
            "expect_failure(faults <= 2, steps <= n)",
        ),
        ("crate = g{a::b}", "crate = a::b"),
        ("crate = g{::a::b}", "crate = ::a::b"),
        ("crate = g{\"a::b\"}", "crate = \"a::b\""),
        ("crate = g{crate}", "crate = crate"),
        ("crate = g{a}::b", "crate = a::b"),
        (
            "g{seeds} = 3, g{expect_failure}(g{faults} <= 2)",
            "seeds = 3, expect_failure(faults <= 2)",
        ),
        ("seeds = g{3}, g{base_seed} = 3", "seeds = 3, base_seed = 3"),
    ] {
        let tokens =
            sim_test(with_groups(grouped.parse().expect("tokens")), PLAIN.parse().expect("tokens"));
        assert_eq!(text(&without_groups(tokens)), text(&self::tokens(plain, PLAIN)), "{grouped}");
        assert_eq!(errors(plain, PLAIN).len(), 0, "{plain}");
    }
}

#[test]
fn fragments_in_the_function_are_transparent() {
    for (grouped, plain) in [
        ("g{pub} async fn t() g{{ f(); }}", "pub async fn t() { f(); }"),
        (
            "g{} async fn g{t}(g{sim}: g{Sim}) -> g{Result<()>} { Ok(()) }",
            "async fn t(sim: Sim) -> Result<()> { Ok(()) }",
        ),
        (
            "#[ignore = g{\"why\"}] #[should_panic(expected = g{\"so\"})] async fn t() {}",
            "#[ignore = \"why\"] #[should_panic(expected = \"so\")] async fn t() {}",
        ),
        (
            "#[g{ignore}] #[g{should_panic(expected = \"so\")}] async fn t() {}",
            "#[ignore] #[should_panic(expected = \"so\")] async fn t() {}",
        ),
        (
            "#[ignore = g{g{\"why\"}}] #[g{inline}] async fn t() {}",
            "#[ignore = \"why\"] #[inline] async fn t() {}",
        ),
    ] {
        let tokens = sim_test(TokenStream::new(), with_groups(grouped.parse().expect("tokens")));
        assert_eq!(text(&without_groups(tokens)), text(&self::tokens("", plain)), "{grouped}");
        assert_eq!(errors("", plain).len(), 0, "{plain}");
    }
}

#[test]
fn fragments_with_errors_are_reported() {
    for (grouped, expected) in [
        ("seeds = g{0}", "`seeds` must be at least 1"),
        ("seeds = g{0..5}", "`seeds` must be a number, not a range"),
        (
            "time_limit = g{\"5 parsecs\"}",
            "invalid value \"5 parsecs\" for `time_limit`: expected a time",
        ),
        ("poll_limit = g{-1}", "`poll_limit` must not be negative"),
        ("machines(g{name} => s)", "the name of a machine must be in quotes: write `\"name\"`"),
        ("machines(g{\"a b\"} => s)", "invalid machine \"a b\": ' ' is not allowed in a name"),
        (
            "machines(\"a\" => s), links(g{\"b\"} <-> g{\"client\"} => g{p})",
            "no machine is in zone \"b\"",
        ),
        (
            "machines(\"a\" => s), links(g{\"a\"} => g{p})",
            "the link from \"a\" has no target: write",
        ),
        ("check = g{1}", "`check` must be `true`"),
        ("own_process = g{1}", "`own_process` must be `true`"),
        ("crate = g{1}", "invalid `crate`: expected the form"),
        ("crate = g{a + b}", "expected `,`"),
    ] {
        let tokens =
            sim_test(with_groups(grouped.parse().expect("tokens")), PLAIN.parse().expect("tokens"));
        let errors = errors_in(tokens);
        assert_eq!(errors.len(), 1, "{grouped}: {errors:?}");
        assert!(errors[0].starts_with(expected), "{grouped}: {errors:?}");
    }
}

#[test]
fn libtest_attributes_are_moved_off_the_function() {
    let item =
        "#[ignore = \"slow\"] #[should_panic(expected = \"boom\")] #[inline] async fn t() {}";
    let items = expanded("", item);
    let entry = text(&items[0]);
    assert!(entry.contains(&squeezed("# [inline] async fn t")), "{entry}");
    assert!(!entry.contains(&squeezed("# [ignore")), "{entry}");
    assert!(
        entry.contains(&squeezed("ignore : :: core :: option :: Option :: Some (\"slow\")")),
        "{entry}"
    );
    assert!(entry.contains(&squeezed(
        "ShouldPanic { expected : :: core :: option :: Option :: Some (\"boom\") }"
    )));
    let function = text(&items[1]);
    assert!(
        function.contains(&squeezed("# [ignore = \"slow\"]"))
            && !function.contains(&squeezed("should_panic")),
        "{function}"
    );
}

#[test]
fn errors_are_all_reported() {
    let arguments = r#"seed = 1, seeds = 0, time_limit = "5 parsecs", stall_limit, machines = a,
        chaos(x), client = "a b", links("a" -> => x, "b" <-> "c"), poll_limit = 1 +"#;
    let expected = [
        "unknown argument `seed`; did you mean `seeds`?",
        "`stall_limit` needs a value",
        "invalid `machines`: expected the form",
        "invalid `chaos`: expected the form",
        "the link from \"a\" has no target: write `\"a\" -> \"zone\" => profile`",
        "the link from \"b\" to \"c\" has no profile: write `\"b\" <-> \"c\" => profile`",
        "unexpected end of input",
        "`seeds` must be at least 1",
        "invalid value \"5 parsecs\" for `time_limit`",
        "invalid `client` \"a b\": ' ' is not allowed in a name",
        "a simulated test must be an `async fn`",
    ];
    let errors = errors(arguments, "fn t() {}");
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for (error, expected) in errors.iter().zip(expected) {
        assert!(error.starts_with(expected), "{expected} is not {error}");
    }
}

#[test]
fn invalid_argument_leaves_the_rest_of_the_test() {
    let entry = entry("seeds = 0, base_seed = 3", PLAIN);
    assert!(entry.contains(&squeezed("Settings :: new () . base_seed (3)")), "{entry}");
}

#[test]
fn ranges_in_names_are_expanded() {
    let names = |name| expand_name(name).expect("a good name");
    assert_eq!(names("api"), ["api"]);
    assert_eq!(names("api{1..=3}.public"), ["api1.public", "api2.public", "api3.public"]);
    assert_eq!(names("a{1..=2}.z{8..=9}"), ["a1.z8", "a1.z9", "a2.z8", "a2.z9"]);
    assert_eq!(names("a{7..=7}"), ["a7"]);
    assert_eq!(names("a{0..2}"), ["a0", "a1"]);
    for wrong in [
        "a{",
        "a}",
        "a{}",
        "a{1}",
        "a{1-3}",
        "a{..=3}",
        "a{1..=}",
        "a{2..=1}",
        "a{1..1}",
        "a{x..=y}",
        "a{1..=2",
        "a{{1..=2}}",
        "a{-1..=2}",
        "a{0..=18446744073709551615}",
        "a{1..=2000}{1..=2000}",
    ] {
        assert!(expand_name(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn zones_are_checked_if_all_are_known() {
    let unknown = |arguments: &str| errors(arguments, PLAIN);
    let cluster = r#"machines("a.public" => s), links("botnet" <-> "public" => p)"#;
    assert_eq!(unknown(&format!("{cluster}, client = \"mover.botnet\"")).len(), 0);
    assert_eq!(unknown(cluster).len(), 1);
    assert_eq!(unknown(&format!("{cluster}, client = \"mover.bot\"")).len(), 2);
    assert_eq!(unknown(&format!("{cluster}, client = name()")).len(), 0);
    assert_eq!(unknown(&format!("{cluster}, topology = more()")).len(), 0);
    assert_eq!(unknown(r#"machines("a" => s), links("client" -> "a" => p)"#).len(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn random_tokens_are_an_error_and_no_panic(arguments in soup(), item in soup(), whole in any::<bool>()) {
        let item = if whole { PLAIN.parse().expect("tokens") } else { item };
        let tokens = sim_test(arguments, item);
        if whole {
            prop_assert!(syn::parse2::<syn::File>(tokens).is_ok());
        }
    }

    #[test]
    fn random_machine_names_do_not_panic(name in "[ab0-9{}.=/*ä ]{0,12}") {
        let name = Literal::string(&name);
        let arguments = quote::quote!(machines(#name => s, #name => s), links(#name -> #name => p), client = #name);
        prop_assert!(syn::parse2::<syn::File>(sim_test(arguments, PLAIN.parse().expect("tokens"))).is_ok());
    }
}

fn tokens(arguments: &str, item: &str) -> TokenStream {
    sim_test(arguments.parse().expect("tokens"), item.parse().expect("tokens"))
}

fn expanded(arguments: &str, item: &str) -> Vec<Item> {
    syn::parse2::<syn::File>(tokens(arguments, item)).expect("items").items
}

fn entry(arguments: &str, item: &str) -> String {
    let items = expanded(arguments, item);
    text(items.iter().find(|item| matches!(item, Item::Const(_))).expect("an entry"))
}

fn text(item: &impl quote::ToTokens) -> String {
    squeezed(&item.to_token_stream().to_string())
}

/// Removes white space, which depends on proc-macro2.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

/// The messages of all `compile_error!`s.
fn errors(arguments: &str, item: &str) -> Vec<String> {
    errors_in(tokens(arguments, item))
}

fn errors_in(tokens: TokenStream) -> Vec<String> {
    let items = syn::parse2::<syn::File>(tokens).expect("items").items;
    let macros = items.into_iter().filter_map(|item| match item {
        Item::Macro(item) => Some(item.mac),
        _ => None,
    });
    macros.map(|mac| mac.parse_body::<syn::LitStr>().expect("a message").value()).collect()
}

/// Replaces each `g { .. }` with a group without delimiters.
fn with_groups(tokens: TokenStream) -> TokenStream {
    let mut tokens = tokens.into_iter().peekable();
    let mut grouped = Vec::new();
    while let Some(token) = tokens.next() {
        let is_marked = matches!(&token, TokenTree::Ident(ident) if ident == "g");
        let marked = tokens.next_if(|next| {
            is_marked
                && matches!(next, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
        });
        grouped.push(match marked.unwrap_or(token) {
            TokenTree::Group(group) => {
                let delimiter = if is_marked { Delimiter::None } else { group.delimiter() };
                Group::new(delimiter, with_groups(group.stream())).into()
            }
            token => token,
        });
    }
    grouped.into_iter().collect()
}

/// Removes groups without delimiters.
fn without_groups(tokens: TokenStream) -> TokenStream {
    let flat = tokens.into_iter().flat_map(|token| match token {
        TokenTree::Group(group) => {
            let inner = without_groups(group.stream());
            match group.delimiter() {
                Delimiter::None => inner,
                delimiter => TokenStream::from(TokenTree::from(Group::new(delimiter, inner))),
            }
        }
        token => token.into(),
    });
    flat.collect()
}

/// Random tokens of the kinds that occur in this attribute.
fn soup() -> impl Strategy<Value = TokenStream> {
    let word = prop_oneof![
        (0..ARGUMENTS.len()).prop_map(|nth| ARGUMENTS[nth].1),
        prop::sample::select(vec![
            "async", "fn", "self", "Sim", "x", "seed", "where", "unsafe", "ignore"
        ]),
    ]
    .prop_map(|word| TokenTree::from(Ident::new(word, Span::call_site())));
    let mark = (prop::sample::select("=,<->:.#!&|+*?;".chars().collect::<Vec<_>>()), any::<bool>())
        .prop_map(|(mark, joint)| {
            Punct::new(mark, if joint { Spacing::Joint } else { Spacing::Alone }).into()
        });
    let literal = prop_oneof![
        prop::sample::select(vec!["a", "a{1..=2}.b", "a{", "10m", "", "ä/", "5..x", "::x::y"])
            .prop_map(Literal::string),
        any::<u64>().prop_map(Literal::u64_suffixed),
        (0..3_u64).prop_map(Literal::u64_unsuffixed),
        Just(Literal::f64_unsuffixed(0.5)),
    ]
    .prop_map(TokenTree::from);
    let leaf = prop_oneof![3 => word, 3 => mark, 2 => literal];
    let tree = leaf.prop_recursive(4, 64, 8, |inner| {
        let delimiter = prop::sample::select(vec![
            Delimiter::Parenthesis,
            Delimiter::Brace,
            Delimiter::Bracket,
            Delimiter::None,
        ]);
        (delimiter, prop::collection::vec(inner, 0..8)).prop_map(|(delimiter, trees)| {
            Group::new(delimiter, trees.into_iter().collect()).into()
        })
    });
    prop::collection::vec(tree, 0..16).prop_map(|trees| trees.into_iter().collect())
}
