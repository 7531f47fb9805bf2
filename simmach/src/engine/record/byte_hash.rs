//! The hash of bytes, such as the payload of a packet.

use crate::engine::draws::{K, fold};

/// Adds bytes and their number to a running hash.
pub(crate) fn hash_bytes(mut hash: u64, bytes: &[u8]) -> u64 {
    let (chunks, rest) = bytes.as_chunks();
    for chunk in chunks {
        let (low, high) = words(chunk);
        hash = fold(hash ^ low, K[1] ^ high).wrapping_add(hash.rotate_left(17));
    }
    let mut last = [0; 16];
    last[..rest.len()].copy_from_slice(rest);
    let (low, high) = words(&last);
    fold(hash ^ low ^ bytes.len() as u64, K[2] ^ high)
}

/// The lower half of 16 bytes and the upper one.
fn words(bytes: &[u8; 16]) -> (u64, u64) {
    let both = u128::from_le_bytes(*bytes);
    (both as u64, (both >> 64) as u64)
}
