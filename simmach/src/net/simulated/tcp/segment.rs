//! TCP segments and sequence numbers.
//!
//! A segment has the header fields that TCP acts on, and the options MSS and window scale on a SYN.
//! The window is in bytes, after scaling. Checksums, urgent data, ECN, SACK and timestamps are not
//! modelled. Ports and addresses are part of the packet.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Add;

use crate::net::simulated::tcp::payload::Payload;

/// A sequence number. It wraps around, so the order of two numbers is defined only if they are less
/// than 2 GiB apart.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Seq(pub(crate) u32);

impl Seq {
    /// Distance from `earlier` to `self`.
    pub(crate) fn since(self, earlier: Seq) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    pub(crate) fn before(self, other: Seq) -> bool {
        self.distance(other) < 0
    }

    pub(crate) fn after(self, other: Seq) -> bool {
        self.distance(other) > 0
    }

    pub(crate) fn max(self, other: Seq) -> Seq {
        match self.distance(other).cmp(&0) {
            Ordering::Less => other,
            Ordering::Equal | Ordering::Greater => self,
        }
    }

    fn distance(self, other: Seq) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }
}

impl Add<u32> for Seq {
    type Output = Seq;

    fn add(self, n: u32) -> Seq {
        Seq(self.0.wrapping_add(n))
    }
}

impl fmt::Debug for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Control bits.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flags(u8);

impl Flags {
    pub(crate) const FIN: Flags = Flags(0x01);
    pub(crate) const SYN: Flags = Flags(0x02);
    pub(crate) const RST: Flags = Flags(0x04);
    pub(crate) const PSH: Flags = Flags(0x08);
    pub(crate) const ACK: Flags = Flags(0x10);

    pub(crate) const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    pub(crate) const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    /// The bits of the header.
    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    pub(crate) const fn has(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (flag, name) in [
            (Flags::SYN, "SYN"),
            (Flags::FIN, "FIN"),
            (Flags::RST, "RST"),
            (Flags::PSH, "PSH"),
            (Flags::ACK, "ACK"),
        ] {
            if self.has(flag) {
                if !first {
                    f.write_str("+")?;
                }
                f.write_str(name)?;
                first = false;
            }
        }
        Ok(())
    }
}

/// Options of a SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SynOptions {
    pub(crate) mss: u16,
    pub(crate) window_scale: Option<u8>,
}

/// A segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) seq: Seq,
    pub(crate) ack: Seq,
    /// Window in bytes.
    pub(crate) window: u32,
    pub(crate) flags: Flags,
    /// Only on a SYN.
    pub(crate) options: Option<SynOptions>,
    /// Number of earlier transmissions. Together with the sequence number, part of the address of the link's draws.
    pub(crate) transmission: u32,
    pub(crate) payload: Payload,
}

impl Segment {
    /// A segment without flags or data.
    pub(crate) const EMPTY: Segment = Segment {
        seq: Seq(0),
        ack: Seq(0),
        window: 0,
        flags: Flags(0),
        options: None,
        transmission: 0,
        payload: Payload::EMPTY,
    };

    /// The reset that answers a segment to a closed port (RFC 9293, 3.10.7.1). `None` if the segment is a reset.
    pub(crate) fn reset_for(cause: &Segment) -> Option<Segment> {
        if cause.flags.has(Flags::RST) {
            return None;
        }
        let (seq, ack, flags) = if cause.flags.has(Flags::ACK) {
            (cause.ack, Seq(0), Flags::RST)
        } else {
            (Seq(0), cause.end(), Flags::RST.with(Flags::ACK))
        };
        Some(Segment {
            seq,
            ack,
            window: 0,
            flags,
            options: None,
            transmission: 0,
            payload: Payload::EMPTY,
        })
    }

    /// Length in sequence space: payload, and one each for SYN and FIN.
    pub(crate) fn len(&self) -> u32 {
        self.payload.len() as u32
            + u32::from(self.flags.has(Flags::SYN))
            + u32::from(self.flags.has(Flags::FIN))
    }

    /// The sequence number after the segment.
    pub(crate) fn end(&self) -> Seq {
        self.seq + self.len()
    }

    /// Whether it is only an acknowledgement.
    pub(crate) fn is_pure_ack(&self) -> bool {
        self.len() == 0 && !self.flags.has(Flags::RST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_wrap() {
        let (late, early) = (Seq(5), Seq(u32::MAX - 4));
        assert!(early.before(late) && late.after(early));
        assert_eq!(late.since(early), 10);
        assert_eq!(early + 10, late);
        assert_eq!(early.max(late), late);
        assert!(!late.before(late) && !late.after(late));
    }

    #[test]
    fn reset_matches_its_cause() {
        let syn = Segment {
            seq: Seq(7),
            ack: Seq(0),
            window: 0,
            flags: Flags::SYN,
            options: None,
            transmission: 0,
            payload: Payload::EMPTY,
        };
        let reset = Segment::reset_for(&syn).expect("a SYN is answered");
        assert_eq!(
            (reset.seq, reset.ack, reset.flags),
            (Seq(0), Seq(8), Flags::RST.with(Flags::ACK))
        );
        let ack = Segment { flags: Flags::ACK, ack: Seq(99), ..syn };
        let reset = Segment::reset_for(&ack).expect("an ACK is answered");
        assert_eq!((reset.seq, reset.flags), (Seq(99), Flags::RST));
        assert_eq!(Segment::reset_for(&reset), None);
    }

    #[test]
    fn flags_are_displayed_as_in_a_capture() {
        assert_eq!(Flags::SYN.with(Flags::ACK).to_string(), "SYN+ACK");
        assert_eq!(Flags::ACK.with(Flags::FIN).to_string(), "FIN+ACK");
    }
}
