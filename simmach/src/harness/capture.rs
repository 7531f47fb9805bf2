//! The packets of one run as a file: `SIMMACH_PCAP`.
//!
//! The run is made once more for it, and the file is this process's to write: a worker hands the octets over.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::config::PCAP;
use super::job::Job;
use super::judgement::Judgement;
use super::pool::Pool;
use super::shrinking;
use crate::engine::verdict::Verdict;
use crate::outcome::Keep;
use crate::report::numbers::count;

/// A file that can be written, and is this test's.
#[derive(Debug)]
pub(super) struct Capture {
    path: PathBuf,
    file: File,
}

impl Capture {
    /// Opens the file, before anything is run.
    ///
    /// # Errors
    ///
    /// When it can't be written, or is another test's, in words.
    pub(super) fn open(path: &Path, test: &str) -> Result<Self, String> {
        static OWNER: OnceLock<String> = OnceLock::new();
        let owner = OWNER.get_or_init(|| test.to_owned());
        if owner != test {
            return Err(format!(
                "{PCAP} is for one run, and {owner} has it: choose one test, by its name and `--exact`"
            ));
        }
        let path = path.to_owned();
        match File::create(&path) {
            Ok(file) => Ok(Self { path, file }),
            Err(error) => Err(format!("{PCAP}={}: it can't be written: {error}", path.display())),
        }
    }

    /// Makes the run, writes its packets, and says so; a file that was asked for and is not there is no pass.
    pub(super) fn add_to(self, judged: Judgement, pool: &Pool, job: Job) -> Judgement {
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
