//! The requests between nodes: their paths and bodies, and how a node answers them.
//!
//! A body contains openraft's request in postcard's format, and an answer contains openraft's
//! result. The path contains the ID of the target node: a node that has taken over another node's
//! address rejects requests to the other node.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::node::Node;
use crate::types::NodeId;

/// Maximum size of a body, in bytes. The largest bodies are parts of a snapshot and batches of
/// entries.
const MAX_BODY: usize = 64 << 20;

/// The kinds of requests between nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rpc {
    Append,
    Vote,
    Snapshot,
}

impl Rpc {
    /// The last segment of the request's path.
    fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Vote => "vote",
            Self::Snapshot => "snapshot",
        }
    }

    /// The URL of this request at a node.
    pub(crate) fn url(self, address: &str, target: NodeId) -> String {
        format!("http://{address}/raft/{target}/{}", self.name())
    }

    fn route(self) -> String {
        format!("/raft/{{target}}/{}", self.name())
    }
}

/// The routes of these requests.
pub(crate) fn router() -> Router<Arc<Node>> {
    Router::new()
        .route(
            &Rpc::Append.route(),
            post(async |State(node): State<Arc<Node>>, target, body| {
                answer(&node, target, body, async |request| node.raft.append_entries(request).await)
                    .await
            }),
        )
        .route(
            &Rpc::Vote.route(),
            post(async |State(node): State<Arc<Node>>, target, body| {
                answer(&node, target, body, async |request| node.raft.vote(request).await).await
            }),
        )
        .route(
            &Rpc::Snapshot.route(),
            post(async |State(node): State<Arc<Node>>, target, body| {
                answer(&node, target, body, async |request| {
                    node.raft.install_snapshot(request).await
                })
                .await
            }),
        )
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

/// Answers a request. Rejects a request that is malformed or meant for another node.
async fn answer<Request: DeserializeOwned, Answer: Serialize>(
    node: &Node,
    Path(target): Path<NodeId>,
    body: Bytes,
    handle: impl AsyncFnOnce(Request) -> Answer,
) -> Response {
    if target != node.id {
        return StatusCode::MISDIRECTED_REQUEST.into_response();
    }
    let request = match postcard::from_bytes(&body) {
        Ok(request) => request,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    match postcard::to_stdvec(&handle(request).await) {
        Ok(answer) => answer.into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
