//! One node: its store, its consensus (openraft), and its HTTP server.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::serve::ListenerExt;
use openraft::error::{Fatal, InitializeError, RaftError};
use openraft::{BasicNode, Raft};
use tokio::net::TcpListener;

use crate::config::{Config, ConfigError};
use crate::metrics::Metrics;
use crate::network::Network;
use crate::store::{self, FileLog, Log, StateMachine, StoreError};
use crate::types::{NodeId, TypeConfig};
use crate::{api, rpc};

/// Why a node ended, or did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The HTTP client cannot be created.
    #[error("cannot create the HTTP client: {0}")]
    Http(#[from] reqwest::Error),
    /// The counters cannot be created.
    #[error("cannot create the metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The node cannot listen on its address.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: String,
        /// The error of the operating system.
        error: std::io::Error,
    },
    /// The server ended.
    #[error("the HTTP server stopped: {0}")]
    Server(std::io::Error),
    /// openraft stopped, for example because the disk is full.
    #[error("openraft stopped: {0}")]
    Raft(#[from] Fatal<NodeId>),
    /// The cluster cannot be formed.
    #[error("cannot form the cluster: {0}")]
    Initialize(InitializeError<NodeId, BasicNode>),
}

/// A running node, as its handlers see it.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) raft: Raft<TypeConfig>,
    pub(crate) state: StateMachine,
    pub(crate) metrics: Metrics,
}

/// Runs a node until it fails.
///
/// The node goes on with what is in its store. If that is empty, and it is the member with the smallest number, it forms the
/// cluster.
///
/// # Errors
///
/// See [`Error`].
pub async fn serve(config: Config) -> Result<(), Error> {
    let node = Arc::new(Node::start(&config).await?);
    let listen = |error| Error::Listen { address: config.listen.clone(), error };
    let listener = TcpListener::bind(&config.listen).await.map_err(listen)?;
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::warn!("cannot set TCP_NODELAY, so small responses may be delayed: {error}");
        }
    });
    tracing::info!("node {} listens on {}", config.id, config.listen);
    let app = api::router().merge(rpc::router()).with_state(Arc::clone(&node));
    tokio::select! {
        served = axum::serve(listener, app) => served.map_err(Error::Server),
        fatal = node.failure() => Err(Error::Raft(fatal)),
    }
}

impl Node {
    async fn start(config: &Config) -> Result<Self, Error> {
        let state = store::open_state(config.flush).await?;
        let (raft, network) = (config.raft()?, Network::new()?);
        let raft = match config.log.clone() {
            Log::Lmdb => {
                let log = store::open_log(config.flush).await?;
                Raft::new(config.id, raft, network, log, state.clone()).await?
            }
            Log::File { path, is_synced } => {
                let log = FileLog::open(path, is_synced).await.map_err(StoreError::from)?;
                Raft::new(config.id, raft, network, log, state.clone()).await?
            }
        };
        let node = Self { id: config.id, raft, state, metrics: Metrics::new()? };
        if config.members.keys().next() == Some(&node.id) {
            node.form_cluster(&config.members).await?;
        }
        Ok(node)
    }

    /// Forms the cluster, unless that was done before.
    async fn form_cluster(&self, members: &BTreeMap<NodeId, String>) -> Result<(), Error> {
        let nodes: BTreeMap<_, _> =
            members.iter().map(|(&id, address)| (id, BasicNode::new(address))).collect();
        match self.raft.initialize(nodes).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(RaftError::APIError(error)) => Err(Error::Initialize(error)),
            Err(RaftError::Fatal(error)) => Err(Error::Raft(error)),
        }
    }

    /// Waits until openraft stops.
    async fn failure(&self) -> Fatal<NodeId> {
        // These metrics change seldom. Their sender is dropped when openraft stops.
        let mut server = self.raft.server_metrics();
        while server.changed().await.is_ok() {}
        let metrics = self.raft.metrics();
        let state = metrics.borrow().running_state.clone();
        state.err().unwrap_or(Fatal::Stopped)
    }
}
