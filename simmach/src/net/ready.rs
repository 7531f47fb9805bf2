//! Readiness of sockets: counterparts of tokio's `Interest` and `Ready`.

use std::{fmt, ops};

/// Readiness that a task waits for: `tokio::io::Interest`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Interest(u8);

/// Readiness of a socket: `tokio::io::Ready`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ready(u8);

impl Interest {
    /// Interest in reading: bytes, the end of the stream, or an error.
    pub const READABLE: Interest = Interest(1);
    /// Interest in writing: room in the send buffer, or an error.
    pub const WRITABLE: Interest = Interest(2);

    /// Returns the union of two interests.
    #[must_use]
    pub const fn add(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }

    /// Returns whether the interest includes reading.
    pub const fn is_readable(self) -> bool {
        self.0 & Self::READABLE.0 != 0
    }

    /// Returns whether the interest includes writing.
    pub const fn is_writable(self) -> bool {
        self.0 & Self::WRITABLE.0 != 0
    }
}

impl Ready {
    /// Not ready.
    pub const EMPTY: Ready = Ready(0);
    /// Readable: there are bytes, the stream has ended, or there is an error.
    pub const READABLE: Ready = Ready(1);
    /// Writable: there is room in the send buffer, or there is an error.
    pub const WRITABLE: Ready = Ready(2);
    /// The read direction is closed: no more bytes will arrive.
    pub const READ_CLOSED: Ready = Ready(4);
    /// The write direction is closed: no more bytes can be written.
    pub const WRITE_CLOSED: Ready = Ready(8);
    /// All readiness flags.
    pub const ALL: Ready = Ready(15);

    /// Returns whether no flag is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns whether the socket is readable or its read direction is closed.
    pub const fn is_readable(self) -> bool {
        self.0 & (Self::READABLE.0 | Self::READ_CLOSED.0) != 0
    }

    /// Returns whether the socket is writable or its write direction is closed.
    pub const fn is_writable(self) -> bool {
        self.0 & (Self::WRITABLE.0 | Self::WRITE_CLOSED.0) != 0
    }

    /// Returns whether the read direction is closed.
    pub const fn is_read_closed(self) -> bool {
        self.0 & Self::READ_CLOSED.0 != 0
    }

    /// Returns whether the write direction is closed.
    pub const fn is_write_closed(self) -> bool {
        self.0 & Self::WRITE_CLOSED.0 != 0
    }
}

impl ops::BitOr for Interest {
    type Output = Interest;

    fn bitor(self, other: Interest) -> Interest {
        self.add(other)
    }
}

impl ops::BitOr for Ready {
    type Output = Ready;

    fn bitor(self, other: Ready) -> Ready {
        Ready(self.0 | other.0)
    }
}

impl ops::BitOrAssign for Ready {
    fn bitor_assign(&mut self, other: Ready) {
        self.0 |= other.0;
    }
}

impl ops::BitAnd for Ready {
    type Output = Ready;

    fn bitand(self, other: Ready) -> Ready {
        Ready(self.0 & other.0)
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.is_readable(), self.is_writable()) {
            (true, true) => "READABLE | WRITABLE",
            (true, false) => "READABLE",
            (false, true) => "WRITABLE",
            (false, false) => "",
        })
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready")
            .field("is_readable", &self.is_readable())
            .field("is_writable", &self.is_writable())
            .field("is_read_closed", &self.is_read_closed())
            .field("is_write_closed", &self.is_write_closed())
            .finish()
    }
}

#[cfg(feature = "real")]
impl From<Interest> for tokio::io::Interest {
    fn from(interest: Interest) -> Self {
        match (interest.is_readable(), interest.is_writable()) {
            (true, true) => Self::READABLE | Self::WRITABLE,
            (false, true) => Self::WRITABLE,
            (true, false) | (false, false) => Self::READABLE,
        }
    }
}

#[cfg(feature = "real")]
impl From<tokio::io::Ready> for Ready {
    fn from(ready: tokio::io::Ready) -> Self {
        let parts = [
            (ready.is_readable(), Self::READABLE),
            (ready.is_writable(), Self::WRITABLE),
            (ready.is_read_closed(), Self::READ_CLOSED),
            (ready.is_write_closed(), Self::WRITE_CLOSED),
        ];
        let holds = parts.into_iter().filter(|(holds, _)| *holds);
        holds.fold(Self::EMPTY, |all, (_, part)| all | part)
    }
}
