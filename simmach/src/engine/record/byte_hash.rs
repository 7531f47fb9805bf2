//! The hash of bytes, such as the payload of a packet.

use crate::engine::draws::{K, fold};

/// Adds bytes and their number to a running hash.
pub(crate) fn hash_bytes(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut chunks = bytes.chunks_exact(16);
    for chunk in &mut chunks {
        let (low, high) = chunk.split_at(8);
        hash = fold(hash ^ word(low), K[1] ^ word(high)).wrapping_add(hash.rotate_left(17));
    }
    let rest = chunks.remainder();
    let mut last = [0; 16];
    last[..rest.len()].copy_from_slice(rest);
    fold(hash ^ word(&last[..8]) ^ bytes.len() as u64, K[2] ^ word(&last[8..]))
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}
