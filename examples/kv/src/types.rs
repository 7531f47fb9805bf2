//! The replicated commands, their answers, and the types that openraft is configured with.

use std::io::Cursor;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The number of a node, unique in its cluster.
pub type NodeId = u64;

openraft::declare_raft_types!(
    /// The types of this service for openraft.
    pub TypeConfig:
        D = Command,
        R = Answer,
);

/// A change of the data, as an entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// What to change.
    pub change: Change,
    /// The ID of the request, if its client may repeat the request.
    pub request: Option<RequestId>,
}

/// One change of the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Sets the value of a key.
    Put {
        /// The key, which must be valid.
        key: String,
        /// Its new value.
        value: Bytes,
    },
    /// Removes a key.
    Delete {
        /// The key. Nothing happens if it has no value.
        key: String,
    },
}

/// The identity of a request. A client sends an unanswered request again with the same identity, so that it is applied once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestId {
    /// The client, a number drawn at random.
    pub client: u64,
    /// Which of the client's requests this is. A client has one request at a time, and each has a larger number than the
    /// one before.
    pub serial: u64,
}

/// The result of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The change is made. Also the answer to entries that openraft adds to the log.
    #[default]
    Done,
    /// The client has sent a later request since. The change is not made now, and may have been made before.
    Superseded,
}

/// The longest key, in bytes. LMDB takes 511.
pub const MAX_KEY: usize = 255;

/// Whether a text may be a key: 1 to [`MAX_KEY`] bytes.
pub(crate) fn is_key(text: &str) -> bool {
    (1..=MAX_KEY).contains(&text.len())
}
