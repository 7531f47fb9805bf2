//! What a socket can be asked to be ready for, and what it is: tokio's `Interest` and `Ready`.

use std::{fmt, ops};

/// What a task waits for: `tokio::io::Interest`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Interest(u8);

/// What a socket is ready for: `tokio::io::Ready`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ready(u8);

impl Interest {
    /// That there is something to read, the end or an error too.
    pub const READABLE: Interest = Interest(1);
    /// That there is room to write, or an error.
    pub const WRITABLE: Interest = Interest(2);

    /// Both.
    #[must_use]
    pub const fn add(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }

    /// Whether it is for reading.
    pub const fn is_readable(self) -> bool {
        self.0 & Self::READABLE.0 != 0
    }

    /// Whether it is for writing.
    pub const fn is_writable(self) -> bool {
        self.0 & Self::WRITABLE.0 != 0
    }
}

impl Ready {
    /// For nothing.
    pub const EMPTY: Ready = Ready(0);
    /// There is something to read, or the end, or an error.
    pub const READABLE: Ready = Ready(1);
    /// There is room to write, or an error.
    pub const WRITABLE: Ready = Ready(2);
    /// Nothing more will come.
    pub const READ_CLOSED: Ready = Ready(4);
    /// Nothing more can be written.
    pub const WRITE_CLOSED: Ready = Ready(8);
    /// Everything.
    pub const ALL: Ready = Ready(15);

    /// For nothing.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// There is something to read, or nothing will ever be.
    pub const fn is_readable(self) -> bool {
        self.0 & (Self::READABLE.0 | Self::READ_CLOSED.0) != 0
    }

    /// There is room to write, or there never will be.
    pub const fn is_writable(self) -> bool {
        self.0 & (Self::WRITABLE.0 | Self::WRITE_CLOSED.0) != 0
    }

    /// Nothing more will come.
    pub const fn is_read_closed(self) -> bool {
        self.0 & Self::READ_CLOSED.0 != 0
    }

    /// Nothing more can be written.
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
