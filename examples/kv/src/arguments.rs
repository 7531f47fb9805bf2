//! The command line and the environment variables, which only `main` reads.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use kv::{Config, Log, NodeId};
use lexopt::prelude::*;

pub(crate) const HELP: &str = "\
A node of a replicated key-value service.

Usage: kv [OPTIONS] ID

Arguments:
  ID               Which of the members this node is: 1, 2, …

Options:
      --members A,B,C  The addresses of all nodes, in order
                       (default 127.0.0.1:8081,127.0.0.1:8082,127.0.0.1:8083)
      --listen ADDRESS The address to listen on (default: this node's own)
      --folder PATH    Where this node keeps its data (default kv-data/ID)
      --log lmdb|file  Where this node keeps its log: in LMDB (the default), or in
                       a plain file
  -h, --help           Print this text

The environment variables KV_MEMBERS and KV_FOLDER can be used instead of
--members and --folder.
RUST_LOG sets what is logged, such as info,openraft=warn.

Exit status: 1 if the node fails, 2 for a wrong option.
";

const MEMBERS: &str = "127.0.0.1:8081,127.0.0.1:8082,127.0.0.1:8083";

/// The settings from the command line and the environment.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) config: Config,
    pub(crate) folder: PathBuf,
}

impl Arguments {
    /// Parses the arguments (without the program's name) and the environment variables. Returns
    /// `None` if the arguments ask for help.
    pub(crate) fn parse(
        arguments: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Option<Self>, lexopt::Error> {
        let mut members = variable("KV_MEMBERS");
        let mut folder = variable("KV_FOLDER").map(PathBuf::from);
        let (mut id, mut listen, mut is_file) = (None, None, false);
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("members") => members = Some(parser.value()?),
                Long("listen") => listen = Some(parser.value()?.string()?),
                Long("folder") => folder = Some(parser.value()?.into()),
                Long("log") => is_file = parser.value()?.parse_with(is_file_log)?,
                Short('h') | Long("help") => return Ok(None),
                Value(number) if id.is_none() => id = Some(number.parse()?),
                other => return Err(other.unexpected()),
            }
        }
        let id: NodeId = id.ok_or("which node is this? Expected its number")?;
        let members = match members {
            Some(list) => list.string()?,
            None => MEMBERS.to_owned(),
        };
        let members: BTreeMap<_, _> = (1..).zip(members.split(',').map(str::to_owned)).collect();
        let mut config = Config::new(id, members).map_err(|error| error.to_string())?;
        if let Some(listen) = listen {
            config.listen = listen;
        }
        let folder = folder.unwrap_or_else(|| PathBuf::from(format!("kv-data/{id}")));
        if is_file {
            config.log = Log::File { path: folder.join("raft.log"), is_synced: true };
        }
        Ok(Some(Self { config, folder }))
    }
}

fn is_file_log(value: &str) -> Result<bool, &'static str> {
    match value {
        "lmdb" => Ok(false),
        "file" => Ok(true),
        _ => Err("expected lmdb or file"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Arguments, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let parsed = Arguments::parse(arguments.iter().map(OsString::from), variable);
        parsed.map_err(|error| error.to_string())?.ok_or_else(|| "help".to_owned())
    }

    #[test]
    fn number_is_enough() {
        let Arguments { config, folder } = parse(&["2"], &[]).expect("it is a node");
        assert_eq!((config.id, config.members.len()), (2, 3));
        assert_eq!(config.listen, "127.0.0.1:8082");
        assert_eq!(folder, PathBuf::from("kv-data/2"));
    }

    #[test]
    fn option_is_stronger_than_the_environment() {
        let variables = [("KV_MEMBERS", "a:1,b:1"), ("KV_FOLDER", "/one")];
        let arguments = ["1", "--folder", "/two", "--listen", "0.0.0.0:1"];
        let Arguments { config, folder } = parse(&arguments, &variables).expect("all is well");
        assert_eq!(config.members, BTreeMap::from([(1, "a:1".to_owned()), (2, "b:1".to_owned())]));
        assert_eq!(config.listen, "0.0.0.0:1");
        assert_eq!(folder, PathBuf::from("/two"));
    }

    #[test]
    fn log_in_a_file_is_in_the_folder() {
        let Arguments { config, .. } =
            parse(&["1", "--log", "file", "--folder", "/one"], &[]).expect("all is well");
        let path = PathBuf::from("/one/raft.log");
        assert_eq!(config.log, Log::File { path, is_synced: true });
    }

    #[test]
    fn mistakes_are_named() {
        for (arguments, named) in [
            (&[][..], "which node is this"),
            (&["4"], "node 4 is not one of the 3 members"),
            (&["one"], "one"),
            (&["1", "2"], "2"),
            (&["--membres", "a"], "--membres"),
            (&["1", "--log", "files"], "expected lmdb or file"),
            (&["--help"], "help"),
        ] {
            let error = parse(arguments, &[]).expect_err("it is wrong");
            assert!(error.contains(named), "{arguments:?}: {error}");
        }
    }
}
