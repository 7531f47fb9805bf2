//! The protocol between parent and worker. Both send frames over one socket; a frame is a length
//! and a postcard message.

use std::io::{self, Read};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::engine::draws::overlay::Overlay;
use crate::outcome::{Keep, Outcome};

/// Maximum length of a message in bytes.
const MAX_LENGTH: u32 = 1 << 30;

/// Message to a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ToWorker {
    /// Runs to execute, in this order, after the runs already assigned.
    Run(Vec<Assignment>),
    /// Runs of the batch from this index on must not begin.
    Cut {
        /// The batch.
        batch: u64,
        /// First index that is cut.
        from: u64,
    },
}

/// One run to execute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Assignment {
    /// Number of the batch.
    pub(crate) batch: u64,
    /// Index in the batch.
    pub(crate) index: u64,
    /// The test's number in the registry.
    pub(crate) test: u32,
    /// The seed.
    pub(crate) seed: u64,
    /// The overlay of the run's draws.
    pub(crate) overlay: Overlay,
    /// What the run records.
    pub(crate) keep: Keep,
}

/// Message from a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FromWorker {
    /// The worker is ready.
    Hello {
        /// The registry's digest.
        digest: u64,
        /// The worker's folder.
        folder: String,
    },
    /// The worker cannot serve; the reason.
    SetupError(String),
    /// Finished runs.
    Finished {
        /// Real time that the runs took.
        nanos: u64,
        /// Replies in the order of the assignments.
        replies: Vec<Reply>,
        /// Whether the worker exits instead of executing more runs.
        retires: bool,
    },
}

/// Reply to an assignment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reply {
    /// The batch.
    pub(crate) batch: u64,
    /// Index in the batch.
    pub(crate) index: u64,
    /// `None` if it was cut before it began.
    pub(crate) outcome: Option<Outcome>,
}

/// Encodes a message as a frame.
pub(crate) fn frame<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    bytes = postcard::to_extend(message, bytes).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len() - 4)
        .ok()
        .filter(|length| *length <= MAX_LENGTH)
        .ok_or_else(|| io::Error::other("message larger than 1 GiB"))?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

/// Reads the next message; `None` if the other side has closed the socket between messages.
pub(crate) fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    let mut have = 0;
    while have < 4 {
        match from.read(&mut length[have..]) {
            Ok(0) if have == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => have += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let length = u32::from_le_bytes(length);
    if length > MAX_LENGTH {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "invalid frame length"));
    }
    // Memory grows with the bytes that arrive, not with the announced length.
    let mut bytes = Vec::new();
    from.take(u64::from(length)).read_to_end(&mut bytes)?;
    if bytes.len() < length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    postcard::from_bytes(&bytes)
        .map(Some)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outcome(seed: u64, message: Option<String>) -> Outcome {
        match message {
            Some(message) => Outcome::crashed(seed, message),
            None => Outcome::without_a_run(seed, crate::engine::failure::verdict::Verdict::Passed),
        }
    }

    prop_compose! {
        fn messages()(parts in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u32>(), prop::option::of(".*")), 0..20)) -> (ToWorker, FromWorker) {
            let run = parts.iter().map(|(a, b, test, text)| Assignment {
                batch: *a,
                index: *b,
                test: *test,
                seed: a ^ b,
                overlay: if a % 2 == 0 { Overlay::calm() } else { Overlay::default() },
                keep: Keep { log: text.is_some(), events: b % 2 == 0, ..Keep::default() },
            });
            let replies = parts.iter().map(|(a, b, _, text)| Reply {
                batch: *a,
                index: *b,
                outcome: (a % 3 > 0).then(|| outcome(*b, text.clone())),
            });
            (ToWorker::Run(run.collect()), FromWorker::Finished { nanos: 7, replies: replies.collect(), retires: false })
        }
    }

    proptest! {
        #[test]
        fn messages_round_trip((to, from) in messages()) {
            let mut bytes = frame(&to).expect("the message fits into a frame");
            bytes.extend(frame(&to).expect("the message fits into a frame"));
            let mut bytes = bytes.as_slice();
            prop_assert_eq!(read(&mut bytes).expect("a complete message"), Some(to.clone()));
            prop_assert_eq!(read(&mut bytes).expect("a complete message"), Some(to));
            prop_assert_eq!(read::<ToWorker>(&mut bytes).expect("the stream has ended"), None);
            let bytes = frame(&from).expect("the message fits into a frame");
            prop_assert_eq!(read(&mut bytes.as_slice()).expect("a complete message"), Some(from));
        }

        /// As when a worker dies in the middle of a frame.
        #[test]
        fn truncated_frame_is_an_error((to, _) in messages(), at in any::<prop::sample::Index>()) {
            let bytes = frame(&to).expect("the message fits into a frame");
            let cut = 1 + at.index(bytes.len() - 1);
            prop_assert!(read::<ToWorker>(&mut &bytes[..cut]).is_err());
        }

        #[test]
        fn garbage_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read::<FromWorker>(&mut bytes.as_slice());
        }
    }
}
