//! A client that retries a request on other nodes, with the same request ID.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, RequestBuilder, StatusCode};
use tokio::time::{Instant, sleep};

use crate::api::REQUEST_ID;
use crate::http;

/// Time limit for one attempt.
const ATTEMPT: Duration = Duration::from_secs(1);

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// A client of the cluster. It sends one request at a time, which is why its methods take
/// `&mut self`.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    nodes: Vec<String>,
    /// The index of the node to ask next: the leader, if it is known.
    next: usize,
    /// The first half of the client's request IDs.
    id: u64,
    /// The serial number of the client's last write.
    serial: u64,
    patience: Duration,
}

/// Why a request failed. A failed write may still be applied later, unless a node refused it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The client knows no node.
    #[error("there are no nodes to ask")]
    NoNodes,
    /// The HTTP client cannot be created.
    #[error("cannot create the HTTP client: {0}")]
    Http(#[from] reqwest::Error),
    /// A node refused the request because it is invalid.
    #[error("refused with {status}: {text}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// The reason.
        text: String,
    },
    /// No node answered in time.
    #[error("not answered within {patience:?}; the last attempt: {last}")]
    TooSlow {
        /// How long the client tried.
        patience: Duration,
        /// What became of the last attempt.
        last: String,
    },
}

/// What became of one attempt.
enum Attempt {
    Answered(Option<Bytes>),
    Refused(StatusCode, String),
    Failed(String),
}

impl Client {
    /// A client of the nodes at these addresses, which gives a request up after `patience`.
    ///
    /// # Errors
    ///
    /// If there are no addresses, or the HTTP client cannot be created.
    pub fn new(
        nodes: impl IntoIterator<Item = impl Into<String>>,
        patience: Duration,
    ) -> Result<Self, ClientError> {
        let nodes: Vec<String> = nodes.into_iter().map(Into::into).collect();
        if nodes.is_empty() {
            return Err(ClientError::NoNodes);
        }
        let http = http::client()?;
        Ok(Self { http, nodes, next: 0, id: rand::random(), serial: 0, patience })
    }

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn get(&mut self, key: &str) -> Result<Option<Bytes>, ClientError> {
        self.ask(Method::GET, key, |request| request).await
    }

    /// The value of a key in the state of a node, which may be old. If that node does not answer, another one does.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn get_local(
        &mut self,
        node: usize,
        key: &str,
    ) -> Result<Option<Bytes>, ClientError> {
        self.next = node % self.nodes.len();
        self.ask(Method::GET, &format!("{key}?consistency=local"), |request| request).await
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn put(&mut self, key: &str, value: impl Into<Bytes>) -> Result<(), ClientError> {
        let (id, value) = (self.new_request(), value.into());
        let request = |request: RequestBuilder| request.header(REQUEST_ID, &id).body(value.clone());
        self.ask(Method::PUT, key, request).await.map(drop)
    }

    /// Removes a key.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn delete(&mut self, key: &str) -> Result<(), ClientError> {
        let id = self.new_request();
        self.ask(Method::DELETE, key, |request| request.header(REQUEST_ID, &id)).await.map(drop)
    }

    fn new_request(&mut self) -> String {
        self.serial += 1;
        format!("{}-{}", self.id, self.serial)
    }

    /// Sends a request until it is answered.
    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        complete: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Option<Bytes>, ClientError> {
        let deadline = Instant::now() + self.patience;
        loop {
            let url = format!("http://{}/kv/{path}", self.nodes[self.next]);
            let request = self.http.request(method.clone(), url).timeout(ATTEMPT);
            let last = match self.attempt(complete(request)).await {
                Attempt::Answered(value) => return Ok(value),
                Attempt::Refused(status, text) => {
                    return Err(ClientError::Refused { status, text });
                }
                Attempt::Failed(last) => last,
            };
            tracing::debug!("request to {} failed: {last}", self.nodes[self.next]);
            if Instant::now() + PAUSE >= deadline {
                return Err(ClientError::TooSlow { patience: self.patience, last });
            }
            self.next = (self.next + 1) % self.nodes.len();
            sleep(PAUSE).await;
        }
    }

    async fn attempt(&mut self, request: RequestBuilder) -> Attempt {
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Attempt::Failed(error.to_string()),
        };
        self.prefer(&response);
        let status = response.status();
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(error) => return Attempt::Failed(error.to_string()),
        };
        match status {
            StatusCode::OK => Attempt::Answered(Some(body)),
            StatusCode::NO_CONTENT | StatusCode::NOT_FOUND => Attempt::Answered(None),
            _ => {
                let text = String::from_utf8_lossy(&body).trim_end().to_owned();
                if status.is_client_error() {
                    Attempt::Refused(status, text)
                } else {
                    Attempt::Failed(format!("{status}: {text}"))
                }
            }
        }
    }

    /// Asks the node that answered next time too: after redirects, that is the leader.
    fn prefer(&mut self, response: &reqwest::Response) {
        let url = response.url();
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return;
        };
        let address = format!("{host}:{port}");
        if let Some(index) = self.nodes.iter().position(|node| *node == address) {
            self.next = index;
        }
    }
}
