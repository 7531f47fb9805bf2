//! Checks the names of stores. A valid name is a valid file name on all platforms.

use crate::storage::error::{Error, Result};

pub(crate) fn check(name: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=64).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('.') {
        return Ok(());
    }
    Err(Error::Name(format!(
        "invalid store name {name:?}: use 1 to 64 of the characters a-z, A-Z, 0-9, '-', '_' and '.', not starting with \
         a dot"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_files_are_rejected() {
        for good in ["db", "Stock-2_b.v1"] {
            check(good).expect(good);
        }
        let long = "x".repeat(65);
        for bad in ["", ".", "..", ".db", "a/b", "a\0", "ä", "a b", &long] {
            assert!(matches!(check(bad), Err(Error::Name(_))), "{bad:?}");
        }
    }
}
