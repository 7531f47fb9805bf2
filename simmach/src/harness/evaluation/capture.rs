//! `SIMMACH_PCAP`: writes the packets of one run to a file.
//!
//! A file belongs to one test. In a folder, each test has a separate file, so several tests and
//! processes can share the folder. The run is repeated to collect the packets. This process writes
//! the file, since a worker only returns the bytes.

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

/// Why the packets of a run are not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CaptureError {
    /// A file holds one run, and a different test already uses this file.
    #[error(
        "{PCAP} names a file, and the test {owner} already writes to this file: select one test by name with \
         `--exact`, or name a folder"
    )]
    OtherTest { owner: String },
    /// The file cannot be written.
    #[error("{PCAP}={}: the file cannot be written: {error}; name a writable file or folder", path.display())]
    NotWritten { path: PathBuf, error: io::Error },
    /// The second run, which captures the packets, was broken, hung, or ended its process.
    #[error("{PCAP}={}: the second run, which captures the packets, crashed, hung or could not be executed: {why}", path.display())]
    NoRun { path: PathBuf, why: String },
    /// The run returned no packets.
    #[error("{PCAP}={}: the run returned no packets: this is a bug in simmach", path.display())]
    NoPackets { path: PathBuf },
}

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
    /// The file cannot be written, or belongs to a different test.
    pub(crate) fn open(given: &Path, test: &SimTest) -> Result<Self, CaptureError> {
        static OWNER: OnceLock<String> = OnceLock::new();
        let path = if is_folder(given) {
            given.join(format!("{}.pcapng", test.key().replace("::", "__")))
        } else {
            let owner = OWNER.get_or_init(|| test.path());
            if *owner != test.path() {
                return Err(CaptureError::OtherTest { owner: owner.clone() });
            }
            given.to_owned()
        };
        match create(&path, is_folder(given)) {
            Ok(file) => Ok(Self { path, file }),
            Err(error) => Err(CaptureError::NotWritten { path, error }),
        }
    }

    /// Repeats the run, writes its packets and adds a line to the result. A missing capture fails the test.
    pub(crate) fn add_to(self, result: TestResult, pool: &Pool, job: Job) -> TestResult {
        let (line, is_written) = match self.write(pool, job) {
            Ok(line) => (line, true),
            Err(error) => (error.to_string(), false),
        };
        match result {
            TestResult::Passed(text) if is_written => TestResult::Passed(format!("{text}\n{line}")),
            TestResult::Passed(text) | TestResult::Failed(text) => {
                TestResult::Failed(format!("{}\n\n  {line}\n", text.trim_end()))
            }
        }
    }

    /// Repeats the run and writes its packets. Returns a line for the test result.
    fn write(mut self, pool: &Pool, job: Job) -> Result<String, CaptureError> {
        let job = Job { keep: Keep { packets: true, ..Keep::default() }, ..job };
        let outcome = shrinking::run_one(pool, job).outcome;
        let Some(octets) = outcome.packets else {
            let path = self.path;
            return Err(match outcome.verdict {
                Verdict::Failed(failure) => CaptureError::NoRun { path, why: failure.message },
                Verdict::Broken(why) => CaptureError::NoRun { path, why },
                Verdict::Passed => CaptureError::NoPackets { path },
            });
        };
        if let Err(error) = self.file.write_all(&octets) {
            return Err(CaptureError::NotWritten { path: self.path, error });
        }
        let bytes = count(octets.len() as u64, "byte");
        Ok(format!("packets written to {} ({bytes})", self.path.display()))
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
