//! The name of a machine, shared by all layers of a run.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use crate::engine::draws::{mix, mix_text};

/// The name of a machine. Clones share the text. Comparison ignores ASCII case (RFC 4343).
#[derive(Clone)]
pub(crate) struct Name {
    text: Arc<str>,
    word: u64,
}

impl Name {
    /// A hash of the name in one word, for draws and task paths. The hash does not depend on other
    /// machines.
    pub(crate) fn word(&self) -> u64 {
        self.word
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.text.eq_ignore_ascii_case(&other.text)
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Hashes eight bytes at a time, since a cluster may have thousands of names, and each is hashed in every run.
        for chunk in self.text.as_bytes().chunks(8) {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            bytes.make_ascii_lowercase();
            state.write_u64(u64::from_le_bytes(bytes));
        }
    }
}

/// A hasher for maps keyed by names: deterministic, and fast on short names.
#[derive(Clone, Default)]
pub(crate) struct NameHasher(u64);

impl Hasher for NameHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = mix(self.0, word);
    }
}

impl Default for Name {
    fn default() -> Self {
        Self::from("")
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self { text: text.into(), word: mix_text(text) }
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_formatted_as_a_str() {
        assert_eq!(format!("{:>5}|{:?}", Name::from("bc.d"), Name::from("é")), " bc.d|\"é\"");
    }

    #[test]
    fn name_comparison_ignores_case() {
        let hash = |name: &str| {
            let mut hasher = NameHasher::default();
            Name::from(name).hash(&mut hasher);
            hasher.finish()
        };
        assert_eq!(Name::from("Api10.public"), Name::from("aPI10.Public"));
        assert_eq!(hash("Api10.public"), hash("aPI10.Public"));
        assert_ne!(Name::from("api10.public"), Name::from("api11.public"));
        assert_ne!(hash("api10.public"), hash("api11.public"));
    }

    #[test]
    fn name_word_depends_only_on_the_text() {
        assert_eq!(Name::from("a.b").word(), Name::from("a.b").word());
        assert_ne!(Name::from("a.b").word(), Name::from("a.c").word());
    }
}
