//! Known difficult cases, similar to those of xfstests.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, symlink};
use std::path::Path;

use crate::results::{of, result};

type Case = fn(&Path) -> Vec<String>;

pub(crate) const ALL: [(&str, Case); 9] = [
    ("append", append),
    ("directory_while_it_changes", directory_while_it_changes),
    ("holes", holes),
    ("links", links),
    ("loop", link_loop),
    ("rename_over", rename_over),
    ("times", times),
    ("unlink_while_open", unlink_while_open),
    ("unnamed", unnamed),
];

fn size(path: &Path) -> String {
    of(fs::metadata(path), |found| format!("{} bytes, {} names", found.len(), found.nlink()))
}

/// A file replaces an open file. The open file stays unchanged.
fn rename_over(folder: &Path) -> Vec<String> {
    let (old, new) = (folder.join("old"), folder.join("new"));
    fs::write(&old, "old").expect("it is written");
    fs::write(&new, "the new one").expect("it is written");
    let mut open = File::open(&old).expect("it is there");
    let mut text = String::new();
    let mut did = vec![of(fs::rename(&new, &old), |()| "renamed".to_owned())];
    did.push(of(open.read_to_string(&mut text), |_| text.clone()));
    did.push(of(fs::read_to_string(&old), |text| text));
    did.push(of(open.metadata(), |found| format!("{} names", found.nlink())));
    fs::create_dir(folder.join("empty")).expect("it is made");
    fs::create_dir_all(folder.join("full/inner")).expect("it is made");
    for (from, to) in [
        ("full", "empty"),
        ("full", "old"),
        ("old", "empty"),
        ("empty", "empty/inner/x"),
        ("empty", "gone/x"),
    ] {
        did.push(of(fs::rename(folder.join(from), folder.join(to)), |()| {
            format!("{from} to {to}")
        }));
    }
    did
}

fn unlink_while_open(folder: &Path) -> Vec<String> {
    let path = folder.join("file");
    let mut file =
        OpenOptions::new().create_new(true).read(true).write(true).open(&path).expect("it is new");
    file.write_all(b"still here").expect("it is written");
    fs::remove_file(&path).expect("it is removed");
    let mut text = String::new();
    let mut did = vec![of(fs::metadata(&path), |_| "there".to_owned())];
    file.rewind().expect("it is moved");
    did.push(of(file.read_to_string(&mut text), |_| text.clone()));
    did.push(of(file.metadata(), |found| {
        format!("{} bytes, {} names", found.len(), found.nlink())
    }));
    // Another file takes the name.
    fs::write(&path, "other").expect("it is written");
    did.push(of(file.write_at(b"S", 0), |count| count.to_string()));
    did.push(of(fs::read_to_string(&path), |text| text));
    let inner = folder.join("folder");
    fs::create_dir(&inner).expect("it is made");
    let open = File::open(&inner).expect("it is there");
    fs::remove_dir(&inner).expect("it is removed");
    did.push(of(open.metadata(), |found| format!("{} names", found.nlink())));
    did.push(of(open.sync_all(), |()| "synced".to_owned()));
    did
}

fn append(folder: &Path) -> Vec<String> {
    let path = folder.join("log");
    let mut one = OpenOptions::new().create(true).append(true).open(&path).expect("it is opened");
    let mut other = OpenOptions::new().append(true).read(true).open(&path).expect("it is opened");
    let mut did = Vec::new();
    one.write_all(b"one ").expect("it is written");
    other.write_all(b"two ").expect("it is written");
    other.seek(SeekFrom::Start(1)).expect("it is moved");
    other.write_all(b"three ").expect("it is written");
    // As Linux, and unlike POSIX: at the end, too.
    did.push(of(one.write_at(b"four", 0), |count| count.to_string()));
    did.push(of(one.stream_position(), |position| position.to_string()));
    did.push(of(other.stream_position(), |position| position.to_string()));
    did.push(of(fs::read_to_string(&path), |text| text));
    did.push(of(one.read(&mut [0; 1]), |count| count.to_string()));
    did
}

fn holes(folder: &Path) -> Vec<String> {
    let path = folder.join("sparse");
    let file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(&path)
        .expect("it is opened");
    file.write_all_at(b"end", 1 << 20).expect("it is written");
    let seek = |from: i64, whence| {
        // SAFETY: the file is open.
        result(unsafe { libc::lseek(file.as_raw_fd(), from, whence) })
    };
    let mut did = vec![size(&path)];
    did.push(seek(0, libc::SEEK_DATA));
    did.push(seek(1 << 20, libc::SEEK_HOLE));
    did.push(seek(5, libc::SEEK_HOLE));
    did.push(seek((1 << 20) + 3, libc::SEEK_DATA));
    file.set_len(100).expect("it is cut");
    file.set_len(3_000).expect("it is extended");
    let mut bytes = vec![1; 4_000];
    did.push(of(file.read_at(&mut bytes, 0), |count| {
        format!("{count} {}", bytes[..count].iter().all(|byte| *byte == 0))
    }));
    did
}

fn links(folder: &Path) -> Vec<String> {
    let at = |name: &str| folder.join(name);
    fs::create_dir(at("d")).expect("it is made");
    fs::write(at("d/file"), "text").expect("it is written");
    symlink("d/file", at("to-file")).expect("it is made");
    symlink("d", at("to-folder")).expect("it is made");
    symlink("nothing", at("dangling")).expect("it is made");
    let mut did = vec![
        of(fs::read_to_string(at("to-file")), |text| text),
        of(fs::read_to_string(at("to-folder/file")), |text| text),
        of(fs::read(at("dangling")), |_| "read".to_owned()),
        of(fs::metadata(at("dangling")), |_| "there".to_owned()),
        of(fs::symlink_metadata(at("to-file")), |found| format!("{:?}", found.file_type())),
        of(fs::remove_dir(at("to-folder")), |()| "removed".to_owned()),
        of(fs::hard_link(at("d"), at("e")), |()| "linked".to_owned()),
        of(fs::hard_link(at("to-file"), at("e")), |()| "linked".to_owned()),
        of(fs::symlink_metadata(at("e")), |found| {
            format!("{:?} {}", found.file_type(), found.nlink())
        }),
        of(
            OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(at("to-file")),
            |_| "open".to_owned(),
        ),
        of(OpenOptions::new().write(true).create_new(true).open(at("dangling")), |_| {
            "open".to_owned()
        }),
    ];
    // Through a link that leads nowhere, a file is created where it points.
    did.push(of(fs::write(at("dangling"), "new"), |()| "written".to_owned()));
    did.push(of(fs::read_to_string(at("nothing")), |text| text));
    did.push(of(fs::remove_file(at("to-folder")), |()| "removed".to_owned()));
    did.push(of(fs::read_to_string(at("d/file")), |text| text));
    did
}

fn link_loop(folder: &Path) -> Vec<String> {
    let at = |name: &str| folder.join(name);
    symlink("two", at("one")).expect("it is made");
    symlink("one", at("two")).expect("it is made");
    symlink(".", at("here")).expect("it is made");
    fs::write(at("file"), "found").expect("it is written");
    let long = |count: usize| folder.join("here/".repeat(count)).join("file");
    vec![
        of(fs::read(at("one")), |_| "read".to_owned()),
        of(fs::metadata(at("one/x")), |_| "there".to_owned()),
        of(fs::canonicalize(at("two")), |_| "found".to_owned()),
        of(fs::read_to_string(long(40)), |text| text),
        of(fs::read_to_string(long(41)), |text| text),
        of(fs::write(at(&"n".repeat(256)), ""), |()| "written".to_owned()),
        of(fs::write(at(&"n/".repeat(2_200)), ""), |()| "written".to_owned()),
    ]
}

/// Names that are added and removed while a folder is listed may be listed or not; all others are, once.
fn directory_while_it_changes(folder: &Path) -> Vec<String> {
    for number in 0..50 {
        fs::write(folder.join(format!("kept-{number}")), "").expect("it is written");
        fs::write(folder.join(format!("removed-{number}")), "").expect("it is written");
    }
    let mut kept = Vec::new();
    let mut removed = 0;
    for entry in fs::read_dir(folder).expect("a folder") {
        let name = entry.expect("an entry").file_name().into_string().expect("ASCII");
        if name.starts_with("kept") {
            kept.push(name);
        }
        if removed < 50 {
            fs::remove_file(folder.join(format!("removed-{removed}"))).expect("it is there");
            fs::write(folder.join(format!("added-{removed}")), "").expect("it is written");
            removed += 1;
        }
    }
    kept.sort();
    let all = fs::read_dir(folder).expect("a folder").count();
    vec![format!("{} {all}", kept.len()), kept.join(" ")]
}

fn times(folder: &Path) -> Vec<String> {
    let path = folder.join("file");
    fs::write(&path, "text").expect("it is written");
    let file = File::options().write(true).open(&path).expect("it is there");
    let at = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 123_456_789);
    let times = fs::FileTimes::new().set_modified(at).set_accessed(at);
    let mut did = vec![of(file.set_times(times), |()| "set".to_owned())];
    did.push(of(fs::metadata(&path), |found| {
        format!("{:?} {:?}", found.modified().ok(), found.mtime_nsec())
    }));
    let first = fs::metadata(&path).and_then(|found| found.modified()).expect("it has a time");
    fs::write(&path, "more").expect("it is written");
    let second = fs::metadata(&path).and_then(|found| found.modified()).expect("it has a time");
    did.push(format!("{}", second > first));
    did
}

fn unnamed(folder: &Path) -> Vec<String> {
    let open = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_TMPFILE)
        .mode(0o600)
        .open(folder);
    let mut did = vec![of(
        open.as_ref()
            .map_err(|error| std::io::Error::from_raw_os_error(error.raw_os_error().unwrap_or(0))),
        |_| "open".to_owned(),
    )];
    if let Ok(mut file) = open {
        did.push(of(file.write_all(b"nameless"), |()| "written".to_owned()));
        did.push(of(file.metadata(), |found| {
            format!("{} bytes, {} names", found.len(), found.nlink())
        }));
    }
    did.push(of(fs::read_dir(folder), |entries| entries.count().to_string()));
    did
}
