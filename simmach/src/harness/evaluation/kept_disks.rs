//! `SIMMACH_KEEP`: writes the disks of a failed run out as folders, which other programs can read.
//!
//! The run that is reported is repeated to collect them; this process writes them, since a worker only returns their content.
//! Each run gets a new folder, and nothing is written outside of it.

use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::disk_image::{DiskImage, Extent, ImageEntry, ImageKind};
use crate::engine::failure::verdict::Verdict;
use crate::harness::config::KEEP;
use crate::harness::seeds::shrinking;
use crate::harness::workers::job::Job;
use crate::harness::workers::pool::Pool;
use crate::outcome::{Keep, Outcome};
use crate::report::numbers::count;

/// Folders that a run of one seed tries, at most.
const MAX_FOLDERS: u32 = 1_000;

/// Why the disks of a run are not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    /// The run, repeated to collect its disks, did not return them.
    #[error(
        "the disks were not kept: the run was repeated to collect them, and crashed, hung or could not be executed: {0}"
    )]
    NoRun(String),
    /// The repeated run passed.
    #[error("the disks were not kept: the run was repeated to collect them, and passed")]
    Passed,
    /// A file cannot be written.
    #[error("the disks were not kept: {}: {error}; set {KEEP} to a writable folder with enough space", path.display())]
    NotWritten { path: PathBuf, error: io::Error },
}

/// Repeats a failed run, and writes its disks to a new folder below `root`. Returns lines for the report.
pub(crate) fn keep(pool: &Pool, root: &Path, job: Job) -> String {
    let folder = root.join(job.test.key().replace("::", "__")).join(format!("seed-{}", job.seed));
    let keep = Keep { disks: true, log: true, ..Keep::default() };
    let outcome = shrinking::run_one(pool, Job { keep, ..job }).outcome;
    match write(&folder, outcome) {
        Ok(text) => text,
        Err(error) => format!("  {error}\n"),
    }
}

fn write(folder: &Path, outcome: Outcome) -> Result<String, KeepError> {
    let images = match (outcome.disks, outcome.verdict) {
        (_, Verdict::Passed) => return Err(KeepError::Passed),
        (Some(images), Verdict::Failed(_)) => images,
        (_, Verdict::Failed(failure)) => return Err(KeepError::NoRun(failure.message)),
        (_, Verdict::Broken(why)) => return Err(KeepError::NoRun(why)),
    };
    if images.is_empty() {
        return Ok("  No machine has anything on its disk.\n".to_owned());
    }
    let folder = create(folder)?;
    let mut text =
        format!("  The disks, as they were at the failure, are in {}:\n", folder.display());
    for image in &images {
        let name = outcome.machines.get(image.machine.0 as usize).map_or("", String::as_str);
        let written = write_image(&folder.join(folder_name(name, image)), image);
        let left_out = written.inspect_err(|_| {
            // A part of a disk is of no use, and takes space.
            let _ = fs::remove_dir_all(&folder);
        })?;
        let files = image.entries.iter().filter(|entry| entry.is_file()).count();
        let _ = writeln!(text, "    {name}: {}", count(files as u64, "file"));
        for (path, why) in left_out {
            let _ = writeln!(text, "      {path} is left out: {why}");
        }
    }
    Ok(text)
}

/// The name of a machine's folder. Names of machines have no slashes.
fn folder_name(machine: &str, image: &DiskImage) -> String {
    match machine {
        "" | "." | ".." => format!("machine-{}", image.machine.0),
        name => name.replace('/', "-"),
    }
}

/// Creates a folder that was not there: this one, or one whose name ends with a number.
fn create(folder: &Path) -> Result<PathBuf, KeepError> {
    let failed = |path: &Path, error| KeepError::NotWritten { path: path.to_owned(), error };
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
    }
    let mut nth = 1;
    loop {
        let suffix = if nth == 1 { String::new() } else { format!("-{nth}") };
        let path = PathBuf::from(format!("{}{suffix}", folder.display()));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && nth < MAX_FOLDERS => {
                nth += 1;
            }
            Err(error) => return Err(failed(&path, error)),
        }
    }
}

/// Writes a disk to a new folder. Returns what is left out, and why.
fn write_image(root: &Path, image: &DiskImage) -> Result<Vec<(String, String)>, KeepError> {
    let failed = |path: &Path, error| KeepError::NotWritten { path: path.to_owned(), error };
    fs::create_dir(root).map_err(|error| failed(root, error))?;
    let mut left_out = Vec::new();
    for entry in &image.entries {
        if let ImageKind::LeftOut(why) = &entry.kind {
            left_out.push((String::from_utf8_lossy(&entry.path).into_owned(), why.clone()));
        }
        let path = below(root, &entry.path);
        write_entry(root, &path, entry).map_err(|error| failed(&path, error))?;
    }
    // Permissions of folders come last, since they may forbid writing.
    for entry in image.entries.iter().rev().filter(|entry| entry.kind == ImageKind::Folder) {
        let path = below(root, &entry.path);
        let mode = Permissions::from_mode(entry.mode & 0o777 | 0o700);
        fs::set_permissions(&path, mode).map_err(|error| failed(&path, error))?;
    }
    Ok(left_out)
}

fn write_entry(root: &Path, path: &Path, entry: &ImageEntry) -> io::Result<()> {
    match &entry.kind {
        ImageKind::Folder => fs::create_dir(path),
        ImageKind::File { size, data } => write_file(path, entry.mode, *size, data),
        // A target that is absolute leads to the same file of the machine.
        ImageKind::Link(target) if target.starts_with(b"/") => symlink(below(root, target), path),
        ImageKind::Link(target) => symlink(std::ffi::OsStr::from_bytes(target), path),
        ImageKind::SameAs(first) => {
            let first = below(root, first);
            // The file may have been left out.
            if first.symlink_metadata().is_ok() { fs::hard_link(first, path) } else { Ok(()) }
        }
        ImageKind::LeftOut(_) => Ok(()),
    }
}

fn write_file(path: &Path, mode: u32, size: u64, data: &[Extent]) -> io::Result<()> {
    let mut options = File::options();
    let file = options.write(true).create_new(true).mode(mode & 0o777 | 0o600).open(path)?;
    file.set_len(size)?;
    data.iter().try_for_each(|extent| file.write_all_at(&extent.bytes, extent.start))
}

/// A path of a machine as one below its folder. Names on a disk are never `.` or `..`; targets of links may be.
fn below(root: &Path, path: &[u8]) -> PathBuf {
    let mut below = root.to_owned();
    let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".");
    for name in names {
        if name == b".." {
            if below != root {
                below.pop();
            }
        } else {
            below.push(std::ffi::OsStr::from_bytes(name));
        }
    }
    below
}

impl ImageEntry {
    fn is_file(&self) -> bool {
        matches!(self.kind, ImageKind::File { .. })
    }
}

#[cfg(test)]
mod tests;
