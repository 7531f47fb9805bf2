//! A TCP segment, and sequence numbers that wrap.
//!
//! Modelled: the fields that TCP decides by, with the options MSS and window scale on a SYN. The window is kept in
//! bytes, as it is after scaling. Not modelled: checksums, urgent data, ECN, SACK, time stamps; ports and addresses are
//! the packet's, not the segment's.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Add;

use crate::net::simulated::tcp::payload::Payload;

/// A sequence number: 32 bits that wrap, so "before" holds for two numbers less than 2 GiB apart.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Seq(pub(crate) u32);

impl Seq {
    /// How far `self` lies behind `earlier`.
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

/// The control bits.
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

    /// As they stand in a header.
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

/// What a SYN says about its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SynOptions {
    pub(crate) mss: u16,
    pub(crate) window_scale: Option<u8>,
}

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) seq: Seq,
    pub(crate) ack: Seq,
    /// In bytes.
    pub(crate) window: u32,
    pub(crate) flags: Flags,
    /// Only with a SYN.
    pub(crate) options: Option<SynOptions>,
    /// How often this was sent before: with the sequence number, the local address of what the link draws for it.
    pub(crate) transmission: u32,
    pub(crate) payload: Payload,
}

impl Segment {
    /// Says nothing.
    pub(crate) const EMPTY: Segment = Segment {
        seq: Seq(0),
        ack: Seq(0),
        window: 0,
        flags: Flags(0),
        options: None,
        transmission: 0,
        payload: Payload::EMPTY,
    };

    /// A reset for what was sent to a socket that is not there (RFC 9293, 3.10.7.1). None answers a reset.
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

    /// The sequence space it takes: payload, and one each for SYN and FIN.
    pub(crate) fn len(&self) -> u32 {
        self.payload.len() as u32
            + u32::from(self.flags.has(Flags::SYN))
            + u32::from(self.flags.has(Flags::FIN))
    }

    /// The sequence number behind it.
    pub(crate) fn end(&self) -> Seq {
        self.seq + self.len()
    }

    /// Nothing but an acknowledgement.
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
    fn a_reset_fits_its_cause() {
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
    fn flags_read_as_in_a_capture() {
        assert_eq!(Flags::SYN.with(Flags::ACK).to_string(), "SYN+ACK");
        assert_eq!(Flags::ACK.with(Flags::FIN).to_string(), "FIN+ACK");
    }
}
