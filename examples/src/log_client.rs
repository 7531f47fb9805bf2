//! A backend's client of the commit log.
//!
//! The fixed version keeps a connection for the next request. An old connection may be dead, so the
//! client repeats a request that fails on one, on a new connection. This is safe: the fixed log
//! accepts repeated requests. The buggy version opens a connection for each request.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use simmach::time::timeout;

use crate::Version;
use crate::commit_log::{LogAnswer, LogRequest};
use crate::wire::Connection;

/// Time limit for the log's answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) struct LogClient {
    address: String,
    version: Version,
    idle: Mutex<Option<Connection>>,
}

impl LogClient {
    pub(crate) fn new(version: Version, address: &str) -> Self {
        Self { address: address.to_owned(), version, idle: Mutex::new(None) }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Sends a request to the log and waits for its answer.
    pub(crate) async fn ask(&self, request: &LogRequest) -> io::Result<LogAnswer> {
        match timeout(ANSWER_TIMEOUT, self.ask_without_timeout(request)).await {
            Ok(Ok(LogAnswer::Failed(why))) => Err(io::Error::other(why)),
            Ok(answer) => answer,
            Err(elapsed) => Err(elapsed.into()),
        }
    }

    async fn ask_without_timeout(&self, request: &LogRequest) -> io::Result<LogAnswer> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(connection) = kept
            && let Ok(answer) = self.ask_on(connection, request).await
        {
            return Ok(answer);
        }
        self.ask_on(Connection::open(&self.address).await?, request).await
    }

    async fn ask_on(
        &self,
        mut connection: Connection,
        request: &LogRequest,
    ) -> io::Result<LogAnswer> {
        let answer = connection.ask(request).await?;
        match self.version {
            Version::Buggy => {}
            Version::Fixed => {
                *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
            }
        }
        Ok(answer)
    }
}
