//! Makes random calls on a few names and descriptors.

use std::ffi::c_int;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::results::{c_path, of, result};

/// Number of calls in one sequence.
const CALLS: usize = 60;
/// Maximum number of open descriptors in a sequence.
const MOST: usize = 5;

/// Paths in the folder of a sequence. Some are links, or lead through a link.
const PATHS: [&str; 14] =
    ["a", "b", "c", "d", "d/a", "d/b", "d/e", "d/e/a", "l", "l/a", "a/b", "d/", "d/../b", "d/."];

/// A small random number generator, with which both sides make the same calls.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// Makes the calls of a seed in a folder, and returns the result of each call.
pub(crate) fn calls(folder: &Path, seed: u64) -> Vec<String> {
    fs::DirBuilder::new().mode(0o755).create(folder).expect("a new folder");
    let mut numbers = Numbers::new(seed);
    let mut descriptors: Vec<c_int> = Vec::new();
    let mut did = Vec::new();
    for _ in 0..CALLS {
        let text = match numbers.below(3) {
            0 => on_paths(folder, &mut numbers),
            1 if !descriptors.is_empty() => on_descriptor(&mut descriptors, &mut numbers),
            _ if descriptors.len() < MOST => open(folder, &mut descriptors, &mut numbers),
            _ => {
                let closed = descriptors.remove(numbers.below(descriptors.len()));
                // SAFETY: the sequence owns the descriptor.
                format!("close: {}", result(unsafe { libc::close(closed) }))
            }
        };
        did.push(text);
    }
    for descriptor in descriptors {
        // SAFETY: the sequence owns the descriptor.
        unsafe { libc::close(descriptor) };
    }
    did.push(tree(folder));
    did
}

fn open(folder: &Path, descriptors: &mut Vec<c_int>, numbers: &mut Numbers) -> String {
    let path = PATHS[numbers.below(PATHS.len())];
    let access = [libc::O_RDONLY, libc::O_WRONLY, libc::O_RDWR, libc::O_RDWR][numbers.below(4)];
    let mut flags = access;
    for (flag, odds) in [
        (libc::O_CREAT, 2),
        (libc::O_EXCL, 8),
        (libc::O_TRUNC, 6),
        (libc::O_APPEND, 5),
        (libc::O_DIRECTORY, 8),
        (libc::O_NOFOLLOW, 8),
    ] {
        if numbers.below(odds) == 0 {
            flags |= flag;
        }
    }
    if flags & (libc::O_EXCL | libc::O_CREAT) == libc::O_EXCL {
        flags &= !libc::O_EXCL;
    }
    // Versions of Linux differ in what they do with both.
    if flags & libc::O_CREAT != 0 {
        flags &= !libc::O_DIRECTORY;
    }
    let name = c_path(&folder.join(path));
    // `join` drops nothing but keeps a slash at the end.
    // SAFETY: the path is a C string.
    let opened = unsafe { libc::open(name.as_ptr(), flags, 0o640) };
    if opened >= 0 {
        descriptors.push(opened);
    }
    format!("open {path} {flags:#o}: {}", result(opened.min(0)))
}

fn on_paths(folder: &Path, numbers: &mut Numbers) -> String {
    let [path, other] = [0; 2].map(|_| PATHS[numbers.below(PATHS.len())]);
    let (own, to) = (folder.join(path), folder.join(other));
    let (c_own, c_to) = (c_path(&own), c_path(&to));
    let (c_own, c_to) = (c_own.as_ptr(), c_to.as_ptr());
    let size = numbers.below(9_000) as libc::off_t;
    let kind = numbers.below(18);
    // SAFETY: the paths are C strings.
    let did = unsafe {
        match kind {
            0 | 1 => result(libc::mkdir(c_own, 0o750)),
            2 => result(libc::rmdir(c_own)),
            3 => result(libc::unlink(c_own)),
            4 | 5 => result(libc::rename(c_own, c_to)),
            6 => {
                let (from, into) = (libc::AT_FDCWD, libc::AT_FDCWD);
                result(libc::renameat2(from, c_own, into, c_to, libc::RENAME_NOREPLACE))
            }
            7 => result(libc::link(c_own, c_to)),
            8 => {
                let target = c_path(Path::new(other.trim_end_matches('/')));
                result(libc::symlink(target.as_ptr(), c_own))
            }
            9 => of(fs::read_link(&own), |target| format!("{target:?}")),
            10 => result(libc::truncate(c_own, size)),
            11 => result(libc::access(
                c_own,
                [libc::F_OK, libc::R_OK | libc::W_OK][size as usize % 2],
            )),
            12 => result(libc::chmod(c_own, [0o600, 0o644, 0o755][size as usize % 3])),
            13 => of(own.canonicalize(), |found| format!("{:?}", below(folder, &found))),
            14 => of(fs::symlink_metadata(&own), |found| metadata(&found)),
            15 => of(fs::read(&own), |bytes| digest(&bytes)),
            16 => of(list(&own), |names| format!("{names:?}")),
            _ => of(fs::metadata(&own), |found| metadata(&found)),
        }
    };
    format!("path call {kind} {path} {other} {size}: {did}")
}

fn on_descriptor(descriptors: &mut Vec<c_int>, numbers: &mut Numbers) -> String {
    let at = numbers.below(descriptors.len());
    let own = descriptors[at];
    let (position, length) = (numbers.below(10_000) as libc::off_t, numbers.below(5_000) + 1);
    let byte = numbers.below(256) as u8;
    let mut bytes = vec![byte; length];
    let kind = numbers.below(20);
    // SAFETY: the buffers have the length that is passed, and the structures are zeroed.
    let did = unsafe {
        match kind {
            0..=2 => result(libc::write(own, bytes.as_ptr().cast(), length) as i64),
            3 | 4 => result(libc::pwrite(own, bytes.as_ptr().cast(), length, position) as i64),
            5 | 6 => {
                let count = libc::read(own, bytes.as_mut_ptr().cast(), length);
                format!("{} {}", result(count as i64), digest(&bytes[..count.max(0) as usize]))
            }
            7 | 8 => {
                let count = libc::pread(own, bytes.as_mut_ptr().cast(), length, position);
                format!("{} {}", result(count as i64), digest(&bytes[..count.max(0) as usize]))
            }
            9 => result(libc::lseek(own, position - 3_000, libc::SEEK_CUR)),
            10 => {
                let whence = [libc::SEEK_SET, libc::SEEK_END][length % 2];
                // A folder's end is the file system's own.
                if is_folder(own) {
                    "skipped".to_owned()
                } else {
                    result(libc::lseek(own, position - 3_000, whence))
                }
            }
            11 | 12 => result(libc::ftruncate(own, position - 500)),
            13 => {
                let modes = [
                    0,
                    libc::FALLOC_FL_KEEP_SIZE,
                    libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE,
                ];
                result(libc::fallocate(own, modes[length % 3], position, length as libc::off_t - 1))
            }
            14 => result(libc::fsync(own)),
            15 => result(libc::fdatasync(own)),
            16 => {
                let mut status: libc::stat = std::mem::zeroed();
                let returned = libc::fstat(own, &raw mut status);
                let is_file = status.st_mode & libc::S_IFMT == libc::S_IFREG;
                let size = if is_file { status.st_size } else { 0 };
                format!("{} {:o} {size}", result(returned), status.st_mode)
            }
            17 => {
                // Linux says that large files are allowed, and a run does not.
                let kept = libc::O_ACCMODE | libc::O_APPEND | libc::O_DIRECTORY;
                result(libc::fcntl(own, libc::F_GETFL) & kept)
            }
            18 if descriptors.len() < MOST => {
                let copy = libc::dup(own);
                descriptors.push(copy);
                result(copy.min(0))
            }
            _ => result(libc::fchmod(own, [0o600, 0o664][length % 2])),
        }
    };
    format!("call {kind} on {at} at {position}, {length} of {byte}: {did}")
}

fn is_folder(descriptor: c_int) -> bool {
    // SAFETY: the structure consists of numbers, for which zeros are valid.
    unsafe {
        let mut status: libc::stat = std::mem::zeroed();
        libc::fstat(descriptor, &raw mut status);
        status.st_mode & libc::S_IFMT == libc::S_IFDIR
    }
}

fn metadata(found: &fs::Metadata) -> String {
    let mode = found.permissions().mode();
    match found.is_dir() {
        true => format!("{mode:o}"),
        false => format!("{mode:o} {} {}", found.len(), found.nlink()),
    }
}

/// The path below the folder of the sequence.
fn below(folder: &Path, path: &Path) -> PathBuf {
    let folder = folder.canonicalize().unwrap_or_default();
    path.strip_prefix(&folder).unwrap_or(path).to_owned()
}

fn digest(bytes: &[u8]) -> String {
    let runs = bytes.chunk_by(|a, b| a == b).map(|run| format!("{}*{}", run.len(), run[0]));
    runs.collect::<Vec<_>>().join(" ")
}

fn list(folder: &Path) -> std::io::Result<Vec<String>> {
    let entries = fs::read_dir(folder)?.map(|entry| {
        let entry = entry?;
        Ok(format!("{:?} {:?}", entry.file_name(), entry.file_type()?))
    });
    let mut names = entries.collect::<std::io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// All that is below a folder.
fn tree(folder: &Path) -> String {
    let mut text = String::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(path) = pending.pop() {
        let found = fs::symlink_metadata(&path).expect("it was listed");
        let shown = path.strip_prefix(folder).unwrap_or(&path);
        text += &format!("{shown:?} {}\n", metadata(&found));
        if found.is_dir() {
            let entries = fs::read_dir(&path).expect("a folder");
            pending.extend(entries.map(|entry| entry.expect("an entry").path()));
            pending.sort();
        } else if found.is_file() {
            text += &digest(&fs::read(&path).expect("a file"));
        }
    }
    text
}
