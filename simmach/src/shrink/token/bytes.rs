//! The binary encoding of a token: numbers, step sequences, overlays and scripts.
//!
//! A number is encoded with seven bits per byte, so that small numbers are short. The large words
//! of an overlay are mostly hashes. They are written once, in a list before the rules, which refer
//! to them by index.

use crate::engine::draws::family::Family;
use crate::engine::draws::overlay::{Overlay, Position, Rule, RuleAction};
use crate::engine::draws::positions::StepSequence;

/// The smallest word that is written to the list.
const LARGE_WORD: u64 = 1 << 28;

#[derive(Default)]
pub(super) struct TokenWriter(Vec<u8>);

pub(super) struct TokenReader<'a>(&'a [u8]);

// The forms of a range in a rule. Each takes two bits.
const ANY: u8 = 0;
const ONE: u8 = 1;
const RANGE: u8 = 2;
// The actions of a rule. Each takes three bits of the rule's first byte.
const SEEDED: u8 = 0;
const CALM: u8 = 1;
const VALUE: u8 = 2;
/// A value, written with its bits in reverse order if that gives a smaller number.
const REVERSED_VALUE: u8 = 3;
const RESEEDED: u8 = 4;
/// A value, written as an index into the list.
const LISTED_VALUE: u8 = 5;
/// First byte of a script.
const SCRIPT: u8 = 1;
/// First byte of a rule with a position. No other rule begins with it.
const WITH_POSITION: u8 = 0xff;

impl TokenWriter {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(super) fn fixed(&mut self, number: u32) {
        self.0.extend(number.to_le_bytes());
    }

    /// Writes the number of bytes, then the bytes.
    pub(super) fn byte_string(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend(bytes);
    }

    /// Writes seven bits per byte, the low ones first.
    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.byte(number as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8);
    }

    pub(super) fn step_sequences(&mut self, sequences: &[StepSequence]) {
        self.number(sequences.len() as u64);
        for StepSequence { id, steps, choices } in sequences {
            id.to_le_bytes().into_iter().for_each(|byte| self.byte(byte));
            self.number(*steps);
            self.number(choices.len() as u64);
            choices.iter().for_each(|of| self.number(*of));
        }
    }

    pub(super) fn overlay(&mut self, overlay: &Overlay) {
        let list = large_words(overlay);
        self.number(list.len() as u64);
        for word in &list {
            self.0.extend(word.to_le_bytes());
        }
        self.number(overlay.rules().len() as u64);
        for rule in overlay.rules() {
            self.rule(rule, &list);
        }
        // Acts of plans are plain data without a reader of their own here.
        let script = overlay.script().and_then(|script| postcard::to_allocvec(script).ok());
        self.byte_string(&script.map(|bytes| [vec![SCRIPT], bytes].concat()).unwrap_or_default());
    }

    fn rule(&mut self, rule: &Rule, list: &[u64]) {
        if let Some(Position { sequence, step, lane, nth }) = rule.position {
            self.byte(WITH_POSITION);
            [sequence, step, lane, nth].into_iter().for_each(|word| self.word(word, list));
        }
        let ranges = [rule.address[0], rule.address[1], rule.address[2], rule.time];
        let family = rule.family.map_or(0, |family| family as u8 + 1);
        let (action, word) = match rule.action {
            RuleAction::Seeded => (SEEDED, None),
            RuleAction::Calm => (CALM, None),
            RuleAction::Value(word) if list.contains(&word) => (LISTED_VALUE, Some(word)),
            RuleAction::Value(word) if word.reverse_bits() < word => {
                (REVERSED_VALUE, Some(word.reverse_bits()))
            }
            RuleAction::Value(word) => (VALUE, Some(word)),
            RuleAction::Reseeded(salt) => (RESEEDED, Some(salt)),
        };
        self.byte(family << 3 | action);
        self.byte((0..).zip(ranges).fold(0, |forms, (at, range)| forms | form(range) << (2 * at)));
        for (low, high) in ranges.into_iter().flatten() {
            self.word(low, list);
            if high > low {
                self.number(high - low);
            }
        }
        match word {
            Some(word) if action == LISTED_VALUE => self.word(word, list),
            Some(word) => self.number(word),
            None => {}
        }
    }

    fn word(&mut self, word: u64, list: &[u64]) {
        match list.iter().position(|listed| *listed == word) {
            Some(at) => self.number((at as u64) << 1 | 1),
            None => self.number(word << 1),
        }
    }
}

impl<'a> TokenReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    pub(super) fn fixed(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return None;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn byte_string(&mut self) -> Option<Vec<u8>> {
        let count = self.count(1)?;
        let (text, rest) = self.0.split_at(count);
        self.0 = rest;
        Some(text.to_vec())
    }

    pub(super) fn step_sequences(&mut self) -> Option<Vec<StepSequence>> {
        let count = self.count(4)?;
        (0..count).map(|_| self.step_sequence()).collect()
    }

    fn step_sequence(&mut self) -> Option<StepSequence> {
        let (id, steps) = (u16::from_le_bytes(self.array()?), self.number()?);
        let count = self.count(1)?;
        let choices = (0..count).map(|_| self.number()).collect::<Option<_>>()?;
        Some(StepSequence { id, steps, choices })
    }

    pub(super) fn overlay(&mut self) -> Option<Overlay> {
        let count = self.count(8)?;
        let list: Vec<u64> =
            (0..count).map(|_| self.array().map(u64::from_le_bytes)).collect::<Option<_>>()?;
        let count = self.count(2)?;
        let overlay: Overlay = (0..count).map(|_| self.rule(&list)).collect::<Option<_>>()?;
        let script = match self.byte_string()?.split_first() {
            None => None,
            Some((&SCRIPT, bytes)) => Some(postcard::from_bytes(bytes).ok()?),
            Some(_) => return None,
        };
        Some(overlay.with_script(script))
    }

    /// Reads a count of items of at least `least` bytes each. Returns `None` if the remaining bytes are too few for them.
    fn count(&mut self, least: usize) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.0.len() / least).then_some(count)
    }

    fn rule(&mut self, list: &[u64]) -> Option<Rule> {
        let position = match self.0.first() {
            Some(&WITH_POSITION) => {
                self.0 = &self.0[1..];
                Some(Position {
                    sequence: self.word(list)?,
                    step: self.word(list)?,
                    lane: self.word(list)?,
                    nth: self.word(list)?,
                })
            }
            Some(_) | None => None,
        };
        let [head, forms] = self.array()?;
        let family = match (head >> 3).checked_sub(1) {
            None => None,
            Some(number) => Some(Family::of_number(number)?),
        };
        let mut ranges = [None; 4];
        for (at, range) in ranges.iter_mut().enumerate() {
            *range = match forms >> (2 * at) & 3 {
                ANY => None,
                ONE => {
                    let word = self.word(list)?;
                    Some((word, word))
                }
                RANGE => {
                    let low = self.word(list)?;
                    Some((low, low.checked_add(self.number()?)?))
                }
                _ => return None,
            };
        }
        let action = match head & 7 {
            SEEDED => RuleAction::Seeded,
            CALM => RuleAction::Calm,
            VALUE => RuleAction::Value(self.number()?),
            REVERSED_VALUE => RuleAction::Value(self.number()?.reverse_bits()),
            RESEEDED => RuleAction::Reseeded(self.number()?),
            LISTED_VALUE => RuleAction::Value(self.word(list)?),
            _ => return None,
        };
        let [a, b, c, time] = ranges;
        Some(Rule { family, address: [a, b, c], time, position, action })
    }

    fn word(&mut self, list: &[u64]) -> Option<u64> {
        let word = self.number()?;
        match word & 1 {
            0 => Some(word >> 1),
            _ => list.get(usize::try_from(word >> 1).ok()?).copied(),
        }
    }
}

/// Returns the distinct large words of an overlay, for the list.
fn large_words(overlay: &Overlay) -> Vec<u64> {
    let mut words: Vec<u64> = overlay
        .rules()
        .iter()
        .flat_map(|rule| {
            let position = rule
                .position
                .map(|position| [position.sequence, position.step, position.lane, position.nth]);
            let ranges = rule.address.into_iter().chain([rule.time]).flatten();
            ranges.map(|(low, _)| low).chain(position.into_iter().flatten())
        })
        .filter(|low| *low >= LARGE_WORD)
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

fn form(range: Option<(u64, u64)>) -> u8 {
    match range {
        None => ANY,
        Some((low, high)) if low == high => ONE,
        Some(_) => RANGE,
    }
}
