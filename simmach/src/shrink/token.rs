//! A failing run as one short text: `sm1.` and Crockford's base 32 in lower case.
//!
//! It holds the test, the shape of its spec, the seed, the overlay, what the run came to, and check bits. There is one
//! text for a token: what was damaged or made up is refused, at odds of one in four thousand million against it. Nothing of
//! the program is in it: it fits as long as test and spec are the same.
//!
//! The spec's names, links, limits and plans are known before a run. What the test's steps are is not: they are in its
//! body, so they are compared with those that the run began. What a step does between its choices is code, and no part of
//! the shape: where that has changed, the trace differs.

mod base32;
mod bytes;

use std::fmt;
use std::str::FromStr;

use crate::engine::draws::overlay::Overlay;
use crate::engine::draws::positions::StepSequence;
use crate::shrink::token::bytes::{Reader, Writer};

/// What a token begins with: its kind and version.
const PREFIX: &str = "sm1.";
/// The longest text that is looked at.
const LONGEST: usize = 4 << 20;

/// A failing run, to be made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// The test, as [`test_number`] has it.
    pub(crate) test: u32,
    /// The shape of its spec.
    pub(crate) shape: u32,
    /// The test's walks of steps, as far as the failing run had begun them.
    pub(crate) walks: Vec<StepSequence>,
    pub(crate) seed: u64,
    pub(crate) overlay: Overlay,
    /// The failure's fingerprint, in short.
    pub(crate) failure: u32,
    pub(crate) trace: TraceMarks,
}

/// A trace in short: how many events, its hash, and a byte of the running hash at some of them. Of none it is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TraceMarks {
    pub(crate) events: u64,
    pub(crate) hash: u32,
    pub(crate) marks: Vec<u8>,
}

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("it is no token: one begins with `sm1.`")]
    Prefix,
    #[error("it is a token of another version of simmach")]
    Version,
    #[error("it is no token: {0:?} is no character of one")]
    Character(char),
    #[error("it is damaged, or was made up: its check bits do not fit")]
    Damaged,
}

impl Token {
    fn to_bytes(&self) -> Vec<u8> {
        let Self { test, shape, walks, seed, overlay, failure, trace } = self;
        let mut writer = Writer::default();
        writer.fixed(*test);
        writer.fixed(*shape);
        writer.walks(walks);
        writer.number(*seed);
        writer.overlay(overlay);
        writer.fixed(*failure);
        writer.number(trace.events);
        writer.fixed(trace.hash);
        writer.text(&trace.marks);
        let check = check(writer.bytes());
        writer.fixed(check);
        writer.into_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (body, end) = bytes.split_last_chunk::<4>()?;
        if check(body) != u32::from_le_bytes(*end) {
            return None;
        }
        let mut reader = Reader::new(body);
        let token = Self {
            test: reader.fixed()?,
            shape: reader.fixed()?,
            walks: reader.walks()?,
            seed: reader.number()?,
            overlay: reader.overlay()?,
            failure: reader.fixed()?,
            trace: TraceMarks {
                events: reader.number()?,
                hash: reader.fixed()?,
                marks: reader.text()?,
            },
        };
        // Two texts for one token would be one too many.
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
        if text.len() > LONGEST {
            return Err(TokenError::Damaged);
        }
        let head = text.get(..PREFIX.len()).unwrap_or_default();
        if !head.eq_ignore_ascii_case(PREFIX) {
            let mut head = head.chars();
            let is_ours = [head.next(), head.next()] == [Some('s'), Some('m')]
                && head.next().is_some_and(|version| version.is_ascii_digit());
            return Err(if is_ours { TokenError::Version } else { TokenError::Prefix });
        }
        let bytes = base32::decode(&text[PREFIX.len()..])?;
        Self::from_bytes(&bytes).ok_or(TokenError::Damaged)
    }
}

/// A test's key, in short.
pub(crate) fn test_number(key: &str) -> u32 {
    check(key.as_bytes())
}

/// A text, in short.
pub(crate) fn short(text: &str) -> u32 {
    check(text.as_bytes())
}

/// CRC-32C, bit by bit: a token is short, and read once.
fn check(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
    });
    !crc
}

#[cfg(test)]
mod tests;
