//! The configuration of a node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openraft::SnapshotPolicy;

use crate::store::{Flush, Log};
use crate::types::NodeId;

/// The configuration of one node. `main` fills it in from the environment, which no other code
/// reads. So several nodes can run in one process.
#[derive(Clone, Debug)]
pub struct Config {
    /// The ID of this node, which is one of `members`.
    pub id: NodeId,
    /// The address to listen on, such as `127.0.0.1:8081`.
    pub listen: String,
    /// The addresses of all nodes of the cluster, including this one, as nodes and clients reach
    /// them.
    pub members: BTreeMap<NodeId, String>,
    /// How often a leader sends a heartbeat to the other nodes. A node that has received none for
    /// four to eight times this interval tries to become the leader.
    pub heartbeat: Duration,
    /// After this number of log entries, a node makes a snapshot and shortens its log.
    pub snapshot_after: u64,
    /// When a node reports that data is stored.
    pub flush: Flush,
    /// Where the log is stored.
    pub log: Log,
}

/// An error in the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The node is not in the cluster.
    #[error("node {id} is not one of the {members} members")]
    NotAMember {
        /// The node.
        id: NodeId,
        /// The number of members.
        members: usize,
    },
    /// openraft does not accept the heartbeat interval.
    #[error("invalid heartbeat interval: {0}")]
    Heartbeat(Box<openraft::ConfigError>),
}

impl Config {
    /// A node that listens on its own address, with the settings of production.
    ///
    /// # Errors
    ///
    /// If `members` does not have the node.
    pub fn new(id: NodeId, members: BTreeMap<NodeId, String>) -> Result<Self, ConfigError> {
        let Some(listen) = members.get(&id).cloned() else {
            return Err(ConfigError::NotAMember { id, members: members.len() });
        };
        Ok(Self {
            id,
            listen,
            members,
            heartbeat: Duration::from_millis(250),
            snapshot_after: 5_000,
            flush: Flush::BeforeAnswer,
            log: Log::Lmdb,
        })
    }

    /// The settings of openraft.
    pub(crate) fn raft(&self) -> Result<Arc<openraft::Config>, ConfigError> {
        let heartbeat = u64::try_from(self.heartbeat.as_millis()).unwrap_or(u64::MAX / 100);
        let config = openraft::Config {
            cluster_name: "kv".to_owned(),
            heartbeat_interval: heartbeat,
            election_timeout_min: heartbeat * 4,
            election_timeout_max: heartbeat * 8,
            install_snapshot_timeout: heartbeat * 20,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(self.snapshot_after),
            // A node that is a little behind is sent entries, one that is far behind a snapshot.
            max_in_snapshot_log_to_keep: self.snapshot_after / 5,
            replication_lag_threshold: self.snapshot_after,
            ..openraft::Config::default()
        };
        let config = config.validate().map_err(|error| ConfigError::Heartbeat(Box::new(error)))?;
        Ok(Arc::new(config))
    }
}
