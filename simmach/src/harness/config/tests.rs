//! Tests of the configuration: valid values, invalid values, and the errors that name them.

use std::os::unix::ffi::OsStringExt as _;

use proptest::prelude::*;

use crate::harness::config::*;

fn vars(pairs: &[(&str, &str)]) -> Vars {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn read(pairs: &[(&str, &str)]) -> Result<Config, String> {
    Config::read(&vars(pairs), &Vars::new()).map_err(|error| error.to_string())
}

#[test]
fn pcap_requires_a_single_run() {
    let file = read(&[(PCAP, "a.pcapng"), (SEED, "3")]).expect("a single run is configured").pcap;
    assert_eq!(file, Some(PathBuf::from("a.pcapng")));
    assert!(read(&[(PCAP, "a.pcapng"), (REPLAY, "sm2.x")]).is_ok());
    for many in [&[][..], &[(SEEDS, "1..3")], &[(SEEDS, "random")]] {
        let vars = [many, &[(PCAP, "a.pcapng")]].concat();
        let error = read(&vars).expect_err("more than one run");
        assert!(error.contains(PCAP) && error.contains(SEED), "{error}");
    }
}

#[test]
fn values_are_read() {
    let config = read(&[
        (SEEDS, "10..20"),
        (JOBS, "3"),
        (SHARD, "2/4"),
        (BUDGET, "1h30m"),
        (KEEP_GOING, "1"),
        (CHECK, "1"),
        (DIR, "/tmp/x"),
    ])
    .expect("the configuration is valid");
    assert_eq!(config.selection, SeedSelection::Range { first: 10, last: 19 });
    assert_eq!(config.jobs, 3);
    assert_eq!(config.shard, Some(Shard { index: 2, of: 4 }));
    assert_eq!(config.budget, Some(Duration::from_secs(5400)));
    assert!(config.keep_going);
    assert_eq!((config.check, Config::default().check), (Some(true), None));
    assert_eq!(config.folder, Some(PathBuf::from("/tmp/x")));
    let selection = |text| read(&[(SEEDS, text)]).map(|config| config.selection);
    assert_eq!(selection("1_000"), Ok(SeedSelection::Count(1000)));
    assert_eq!(selection("5..=5"), Ok(SeedSelection::Range { first: 5, last: 5 }));
    assert!(matches!(selection("random"), Ok(SeedSelection::Random { .. })));
    let shrink = |text| read(&[(SHRINK, text)]).map(|config| config.shrink);
    assert_eq!(shrink("off"), Ok(Shrink::Off));
    let ignore = |text| read(&[(IGNORE, text)]).map(|config| config.ignore);
    assert_eq!(ignore("stall, lost write"), Ok(vec!["stall".to_owned(), "lost write".to_owned()]));
    assert!(ignore("stall,").is_err());
    assert_eq!(shrink("50"), Ok(Shrink::Runs(50)));
    assert_eq!(shrink("10s"), Ok(Shrink::Time(Duration::from_secs(10))));
    assert_eq!(read(&[(SEED, "0")]).map(|c| c.selection), Ok(SeedSelection::One(0)));
    assert_eq!(read(&[(SEED, "")]).map(|c| c.selection), Ok(SeedSelection::Attribute));
}

/// The message names the variable, the value and what is expected.
#[test]
fn invalid_value_is_an_error() {
    for (variable, bad) in [
        (SEED, "abc"),
        (SEED, "-1"),
        (SEED, "+1"),
        (SEED, "1.5"),
        (SEED, "99999999999999999999999"),
        (SEED, " "),
        (SEEDS, "0"),
        (SEEDS, "20..10"),
        (SEEDS, "10..10"),
        (SEEDS, "10.."),
        (SEEDS, "..10"),
        (SEEDS, "0..0"),
        (JOBS, "0"),
        (JOBS, "many"),
        (JOBS, "100000"),
        (SHARD, "0/4"),
        (SHARD, "5/4"),
        (SHARD, "1"),
        (SHARD, "1/18446744073709551615"),
        (BUDGET, "5"),
        (BUDGET, "0s"),
        (BUDGET, "5 parsecs"),
        (BUDGET, "1e400s"),
        (BUDGET, "999999999999999999999h"),
        (KEEP_GOING, "maybe"),
        (CHECK, "2"),
        (SHRINK, "0"),
        (SHRINK, "never"),
        (SHRINK, "0s"),
        (REGRESSIONS, "on"),
        (LOG_LINES, "0"),
        (LOG_LINES, "some"),
    ] {
        let error = read(&[(variable, bad)]).expect_err(bad);
        assert!(
            error.contains(variable) && error.contains(bad) && error.contains("expected"),
            "{error}"
        );
    }
}

/// Converted lossily, it would name another folder.
#[test]
fn invalid_utf8_is_an_error() {
    let bad = OsString::from_vec(b"/tmp/caf\xe9".to_vec());
    for variable in [DIR, KEEP, PCAP, REPLAY, SEED, RUST_LOG] {
        let error = environment([(variable.into(), bad.clone())].into_iter());
        let error = error.expect_err(variable).to_string();
        assert!(error.contains(variable) && error.contains("expected valid UTF-8"), "{error}");
    }
    let others = [("PATH".into(), bad.clone()), ("SIMMACH_THING_OF_MINE".into(), bad)];
    assert!(environment(others.into_iter()).is_ok());
}

#[test]
fn log_filter_is_checked() {
    for filter in ["", "warn,my_crate=debug,h2=off", "info,"] {
        assert_eq!(read(&[(RUST_LOG, filter)]), read(&[]), "{filter:?}");
    }
    let error = read(&[(RUST_LOG, "warn,[span{field=x}]=debug")]).expect_err("no spans");
    let named = "invalid directive `[span{field=x}]=debug` in RUST_LOG=";
    assert!(error.contains(named) && error.contains("expected directives"), "{error}");
}

#[test]
fn log_lines_are_a_number_or_all() {
    let lines = |text| read(&[(LOG_LINES, text)]).map(|config| config.log_lines);
    assert_eq!(lines("1_000"), Ok(1_000));
    assert_eq!(lines("all"), Ok(usize::MAX));
    assert_eq!(lines(""), Ok(40));
}

#[test]
fn kept_disks_are_on_off_or_in_a_folder() {
    let kept = |text| read(&[(KEEP, text)]).map(|config| config.kept_disks);
    assert_eq!(kept("1"), Ok(Some(std::env::temp_dir().join("simmach-disks"))));
    assert_eq!((kept("0"), kept("")), (Ok(None), Ok(None)));
    assert_eq!(kept("target/disks"), Ok(Some(PathBuf::from("target/disks"))));
}

#[test]
fn exclusive_variables_are_an_error() {
    let error = read(&[(SEED, "1"), (SEEDS, "2")]).expect_err("both");
    assert!(error.contains(SEED) && error.contains(SEEDS), "{error}");
    let error = read(&[(SEED, "1"), (SHARD, "1/2")]).expect_err("both");
    assert!(error.contains(SHARD), "{error}");
}

#[test]
fn misspelt_name_is_an_error() {
    let error = read(&[("SIMMACH_SEEED", "1")]).expect_err("a misspelt name");
    assert!(error.contains("did you mean SIMMACH_SEED?"), "{error}");
    assert!(read(&[("SIMMACH_SHRUNK", "1")]).is_err());
    assert!(read(&[("SIMMACH_THING_OF_MINE", "1")]).is_ok());
}

#[test]
fn flags_override_the_environment() {
    let environment = vars(&[(SEEDS, "10"), (JOBS, "2")]);
    let config =
        Config::read(&environment, &vars(&[(SEED, "7")])).expect("the configuration is valid");
    assert_eq!((config.selection, config.jobs), (SeedSelection::One(7), 2));
}

proptest! {
    #[test]
    fn parsing_never_panics(text in prop_oneof![".*", "[0-9.,_/= hmsx-]{0,12}"]) {
        for variable in KNOWN.into_iter().chain([RUST_LOG]) {
            if let Ok(config) = read(&[(variable, &text)]) {
                prop_assert!(config.jobs >= 1);
                prop_assert!(config.shard.is_none_or(|s| s.index >= 1 && s.index <= s.of));
            }
        }
    }
}
