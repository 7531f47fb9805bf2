//! Commands in the fixed version: committed to the log, which accepts or rejects them.

use std::io;
use std::time::Duration;

use simmach::time::timeout;

use super::{Answer, Backend, Command, Request};
use crate::commit_log::{LogAnswer, LogRequest};
use crate::projection::catch_up;

/// Time limit for a command. The command is decided again each time that another commit comes
/// first.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(6);

pub(super) async fn carry_out(backend: &Backend, request: Request) -> io::Result<Answer> {
    match request.command {
        Command::Count => {
            catch_up(&backend.stock, &backend.log).await?;
            Ok(Answer::Count(backend.stock.total().await?))
        }
        Command::AddItem { .. } | Command::MoveItem { .. } => {
            timeout(COMMIT_TIMEOUT, commit(backend, &request)).await?
        }
    }
}

/// Decides and commits the command, and does both again each time that the log has new events.
async fn commit(backend: &Backend, request: &Request) -> io::Result<Answer> {
    loop {
        let view = backend.stock.view(request.command.locations()).await?;
        let decision = request.command.decide(&view);
        tracing::info!("Commit '{decision}' to {}", backend.log.address());
        let commit = LogRequest::Commit { request: request.id, decided_at: view.counter, decision };
        match backend.log.ask(&commit).await? {
            LogAnswer::Committed(decision) => return Ok(decision.into()),
            LogAnswer::Behind => {
                tracing::debug!("The log has newer events: deciding again");
                catch_up(&backend.stock, &backend.log).await?;
            }
            LogAnswer::Superseded => {
                return Err(io::Error::other("superseded: the client has sent a later request"));
            }
            LogAnswer::Events { .. } | LogAnswer::Failed(_) => {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }
}
