//! Commands in the buggy version: applied to the backend's store first, then committed to the log.

use std::io;

use super::{Answer, Backend, Command, Request};
use crate::commit_log::LogRequest;
use crate::decision::Decision;

pub(super) async fn carry_out(backend: &Backend, request: Request) -> io::Result<Answer> {
    let Request { id, command } = request;
    match command {
        Command::Count => Ok(Answer::Count(backend.stock.total().await?)),
        Command::AddItem { .. } | Command::MoveItem { .. } => {
            let view = backend.stock.view(command.locations()).await?;
            let decision = command.decide(&view);
            if let Decision::Accepted(events) = &decision {
                backend.stock.apply(events.clone()).await?;
                tracing::info!("Commit '{decision}' to {}", backend.log.address());
                let decision = decision.clone();
                let commit = LogRequest::Commit { request: id, decided_at: view.counter, decision };
                backend.log.ask(&commit).await?;
            }
            Ok(decision.into())
        }
    }
}
