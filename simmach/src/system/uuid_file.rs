//! `/proc/sys/kernel/random/uuid`: a random UUID, another one each time the file is opened. Storage
//! engines identify databases by it.

use std::io::IoSliceMut;

use crate::interpose::system::fill_random;
use crate::system::sockets;

/// The length of a UUID as text.
const LENGTH: usize = 36;
/// The places of the hyphens in the text (RFC 9562, section 4).
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// An open file with a UUID.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UuidFile {
    /// The UUID and a line feed.
    text: [u8; LENGTH + 1],
    /// The number of bytes that were read.
    position: usize,
}

impl UuidFile {
    /// Draws a UUID of version 4.
    pub(super) fn draw() -> Self {
        let mut bytes = [0; 16];
        fill_random(&mut bytes);
        Self { text: text_of(bytes), position: 0 }
    }

    /// Reads at the position, and returns the number of bytes.
    pub(super) fn read(&mut self, into: &mut [IoSliceMut<'_>]) -> usize {
        let bytes = sockets::fill(into, &self.text[self.position..]);
        self.position += bytes;
        bytes
    }
}

/// Makes a UUID of version 4 of random bytes (RFC 9562, section 5.4), and writes it as text with a
/// line feed.
fn text_of(mut bytes: [u8; 16]) -> [u8; LENGTH + 1] {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = [b'-'; LENGTH + 1];
    text[LENGTH] = b'\n';
    let places = (0..LENGTH).filter(|place| !HYPHENS.contains(place));
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    for (place, digit) in places.zip(digits) {
        text[place] = b"0123456789abcdef"[usize::from(digit)];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_become_a_uuid_of_version_4() {
        let text = |byte| String::from_utf8_lossy(&text_of([byte; 16])).into_owned();
        assert_eq!(text(0x00), "00000000-0000-4000-8000-000000000000\n");
        assert_eq!(text(0xff), "ffffffff-ffff-4fff-bfff-ffffffffffff\n");
    }

    #[test]
    fn file_is_read_in_parts_up_to_its_end() {
        let mut file = UuidFile { text: text_of([0xab; 16]), position: 0 };
        let mut read = Vec::new();
        for count in [20, 17, 0] {
            let mut part = [0; 20];
            assert_eq!(file.read(&mut [IoSliceMut::new(&mut part)]), count);
            read.extend_from_slice(&part[..count]);
        }
        assert_eq!(read, text_of([0xab; 16]));
    }
}
