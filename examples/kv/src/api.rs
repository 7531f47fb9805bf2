//! The HTTP API for clients.
//!
//! | request | answer |
//! |---|---|
//! | `GET /kv/{key}` | the value, or 404 |
//! | `PUT /kv/{key}` | 204: the body is now the key's value |
//! | `DELETE /kv/{key}` | 204: the key has no value |
//! | `GET /status` | this node as JSON: the leader it knows, the term, the last applied entry |
//! | `GET /metrics` | counters for Prometheus |
//!
//! A client may ask any node. A node that is not the leader redirects the client to the leader
//! (307), or answers 503 if it knows no leader. Reads are linearizable, but with
//! `?consistency=local` a node answers from its own state, which may be stale. A client that may
//! repeat a write sends it with a [`REQUEST_ID`], so that the write is applied only once.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use openraft::error::{CheckIsLeaderError, ClientWriteError, ForwardToLeader, RaftError};
use openraft::{BasicNode, StorageError};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::node::Node;
use crate::types::{Answer, Change, Command, MAX_KEY, NodeId, RequestId, is_key};

/// The header that identifies a request: `client-serial`, two numbers.
pub const REQUEST_ID: &str = "request-id";

/// Time limit for an answer. Without it, a leader that has lost its majority would wait forever.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn router() -> Router<Arc<Node>> {
    Router::new()
        .route("/kv/{key}", get(read).put(put).delete(delete))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
}

/// Why a request is not answered.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("a key must have 1 to {MAX_KEY} bytes")]
    Key,
    #[error("the header {REQUEST_ID} must be two numbers joined by `-`")]
    RequestId,
    #[error("this client has sent a later request")]
    Superseded,
    #[error("the leader is {leader}")]
    NotLeader { leader: String, uri: Uri },
    #[error("no leader is known; try again")]
    NoLeader,
    #[error("no majority of the nodes answers; try again")]
    NoMajority,
    #[error("not answered in time; the requested change may still be applied")]
    TooSlow,
    #[error("this node has failed: {0}")]
    Failed(String),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Key | Self::RequestId => StatusCode::BAD_REQUEST,
            Self::Superseded => StatusCode::CONFLICT,
            Self::NotLeader { .. } => StatusCode::TEMPORARY_REDIRECT,
            Self::NoLeader | Self::NoMajority => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooSlow => StatusCode::GATEWAY_TIMEOUT,
            Self::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let text = format!("{self}\n");
        match self {
            Self::NotLeader { leader, uri } => {
                let location = format!("http://{leader}{uri}");
                (status, [(header::LOCATION, location)], text).into_response()
            }
            _ => (status, text).into_response(),
        }
    }
}

impl Refusal {
    fn not_leader(forward: ForwardToLeader<NodeId, BasicNode>, uri: Uri) -> Self {
        match forward.leader_node {
            Some(BasicNode { addr: leader }) => Self::NotLeader { leader, uri },
            None => Self::NoLeader,
        }
    }
}

impl From<StorageError<NodeId>> for Refusal {
    fn from(error: StorageError<NodeId>) -> Self {
        Self::Failed(error.to_string())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Consistency {
    #[default]
    Linearizable,
    Local,
}

#[derive(Debug, Deserialize)]
struct ReadOptions {
    #[serde(default)]
    consistency: Consistency,
}

async fn read(
    State(node): State<Arc<Node>>,
    Path(key): Path<String>,
    Query(options): Query<ReadOptions>,
    uri: Uri,
) -> Result<Response, Refusal> {
    if !is_key(&key) {
        return Err(Refusal::Key);
    }
    match options.consistency {
        Consistency::Linearizable => node.confirm_leadership(uri).await?,
        Consistency::Local => {}
    }
    node.metrics.reads.inc();
    Ok(match node.state.value(key).await? {
        Some(value) => value.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    })
}

async fn put(
    State(node): State<Arc<Node>>,
    Path(key): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    value: Bytes,
) -> Result<StatusCode, Refusal> {
    if !is_key(&key) {
        return Err(Refusal::Key);
    }
    node.change(Change::Put { key, value }, &headers, uri).await
}

async fn delete(
    State(node): State<Arc<Node>>,
    Path(key): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    if !is_key(&key) {
        return Err(Refusal::Key);
    }
    node.change(Change::Delete { key }, &headers, uri).await
}

impl Node {
    /// Asks a majority whether this node is still the leader, and waits until its state has all that was acknowledged before.
    async fn confirm_leadership(&self, uri: Uri) -> Result<(), Refusal> {
        match timeout(PATIENCE, self.raft.ensure_linearizable()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(forward)))) => {
                self.metrics.redirects.inc();
                Err(Refusal::not_leader(forward, uri))
            }
            Ok(Err(RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_)))) => {
                Err(Refusal::NoMajority)
            }
            Ok(Err(RaftError::Fatal(error))) => Err(Refusal::Failed(error.to_string())),
            Err(_) => Err(Refusal::TooSlow),
        }
    }

    /// Has a change made by the cluster.
    async fn change(
        &self,
        change: Change,
        headers: &HeaderMap,
        uri: Uri,
    ) -> Result<StatusCode, Refusal> {
        let command = Command { change, request: request_id(headers)? };
        match timeout(PATIENCE, self.raft.client_write(command)).await {
            Ok(Ok(written)) => match written.data {
                Answer::Done => {
                    self.metrics.writes.inc();
                    Ok(StatusCode::NO_CONTENT)
                }
                Answer::Superseded => Err(Refusal::Superseded),
            },
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward)))) => {
                self.metrics.redirects.inc();
                Err(Refusal::not_leader(forward, uri))
            }
            Ok(Err(error)) => Err(Refusal::Failed(error.to_string())),
            Err(_) => Err(Refusal::TooSlow),
        }
    }
}

/// The identity of a request, if it has one.
fn request_id(headers: &HeaderMap) -> Result<Option<RequestId>, Refusal> {
    let Some(value) = headers.get(REQUEST_ID) else { return Ok(None) };
    let numbers = value.to_str().ok().and_then(|text| text.split_once('-'));
    let (client, serial) = numbers.ok_or(Refusal::RequestId)?;
    match (client.parse(), serial.parse()) {
        (Ok(client), Ok(serial)) => Ok(Some(RequestId { client, serial })),
        _ => Err(Refusal::RequestId),
    }
}

/// A node at one moment.
#[derive(Debug, Serialize)]
struct Status {
    id: NodeId,
    leader: Option<NodeId>,
    term: u64,
    applied: Option<u64>,
}

async fn status(State(node): State<Arc<Node>>) -> Json<Status> {
    let metrics = node.raft.metrics();
    let metrics = metrics.borrow();
    Json(Status {
        id: node.id,
        leader: metrics.current_leader,
        term: metrics.current_term,
        applied: metrics.last_applied.map(|last| last.index),
    })
}

async fn metrics(State(node): State<Arc<Node>>) -> Result<String, Refusal> {
    let applied = node.raft.metrics().borrow().last_applied.map_or(0, |last| last.index);
    node.metrics.applied.set(i64::try_from(applied).unwrap_or(i64::MAX));
    node.metrics.text().map_err(|error| Refusal::Failed(error.to_string()))
}
