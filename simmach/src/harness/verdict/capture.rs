//! The packets of one run as a file: `SIMMACH_PCAP`.
//!
//! A file is one test's. In a folder each test has a file of its own, so that several tests may run, in several processes.
//!
//! The run is made once more for it, and the file is this process's to write: a worker hands the octets over.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::engine::failure::verdict::Verdict;
use crate::harness::config::PCAP;
use crate::harness::seeds::shrinking;
use crate::harness::verdict::judgement::Judgement;
use crate::harness::workers::job::Job;
use crate::harness::workers::pool::Pool;
use crate::outcome::Keep;
use crate::report::numbers::count;
use crate::spec::SimTest;

/// A file that can be written, and is this test's.
#[derive(Debug)]
pub(crate) struct Capture {
    path: PathBuf,
    file: File,
}

impl Capture {
    /// Opens the file, before anything is run.
    ///
    /// # Errors
    ///
    /// When it can't be written, or is another test's, in words.
    pub(crate) fn open(given: &Path, test: &SimTest) -> Result<Self, String> {
        static OWNER: OnceLock<String> = OnceLock::new();
        let path = if is_folder(given) {
            given.join(format!("{}.pcapng", test.key().replace("::", "__")))
        } else {
            let owner = OWNER.get_or_init(|| test.path());
            if *owner != test.path() {
                return Err(format!(
                    "{PCAP} is a file for one run, and {owner} has it: choose one test, by its name and `--exact`, or name \
                     a folder"
                ));
            }
            given.to_owned()
        };
        match create(&path, is_folder(given)) {
            Ok(file) => Ok(Self { path, file }),
            Err(error) => Err(format!("{PCAP}={}: it can't be written: {error}", path.display())),
        }
    }

    /// Makes the run, writes its packets, and says so; a file that was asked for and is not there is no pass.
    pub(crate) fn add_to(self, judged: Judgement, pool: &Pool, job: Job) -> Judgement {
        match (self.make(pool, job), judged) {
            (Ok(line), Judgement::Green(text)) => Judgement::Green(format!(
                "{text}
{line}"
            )),
            (Ok(line) | Err(line), Judgement::Red(text)) | (Err(line), Judgement::Green(text)) => {
                Judgement::Red(format!(
                    "{}

  {line}
",
                    text.trim_end()
                ))
            }
        }
    }

    fn make(mut self, pool: &Pool, job: Job) -> Result<String, String> {
        let job = Job { keep: Keep { packets: true, ..Keep::default() }, ..job };
        let outcome = shrinking::one(pool, job).outcome;
        let Some(octets) = outcome.packets else {
            let why = match outcome.verdict {
                Verdict::Failed(failure) => failure.message,
                Verdict::Broken(why) => why,
                Verdict::Passed => "it ended well".to_owned(),
            };
            return Err(format!("{PCAP}: the run handed over no packets: {why}"));
        };
        let path = self.path.display();
        self.file
            .write_all(&octets)
            .map_err(|error| format!("{PCAP}={path}: it can't be written: {error}"))?;
        Ok(format!("{path} has its packets, in {}", count(octets.len() as u64, "byte")))
    }
}

/// A folder is one that is there, or is written as one: with a slash at its end.
fn is_folder(given: &Path) -> bool {
    given.is_dir() || given.as_os_str().as_encoded_bytes().ends_with(b"/")
}

fn create(path: &Path, with_folders: bool) -> io::Result<File> {
    if let (true, Some(folder)) = (with_folders, path.parent()) {
        fs::create_dir_all(folder)?;
    }
    File::create(path)
}
