//! Finds linked libraries that have their own random number generators, by the names in the string
//! tables of this ELF binary.
//!
//! The binary is read only when a report needs the libraries. A stripped binary shows only shared libraries. Only 64-bit
//! little-endian ELF is supported.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Error};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::report::generators::Library;

/// Returns the libraries that are linked with this process's binary.
pub(crate) fn libraries() -> Vec<Library> {
    // An unreadable binary names no libraries.
    std::env::current_exe().and_then(|path| libraries_of(&path)).unwrap_or_default()
}

/// ELF section type of string tables (`SHT_STRTAB`).
const STRING_TABLE: u64 = 3;
/// Maximum size of a string table in bytes.
const MAX_TABLE_SIZE: u64 = 1 << 30;

fn libraries_of(path: &Path) -> io::Result<Vec<Library>> {
    let file = File::open(path)?;
    let mut found = BTreeSet::new();
    for (offset, size) in string_tables(&file)? {
        let names = bytes(&file, offset, size)?;
        found.extend(names.split(|byte| *byte == 0).filter_map(Library::of));
    }
    Ok(found.into_iter().collect())
}

/// Offsets and sizes of the string tables.
fn string_tables(file: &File) -> io::Result<Vec<(u64, u64)>> {
    let header = bytes(file, 0, 64)?;
    // 64 bits, little-endian.
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return Err(Error::from(io::ErrorKind::Unsupported));
    }
    let (start, each, many) =
        (read_number(&header, 40, 8)?, read_number(&header, 58, 2)?, read_number(&header, 60, 2)?);
    // If the number does not fit into the header, the first section has it.
    let many = if many == 0 { read_number(&bytes(file, start, each)?, 32, 8)? } else { many };
    let sections = bytes(file, start, each.saturating_mul(many))?;
    let mut tables = Vec::new();
    for section in sections.chunks_exact(usize::try_from(each).unwrap_or(usize::MAX).max(1)) {
        if read_number(section, 4, 4)? == STRING_TABLE {
            tables.push((read_number(section, 24, 8)?, read_number(section, 32, 8)?));
        }
    }
    Ok(tables)
}

fn bytes(file: &File, offset: u64, size: u64) -> io::Result<Vec<u8>> {
    if size > MAX_TABLE_SIZE {
        return Err(Error::from(io::ErrorKind::InvalidData));
    }
    let mut bytes = vec![0; size as usize];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

/// Reads a little-endian number of `length` bytes.
fn read_number(bytes: &[u8], at: usize, length: usize) -> io::Result<u64> {
    let bytes = bytes.get(at..at + length).ok_or(io::ErrorKind::InvalidData)?;
    Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(all(test, target_os = "linux", target_pointer_width = "64", target_endian = "little"))]
mod tests {
    use super::*;
    use crate::harness::testing::Scratch;

    /// An ELF file with a header, one string table and two section headers.
    fn elf(names: &[&str]) -> Vec<u8> {
        let table = names.join("\0").into_bytes();
        let mut file = vec![0; 64];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[40..48].copy_from_slice(&(64 + table.len() as u64).to_le_bytes());
        file[58..60].copy_from_slice(&64u16.to_le_bytes());
        file[60..62].copy_from_slice(&2u16.to_le_bytes());
        file.extend_from_slice(&table);
        file.extend_from_slice(&[0; 64]);
        let mut section = [0; 64];
        section[4] = 3;
        section[24..32].copy_from_slice(&64u64.to_le_bytes());
        section[32..40].copy_from_slice(&(table.len() as u64).to_le_bytes());
        file.extend_from_slice(&section);
        file
    }

    #[test]
    fn libraries_are_found_by_names_in_tables() {
        let scratch = Scratch::new("linked");
        let path = scratch.path().join("binary");
        let found = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("the temporary folder is writable");
            libraries_of(&path).ok()
        };
        assert_eq!(found(&elf(&["", "main", "libc.so.6"])), Some(vec![]));
        let both = elf(&["", "sqlite3_randomness", "x", "aws_lc_0_32_3_RAND_bytes", ""]);
        assert_eq!(found(&both), Some(vec![Library::AwsLc, Library::Sqlite]));
        assert_eq!(found(&elf(&["", "libssl.so.3"])), Some(vec![Library::OpenSsl]));
        // Truncated and other files are errors, not panics.
        assert!((0..both.len()).all(|end| found(&both[..end]).is_none()));
        assert_eq!(found(b"#!/bin/sh\n"), None);
    }

    /// Reads the names of this test's own binary.
    #[test]
    fn libraries_of_this_binary_are_readable() {
        let file = File::open(std::env::current_exe().expect("the path of this binary is known"))
            .expect("the file exists");
        let tables = string_tables(&file).expect("the binary is an ELF file");
        let has = |(offset, size): &(u64, u64)| {
            let names = bytes(&file, *offset, *size).expect("the section is complete");
            names.split(|byte| *byte == 0).any(|name| name == b"clock_gettime")
        };
        assert!(tables.iter().any(has));
    }
}
