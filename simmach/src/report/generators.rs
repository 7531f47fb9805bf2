//! Libraries with a generator of random numbers of their own, which no seed reaches, as a report names them.

use crate::report::difference::Cause;

/// A library with a generator of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Library {
    /// The default provider of rustls.
    AwsLc,
    /// Or BoringSSL, whose functions have the same names.
    OpenSsl,
    Sqlite,
}

impl Library {
    /// The library that a name in the tables of a binary tells of: a symbol's, or a shared library's.
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

    fn words(self) -> &'static str {
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

/// What is said of the libraries that a binary has, where one of them may be the cause; empty if none is.
pub(crate) fn paragraph(cause: Cause, libraries: &[Library]) -> String {
    let may_be = match cause {
        Cause::State | Cause::Outside | Cause::AddressesOrOutside | Cause::Rare => true,
        Cause::Maps | Cause::Addresses | Cause::Thread => false,
    };
    if libraries.is_empty() || !may_be {
        return String::new();
    }
    let mut text = "\
It may be a generator of random numbers that the seed does not reach. This binary is linked with:"
        .to_owned();
    for library in libraries {
        text.push_str("\n- ");
        text.push_str(library.words());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_of_libraries() {
        for (name, library) in [
            ("aws_lc_0_32_3_RAND_bytes", Some(Library::AwsLc)),
            ("aws_lc_fips_0_13_7_RAND_bytes", Some(Library::AwsLc)),
            ("RAND_bytes", Some(Library::OpenSsl)),
            ("libcrypto.so.3", Some(Library::OpenSsl)),
            ("libssl.so.1.1", Some(Library::OpenSsl)),
            ("sqlite3_randomness", Some(Library::Sqlite)),
            ("libsqlite3.so.0", Some(Library::Sqlite)),
            // ring has no generator of its own: it asks the system.
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
    fn libraries_are_named_where_they_may_be_the_cause() {
        let both = [Library::AwsLc, Library::Sqlite];
        for cause in [Cause::State, Cause::Outside, Cause::AddressesOrOutside, Cause::Rare] {
            let text = paragraph(cause, &both);
            assert!(text.contains("It may be") && text.contains("`ring` provider"), "{text}");
            assert!(text.contains("SQLite") && !text.contains("OpenSSL"), "{text}");
            assert_eq!(paragraph(cause, &[]), "");
        }
        for cause in [Cause::Maps, Cause::Addresses, Cause::Thread] {
            assert_eq!(paragraph(cause, &both), "");
        }
    }
}
