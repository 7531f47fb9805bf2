//! Crockford's base 32, which has no letters that look like digits. Decoding accepts upper and
//! lower case, and reads `o`, `i` and `l` as digits. Apart from these variants, each sequence of
//! bytes has exactly one text: decoding rejects superfluous digits and padding bits that are not
//! zero.

use crate::shrink::token::TokenError;

const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 8 / 5 + 1);
    let (mut held, mut bits) = (0u32, 0);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(digit(held >> bits));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(digit(held << (5 - bits)));
    }
    text
}

pub(super) fn decode(text: &str) -> Result<Vec<u8>, TokenError> {
    let mut bytes = Vec::with_capacity(text.len() * 5 / 8);
    let (mut held, mut bits) = (0u32, 0);
    for c in text.chars() {
        held = held << 5 | value(c).ok_or(TokenError::Character(c))?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    // The text has a superfluous digit, or padding bits that are not zero.
    if bits >= 5 || held != 0 { Err(TokenError::Damaged) } else { Ok(bytes) }
}

fn digit(value: u32) -> char {
    char::from(DIGITS[(value & 31) as usize])
}

fn value(c: char) -> Option<u32> {
    let c = match c.to_ascii_lowercase() {
        'o' => '0',
        'i' | 'l' => '1',
        other => other,
    };
    let at = DIGITS.iter().position(|digit| char::from(*digit) == c)?;
    u32::try_from(at).ok()
}
