//! Linked libraries that have their own random number generators, which the seed does not control.

use crate::report::mismatch_cause::MismatchCause;

/// A library with its own random number generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Library {
    /// AWS-LC, the default provider of rustls.
    AwsLc,
    /// OpenSSL, or BoringSSL, whose functions have the same names.
    OpenSsl,
    Sqlite,
}

impl Library {
    /// Returns the library that contains a symbol of a binary, or that is a shared library of the
    /// binary, by its name.
    pub(crate) fn of(name: &[u8]) -> Option<Self> {
        let is_shared = |library: &[u8]| name.starts_with(library);
        if name.starts_with(b"aws_lc_") && name.ends_with(b"_RAND_bytes") {
            Some(Self::AwsLc)
        } else if name == b"RAND_bytes" || is_shared(b"libcrypto.so") || is_shared(b"libssl.so") {
            Some(Self::OpenSsl)
        } else if name == b"sqlite3_randomness" || is_shared(b"libsqlite3.so") {
            Some(Self::Sqlite)
        } else {
            None
        }
    }

    fn advice(self) -> &'static str {
        match self {
            Self::AwsLc => {
                "AWS-LC, the default provider of rustls (crate `aws-lc-rs`): use the `ring` provider"
            }
            Self::OpenSsl => {
                "OpenSSL or BoringSSL (`openssl`, `native-tls`, `boring`): use rustls with the `ring` provider"
            }
            Self::Sqlite => {
                "SQLite (`rusqlite`, `sqlx`), for `random()` and `randomblob()` in SQL: draw the value in Rust"
            }
        }
    }
}

/// Formats the linked libraries that may be the cause; empty if there are none.
pub(crate) fn paragraph(cause: MismatchCause, libraries: &[Library]) -> String {
    let may_be = match cause {
        MismatchCause::State
        | MismatchCause::Outside
        | MismatchCause::AddressesOrOutside
        | MismatchCause::Rare => true,
        MismatchCause::Maps | MismatchCause::Addresses | MismatchCause::Thread => false,
    };
    if libraries.is_empty() || !may_be {
        return String::new();
    }
    let mut text = "\
The cause may be a random number generator that the seed does not control. This binary is linked with:"
        .to_owned();
    for library in libraries {
        text.push_str("\n- ");
        text.push_str(library.advice());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn library_is_found_by_name() {
        for (name, library) in [
            ("aws_lc_0_32_3_RAND_bytes", Some(Library::AwsLc)),
            ("aws_lc_fips_0_13_7_RAND_bytes", Some(Library::AwsLc)),
            ("RAND_bytes", Some(Library::OpenSsl)),
            ("libcrypto.so.3", Some(Library::OpenSsl)),
            ("libssl.so.1.1", Some(Library::OpenSsl)),
            ("sqlite3_randomness", Some(Library::Sqlite)),
            ("libsqlite3.so.0", Some(Library::Sqlite)),
            // ring asks the system for random numbers.
            ("ring_core_0_17_14__aes_hw_encrypt", None),
            ("aws_lc_0_32_3_SHA256", None),
            ("my_RAND_bytes", None),
            ("libc.so.6", None),
            ("", None),
        ] {
            assert_eq!(Library::of(name.as_bytes()), library, "{name}");
        }
    }

    #[test]
    fn paragraph_lists_libraries_that_may_be_the_cause() {
        let both = [Library::AwsLc, Library::Sqlite];
        for cause in [
            MismatchCause::State,
            MismatchCause::Outside,
            MismatchCause::AddressesOrOutside,
            MismatchCause::Rare,
        ] {
            let text = paragraph(cause, &both);
            assert!(
                text.contains("The cause may be") && text.contains("`ring` provider"),
                "{text}"
            );
            assert!(text.contains("SQLite") && !text.contains("OpenSSL"), "{text}");
            assert_eq!(paragraph(cause, &[]), "");
        }
        for cause in [MismatchCause::Maps, MismatchCause::Addresses, MismatchCause::Thread] {
            assert_eq!(paragraph(cause, &both), "");
        }
    }
}
