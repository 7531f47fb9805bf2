//! What parent and worker say to each other: frames of a length and a postcard message, both ways over one socket.

use std::io::{self, Read};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::engine::draws::overlay::Overlay;
use crate::outcome::{Keep, Outcome};

/// A length beyond this is no message of ours.
const LONGEST: u32 = 1 << 30;

/// To a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ToWorker {
    /// Runs to make, in this order, after those it has.
    Run(Vec<Assignment>),
    /// Begin none of the batch from this index on.
    Cut {
        /// The batch.
        batch: u64,
        /// The first that is not to be begun.
        from: u64,
    },
}

/// One run to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Assignment {
    /// Which sequence of runs it belongs to.
    pub(crate) batch: u64,
    /// Its place in it.
    pub(crate) index: u64,
    /// The test's number in the registry.
    pub(crate) test: u32,
    /// The seed.
    pub(crate) seed: u64,
    /// What overrules its draws.
    pub(crate) overlay: Overlay,
    /// What is kept of it.
    pub(crate) keep: Keep,
}

/// From a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FromWorker {
    /// It is there.
    Hello {
        /// The registry's digest.
        digest: u64,
        /// Its folder.
        folder: String,
    },
    /// It can't serve, and why.
    Unfit(String),
    /// Runs that are over.
    Done {
        /// The real time they took.
        nanos: u64,
        /// What they came to, in the order they were asked for.
        replies: Vec<Reply>,
    },
}

/// What became of an assignment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reply {
    /// The batch.
    pub(crate) batch: u64,
    /// The place in it.
    pub(crate) index: u64,
    /// `None` when it was cut before it was begun.
    pub(crate) outcome: Option<Outcome>,
}

/// A message as a frame.
pub(crate) fn frame<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    bytes = postcard::to_extend(message, bytes).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len() - 4)
        .ok()
        .filter(|length| *length <= LONGEST)
        .ok_or_else(|| io::Error::other("a message of more than 1 GiB"))?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

/// The next message; `None` when the other side has closed between two of them.
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
    if length > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no frame of ours"));
    }
    // Memory grows with what arrives, not with what was promised.
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
            (ToWorker::Run(run.collect()), FromWorker::Done { nanos: 7, replies: replies.collect() })
        }
    }

    proptest! {
        #[test]
        fn what_is_said_is_heard((to, from) in messages()) {
            let mut bytes = frame(&to).expect("it is short");
            bytes.extend(frame(&to).expect("it is short"));
            let mut bytes = bytes.as_slice();
            prop_assert_eq!(read(&mut bytes).expect("whole"), Some(to.clone()));
            prop_assert_eq!(read(&mut bytes).expect("whole"), Some(to));
            prop_assert_eq!(read::<ToWorker>(&mut bytes).expect("the end"), None);
            let bytes = frame(&from).expect("it is short");
            prop_assert_eq!(read(&mut bytes.as_slice()).expect("whole"), Some(from));
        }

        /// A worker that dies in the middle of a frame, and one that writes nonsense: an error, no panic, no message.
        #[test]
        fn a_frame_cut_short_is_an_error((to, _) in messages(), at in any::<prop::sample::Index>()) {
            let bytes = frame(&to).expect("it is short");
            let cut = 1 + at.index(bytes.len() - 1);
            prop_assert!(read::<ToWorker>(&mut &bytes[..cut]).is_err());
        }

        #[test]
        fn nonsense_is_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read::<FromWorker>(&mut bytes.as_slice());
        }
    }
}
