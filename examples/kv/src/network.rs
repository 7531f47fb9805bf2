//! The network as openraft uses it: requests to the other nodes, over HTTP.

use std::time::Duration;

use openraft::error::{
    InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, Unreachable,
};
use openraft::network::{Backoff, RPCOption};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use openraft::{AnyError, BasicNode, RaftNetwork, RaftNetworkFactory};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::http;
use crate::rpc::Rpc;
use crate::types::{NodeId, TypeConfig};

type RaftResult<T, E = openraft::error::Infallible> = Result<T, RaftError<NodeId, E>>;
type RpcResult<T, E = openraft::error::Infallible> =
    Result<T, RPCError<NodeId, BasicNode, RaftError<NodeId, E>>>;

/// The pause before another request to a node that cannot be reached.
const PAUSE: Duration = Duration::from_millis(200);

/// Creates the connections to the other nodes.
pub(crate) struct Network {
    http: reqwest::Client,
}

impl Network {
    pub(crate) fn new() -> Result<Self, reqwest::Error> {
        Ok(Self { http: http::client()? })
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: NodeId, node: &BasicNode) -> Peer {
        Peer { http: self.http.clone(), target, address: node.addr.clone() }
    }
}

/// Another node.
pub(crate) struct Peer {
    http: reqwest::Client,
    target: NodeId,
    address: String,
}

impl Peer {
    /// Sends a request. openraft drops the future when the time for an answer is over.
    async fn send<T, E>(&self, rpc: Rpc, request: &impl Serialize) -> RpcResult<T, E>
    where
        T: DeserializeOwned,
        E: std::error::Error + DeserializeOwned,
    {
        let body = postcard::to_stdvec(request).map_err(|error| network_error(&error))?;
        let url = rpc.url(&self.address, self.target);
        let sent = self.http.post(url).body(body).send().await;
        let response = sent.and_then(reqwest::Response::error_for_status).map_err(|error| {
            if error.is_connect() { unreachable(&error) } else { network_error(&error) }
        })?;
        let answer = response.bytes().await.map_err(|error| network_error(&error))?;
        let answer: RaftResult<T, E> =
            postcard::from_bytes(&answer).map_err(|error| network_error(&error))?;
        answer.map_err(|error| RPCError::RemoteError(RemoteError::new(self.target, error)))
    }
}

/// The request failed on its way: openraft sends it again.
fn network_error<E: std::error::Error>(
    error: &(dyn std::error::Error + 'static),
) -> RPCError<NodeId, BasicNode, E> {
    RPCError::Network(NetworkError::from(AnyError::error(with_causes(error))))
}

/// Nobody listens there: openraft waits for [`PAUSE`].
fn unreachable<E: std::error::Error>(error: &reqwest::Error) -> RPCError<NodeId, BasicNode, E> {
    RPCError::Unreachable(Unreachable::from(AnyError::error(with_causes(error))))
}

/// An error and what caused it, in one line.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

impl RaftNetwork<TypeConfig> for Peer {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> RpcResult<AppendEntriesResponse<NodeId>> {
        self.send(Rpc::Append, &request).await
    }

    async fn vote(
        &mut self,
        request: VoteRequest<NodeId>,
        _option: RPCOption,
    ) -> RpcResult<VoteResponse<NodeId>> {
        self.send(Rpc::Vote, &request).await
    }

    async fn install_snapshot(
        &mut self,
        request: InstallSnapshotRequest<TypeConfig>,
        _option: RPCOption,
    ) -> RpcResult<InstallSnapshotResponse<NodeId>, InstallSnapshotError> {
        self.send(Rpc::Snapshot, &request).await
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(PAUSE))
    }
}
