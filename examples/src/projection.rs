//! Copies the log's events into the backend's store.

use std::io;
use std::time::Duration;

use simmach::time::sleep;

use crate::Version;
use crate::commit_log::{LogAnswer, LogRequest};
use crate::log_client::LogClient;
use crate::store::Stock;

/// Pause between two downloads.
const PAUSE: Duration = Duration::from_millis(100);

/// Follows the log. This function never returns.
pub(crate) async fn follow(version: Version, stock: &Stock, log: &LogClient) -> ! {
    loop {
        let followed = match version {
            Version::Buggy => fetch_once(stock, log).await,
            Version::Fixed => catch_up(stock, log).await,
        };
        if let Err(error) = followed {
            tracing::warn!("Cannot get events from {}: {error}", log.address());
        }
        sleep(PAUSE).await;
    }
}

/// Buggy version: stores the events in one transaction and their count in another.
async fn fetch_once(stock: &Stock, log: &LogClient) -> io::Result<()> {
    let from = stock.counter().await?;
    let LogAnswer::Events { events, .. } = log.ask(&LogRequest::Download { from }).await? else {
        return Err(unexpected_answer());
    };
    if !events.is_empty() {
        let count = from + events.len() as u64;
        stock.apply(events).await?;
        stock.set_counter(count).await?;
    }
    Ok(())
}

/// Stores all events that the log had when this was called, and maybe later ones.
pub(crate) async fn catch_up(stock: &Stock, log: &LogClient) -> io::Result<()> {
    loop {
        let from = stock.counter().await?;
        let LogAnswer::Events { events, head } = log.ask(&LogRequest::Download { from }).await?
        else {
            return Err(unexpected_answer());
        };
        if from > head {
            return Err(io::Error::other(format!(
                "this store has {from} events, but the log has only {head}"
            )));
        }
        let count = from + events.len() as u64;
        if !events.is_empty() {
            stock.apply_once(from, events).await?;
        }
        if count >= head {
            return Ok(());
        }
    }
}

fn unexpected_answer() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the log gave an answer of the wrong kind")
}
