//! `SIMMACH_PCAP`: writes the packets of one run to a file.
//!
//! A file belongs to one test. In a folder each test gets a file of its own, so several tests and processes can share it.
//! The run is repeated to collect the packets; this process writes the file, since a worker only returns the bytes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::engine::failure::verdict::Verdict;
use crate::harness::config::PCAP;
use crate::harness::evaluation::TestResult;
use crate::harness::seeds::shrinking;
use crate::harness::workers::job::Job;
use crate::harness::workers::pool::Pool;
use crate::outcome::Keep;
use crate::report::numbers::count;
use crate::spec::SimTest;

/// A packet capture file that is open for writing and belongs to one test.
#[derive(Debug)]
pub(crate) struct PacketFile {
    path: PathBuf,
    file: File,
}

impl PacketFile {
    /// Opens the file before anything is run.
    ///
    /// # Errors
    ///
    /// The file cannot be written, or belongs to another test.
    pub(crate) fn open(given: &Path, test: &SimTest) -> Result<Self, String> {
        static OWNER: OnceLock<String> = OnceLock::new();
        let path = if is_folder(given) {
            given.join(format!("{}.pcapng", test.key().replace("::", "__")))
        } else {
            let owner = OWNER.get_or_init(|| test.path());
            if *owner != test.path() {
                return Err(format!(
                    "{PCAP} names a file, which holds one run, and {owner} already uses it: select one test by name with \
                     `--exact`, or name a folder"
                ));
            }
            given.to_owned()
        };
        match create(&path, is_folder(given)) {
            Ok(file) => Ok(Self { path, file }),
            Err(error) => Err(format!("{PCAP}={}: cannot be written: {error}", path.display())),
        }
    }

    /// Repeats the run, writes its packets and adds a line to the result. A missing capture fails the test.
    pub(crate) fn add_to(self, result: TestResult, pool: &Pool, job: Job) -> TestResult {
        match (self.make(pool, job), result) {
            (Ok(line), TestResult::Passed(text)) => TestResult::Passed(format!(
                "{text}
{line}"
            )),
            (Ok(line) | Err(line), TestResult::Failed(text))
            | (Err(line), TestResult::Passed(text)) => TestResult::Failed(format!(
                "{}

  {line}
",
                text.trim_end()
            )),
        }
    }

    fn make(mut self, pool: &Pool, job: Job) -> Result<String, String> {
        let job = Job { keep: Keep { packets: true, ..Keep::default() }, ..job };
        let outcome = shrinking::run_one(pool, job).outcome;
        let Some(octets) = outcome.packets else {
            let why = match outcome.verdict {
                Verdict::Failed(failure) => failure.message,
                Verdict::Broken(why) => why,
                Verdict::Passed => "the run passed".to_owned(),
            };
            return Err(format!("{PCAP}: no packets were captured: {why}"));
        };
        let path = self.path.display();
        self.file
            .write_all(&octets)
            .map_err(|error| format!("{PCAP}={path}: cannot be written: {error}"))?;
        Ok(format!("packets written to {path} ({})", count(octets.len() as u64, "byte")))
    }
}

/// Whether the path is an existing folder or ends with a slash.
fn is_folder(given: &Path) -> bool {
    given.is_dir() || given.as_os_str().as_encoded_bytes().ends_with(b"/")
}

fn create(path: &Path, with_folders: bool) -> io::Result<File> {
    if let (true, Some(folder)) = (with_folders, path.parent()) {
        fs::create_dir_all(folder)?;
    }
    File::create(path)
}
