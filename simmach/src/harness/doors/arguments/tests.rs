//! Tests of the command line of `simmach::main!()`, compared with libtest's rules.

use crate::harness::doors::arguments::*;

const NAMES: [&str; 4] = ["zoo::lion", "zoo::lion_cub", "zoo::zebra", "farm::cow"];

fn parse(arguments: &[&str]) -> Result<CommandLine, String> {
    parse_with(arguments, |_| None)
}

fn parse_with(
    arguments: &[&str],
    env: impl Fn(&str) -> Option<String>,
) -> Result<CommandLine, String> {
    let arguments = arguments.iter().map(|&argument| argument.to_owned());
    CommandLine::parse(arguments, env).map_err(|error| error.to_string())
}

#[track_caller]
fn parsed(arguments: &[&str]) -> CommandLine {
    parse(arguments).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
}

#[track_caller]
fn selected(arguments: &[&str]) -> Vec<&'static str> {
    let line = parsed(arguments);
    NAMES.into_iter().filter(|name| line.selects(name)).collect()
}

#[test]
fn filters_match_as_in_libtest() {
    let cases: [(&[&str], &[&str]); 14] = [
        (&[], &NAMES),
        (&["lion"], &["zoo::lion", "zoo::lion_cub"]),
        (&["zebra", "cow"], &["zoo::zebra", "farm::cow"]),
        (&["cow", "lion", "nothing"], &["zoo::lion", "zoo::lion_cub", "farm::cow"]),
        (&["nothing"], &[]),
        (&[""], &NAMES),
        (&["--exact"], &NAMES),
        (&["--exact", "zoo::lion"], &["zoo::lion"]),
        (&["zoo::lion", "farm::cow", "--exact"], &["zoo::lion", "farm::cow"]),
        (&["--exact", "zoo::lion", "cow"], &["zoo::lion"]),
        (&["--skip", "lion"], &["zoo::zebra", "farm::cow"]),
        (&["zoo", "--skip=cub", "--skip", "zebra"], &["zoo::lion"]),
        (&["lion", "--exact", "zoo::lion", "--skip", "zoo::lion"], &[]),
        (&["--exact", "--skip", "lion", "--skip", "zoo::lion"], &NAMES[1..]),
    ];
    for (arguments, expected) in cases {
        assert_eq!(selected(arguments), expected, "{arguments:?}");
    }
    assert_eq!(selected(&["--", "--list", "cow"]), ["farm::cow"]);
}

#[test]
fn filters_leave_out_every_other_test_by_its_exact_name() {
    let line = parsed(&["cow", "zebra", "--ignored"]);
    let arguments = line.arguments(NAMES.iter().map(|&name| name.to_owned()));
    assert_eq!(arguments.filter, None);
    assert_eq!((arguments.exact, arguments.ignored), (true, true));
    assert_eq!(arguments.skip, ["zoo::lion", "zoo::lion_cub"]);
}

#[test]
fn errors_have_libtests_words() {
    let unstable = |name: &str, kind: &str| {
        format!(
            "The \"--{name}\" {kind} is only accepted on the nightly compiler with -Z unstable-options"
        )
    };
    let cases: [(&[&str], &str); 24] = [
        (&["--test-threads=0"], "argument for --test-threads must not be 0"),
        (&["--test-threads", "0"], "argument for --test-threads must not be 0"),
        (
            &["--test-threads", "-1"],
            "argument for --test-threads must be a number > 0 (error: invalid digit found in string)",
        ),
        (
            &["--test-threads="],
            "argument for --test-threads must be a number > 0 (error: cannot parse integer from empty string)",
        ),
        (&["--test-threads"], "Argument to option 'test-threads' missing"),
        (&["--test-threads=1", "--test-threads=2"], "Option 'test-threads' given more than once"),
        (&["--skip"], "Argument to option 'skip' missing"),
        (&["--format"], "Argument to option 'format' missing"),
        (&["--format=junit"], "argument for --format must be pretty, terse or json (was junit)"),
        (&["--color=blue"], "argument for --color must be auto, always, or never (was blue)"),
        (&["--bogus"], "Unrecognized option: 'bogus'"),
        (&["-x"], "Unrecognized option: 'x'"),
        (&["--exact=yes"], "Option 'exact' does not take an argument"),
        (&["--exact", "--exact"], "Option 'exact' given more than once"),
        (
            &["--ignored", "--include-ignored"],
            "the options --include-ignored and --ignored are mutually exclusive",
        ),
        (&["-Z", "time"], "Unrecognized option to `Z`"),
        (&["-Z"], "Argument to option 'Z' missing"),
        (&["--shuffle"], &unstable("shuffle", "flag")),
        (&["--shuffle-seed=3"], &unstable("shuffle-seed", "option")),
        (&["--report-time"], &unstable("report-time", "flag")),
        (
            &["-Zunstable-options", "--shuffle"],
            "`--shuffle` is not supported by `simmach::main!()`: remove it",
        ),
        (&["--seed"], "Argument to option 'seed' missing"),
        (&["--jobs", "1", "--jobs", "2"], "Option 'jobs' given more than once"),
        (&["--logfile"], "Argument to option 'logfile' missing"),
    ];
    for (arguments, expected) in cases {
        assert_eq!(
            parse(arguments).expect_err("the arguments are invalid"),
            expected,
            "{arguments:?}"
        );
    }
}

#[test]
fn flags_of_libtest_are_accepted() {
    let rest = |arguments: &[&str]| parsed(arguments).rest;
    assert!(rest(&["--list"]).list);
    assert!(rest(&["--ignored"]).ignored);
    assert!(rest(&["--include-ignored"]).include_ignored);
    assert!(rest(&["-q"]).quiet && rest(&["--quiet"]).quiet);
    assert_eq!(rest(&["-q", "--format", "pretty"]).format, Some(FormatSetting::Pretty));
    assert!(!rest(&["-q", "--format", "pretty"]).quiet);
    assert!(rest(&["--nocapture"]).nocapture && rest(&["--no-capture"]).nocapture);
    assert_eq!(rest(&["--test-threads=3"]).test_threads, Some(3));
    assert_eq!(rest(&["--color", "never"]).color, Some(ColorSetting::Never));
    assert_eq!(rest(&["--logfile=log"]).logfile.as_deref(), Some("log"));
    assert_eq!(
        rest(&["-Z", "unstable-options", "--format=json"]).format,
        Some(FormatSetting::Json)
    );
    assert!(rest(&["--show-output", "--bench"]).bench);
    let both = rest(&["--test", "--bench"]);
    assert!(both.test && !both.bench, "tests are run");
    // What nextest asks for: a list, the ignored ones in it, one test.
    let list = rest(&["--list", "--format", "terse", "--ignored"]);
    assert_eq!((list.list, list.ignored, list.format), (true, true, Some(FormatSetting::Terse)));
    let line = parsed(&["--exact", "zoo::lion", "--nocapture", "--ignored"]);
    assert!(line.selects("zoo::lion") && line.nocapture && line.rest.ignored);
}

#[test]
fn flags_of_simmach_stand_for_variables() {
    let line = parsed(&["--seed", "417", "--exact", "zoo::a", "--keep-going", "--jobs=2"]);
    let flags: Vec<_> = line.flags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(flags, [(config::JOBS, "2"), (config::KEEP_GOING, "1"), (config::SEED, "417")]);
    assert!(line.selects("zoo::a") && !line.selects("zoo::ab"));
    assert_eq!(parsed(&["--check=0"]).flags[config::CHECK], "0");
    assert_eq!(parsed(&["--check", "lion"]).filters, ["lion"]);
}

#[test]
fn flags_of_simmach_with_an_empty_value_are_an_error() {
    let line = parsed(&["--seed="]);
    let error = config::Config::read(&Vars::new(), &line.flags).expect_err("no seed");
    assert!(error.to_string().contains(config::SEED), "{error}");
}

#[test]
fn environment_is_read_as_by_libtest() {
    let env = |name: &'static str, value: &'static str| {
        move |asked: &str| (asked == name).then(|| value.to_owned())
    };
    let threads = |arguments: &[&str], value| {
        parse_with(arguments, env("RUST_TEST_THREADS", value)).map(|line| line.test_threads())
    };
    assert_eq!(threads(&[], "4"), Ok(Some(4)));
    assert_eq!(threads(&["--test-threads=2"], "4"), Ok(Some(2)), "the flag goes first");
    for wrong in ["0", "many", ""] {
        let expected = format!("RUST_TEST_THREADS is `{wrong}`, should be a positive integer.");
        assert_eq!(threads(&[], wrong), Err(expected));
    }
    let nocapture = |value| {
        let line = parse_with(&[], env("RUST_TEST_NOCAPTURE", value))
            .expect("an empty command line is valid");
        line.nocapture
    };
    assert!(nocapture("1") && nocapture("") && !nocapture("0"));
}

#[test]
fn help_names_every_option() {
    for arguments in [&["--help"][..], &["-h"], &["lion", "--help"]] {
        assert!(parsed(arguments).help, "{arguments:?}");
    }
    let usage = CommandLine::usage();
    for name in ["--exact", "--skip FILTER", "--test-threads N", "--seed N", "SIMMACH_KEEP_GOING"] {
        assert!(usage.contains(name), "{name} in {usage}");
    }
}
