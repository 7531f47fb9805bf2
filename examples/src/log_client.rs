//! How a backend reaches the commit log.
//!
//! A connection is kept for the next question; one that has grown old may be dead, so what fails on it is asked again on a
//! new one. That is safe for all that the fixed log is asked. The article's backend opens one each time.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use simmach::time::timeout;

use crate::Version;
use crate::commit_log::{LogAnswer, LogRequest};
use crate::wire::Connection;

/// How long the log has to answer.
const PATIENCE: Duration = Duration::from_secs(2);

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

    /// Asks the log, and waits for what it answers.
    pub(crate) async fn ask(&self, request: &LogRequest) -> io::Result<LogAnswer> {
        match timeout(PATIENCE, self.ask_patiently(request)).await {
            Ok(Ok(LogAnswer::Failed(why))) => Err(io::Error::other(why)),
            Ok(answer) => answer,
            Err(elapsed) => Err(elapsed.into()),
        }
    }

    async fn ask_patiently(&self, request: &LogRequest) -> io::Result<LogAnswer> {
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
            Version::Article => {}
            Version::Fixed => {
                *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
            }
        }
        Ok(answer)
    }
}
