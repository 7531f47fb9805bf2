//! Tokens: a failing run as a short text. The text is `sm2.` and Crockford's base 32 in lower case.
//!
//! A token contains the test, the shape of its spec, the seed, the overlay with the acts that
//! replace the plans, the failure, a summary of the trace, and a 32-bit checksum. Each token has
//! exactly one encoding. The checksum rejects damaged and invented tokens. The program's code is
//! not part of a token, which fits as long as the test and its spec are the same.
//!
//! The spec's names, links, limits and plans are known before a run. If acts replace the plans, the
//! plans are not part of the shape, so they can be changed or removed. The test's steps are part of
//! its body, so they are only known during a run. A replay therefore compares the steps of the
//! token with those of the replayed run. Code between the choices of a step is not part of the
//! shape; if this code has changed, the trace differs.

mod base32;
mod bytes;

use std::fmt;
use std::str::FromStr;

use crate::engine::draws::overlay::Overlay;
use crate::engine::draws::positions::StepSequence;
use crate::shrink::token::bytes::{TokenReader, TokenWriter};

/// The beginning of a token, which contains its version.
const PREFIX: &str = "sm2.";
/// Maximum length of a text that is parsed, in bytes.
const MAX_LENGTH: usize = 4 << 20;

/// A failing run that can be replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// The hash of the test, [`test_hash`].
    pub(crate) test: u32,
    /// Hash of the spec's shape.
    pub(crate) shape: u32,
    /// The step sequences that began in the failing run.
    pub(crate) sequences: Vec<StepSequence>,
    pub(crate) seed: u64,
    pub(crate) overlay: Overlay,
    /// Hash of the failure's fingerprint.
    pub(crate) failure: u32,
    pub(crate) trace: TraceSummary,
}

/// Summary of a trace: number of events, hash, and one byte of the running hash at some events. Unknown if there are no
/// events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TraceSummary {
    pub(crate) events: u64,
    pub(crate) hash: u32,
    pub(crate) checkpoints: Vec<u8>,
}

/// Why a text cannot be parsed as a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("not a token: tokens start with `sm2.`")]
    Prefix,
    #[error(
        "the token was made by another version of simmach: it starts with `sm{0}.`, but tokens of this version start with `sm2.`"
    )]
    Version(char),
    #[error("not a token: invalid character {0:?}")]
    Character(char),
    #[error("damaged token: wrong checksum")]
    Damaged,
}

impl Token {
    fn to_bytes(&self) -> Vec<u8> {
        let Self { test, shape, sequences, seed, overlay, failure, trace } = self;
        let mut writer = TokenWriter::default();
        writer.fixed(*test);
        writer.fixed(*shape);
        writer.step_sequences(sequences);
        writer.number(*seed);
        writer.overlay(overlay);
        writer.fixed(*failure);
        writer.number(trace.events);
        writer.fixed(trace.hash);
        writer.byte_string(&trace.checkpoints);
        let checksum = checksum(writer.bytes());
        writer.fixed(checksum);
        writer.into_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (body, end) = bytes.split_last_chunk::<4>()?;
        if checksum(body) != u32::from_le_bytes(*end) {
            return None;
        }
        let mut reader = TokenReader::new(body);
        let token = Self {
            test: reader.fixed()?,
            shape: reader.fixed()?,
            sequences: reader.step_sequences()?,
            seed: reader.number()?,
            overlay: reader.overlay()?,
            failure: reader.fixed()?,
            trace: TraceSummary {
                events: reader.number()?,
                hash: reader.fixed()?,
                checkpoints: reader.byte_string()?,
            },
        };
        // Rejects a second encoding of the same token.
        (reader.is_at_end() && token.to_bytes() == bytes).then_some(token)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", base32::encode(&self.to_bytes()))
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.len() > MAX_LENGTH {
            return Err(TokenError::Damaged);
        }
        let head = text.get(..PREFIX.len()).unwrap_or_default();
        if !head.eq_ignore_ascii_case(PREFIX) {
            let mut head = head.chars();
            let is_ours = [head.next(), head.next()] == [Some('s'), Some('m')];
            let version = head.next().filter(|version| is_ours && version.is_ascii_digit());
            return Err(version.map_or(TokenError::Prefix, TokenError::Version));
        }
        let bytes = base32::decode(&text[PREFIX.len()..])?;
        Self::from_bytes(&bytes).ok_or(TokenError::Damaged)
    }
}

/// 32-bit hash of a test's key.
pub(crate) fn test_hash(key: &str) -> u32 {
    checksum(key.as_bytes())
}

/// 32-bit hash of a text.
pub(crate) fn short_hash(text: &str) -> u32 {
    checksum(text.as_bytes())
}

/// CRC-32C, computed bit by bit: tokens are short.
fn checksum(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
    });
    !crc
}

#[cfg(test)]
mod tests;
