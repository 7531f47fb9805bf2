//! The durable state of a server: its term, its vote and its log.

use simmach::storage::byteorder::BE;
use simmach::storage::types::{Bytes, Str, U64};
use simmach::storage::{self, Store, Table};

use super::bug::Bug;
use super::log::{Entry, Log};
use super::node::Node;

type State<'e> = Table<'e, Str, U64<BE>>;
type Entries<'e> = Table<'e, U64<BE>, Bytes>;

pub(super) struct Disk {
    store: Store,
}

/// The state that a server has after a restart.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) term: u64,
    /// The server voted for; 0 if the server has not voted in this term.
    pub(super) vote: u64,
    pub(super) log: Log,
}

impl Disk {
    pub(super) async fn open() -> storage::Result<Self> {
        Ok(Self { store: storage::open("raft").await? })
    }

    pub(super) async fn load(&self) -> storage::Result<Stored> {
        let load = self.store.read(|txn| {
            let state: Option<State<'_>> = txn.table("state")?;
            let entries: Option<Entries<'_>> = txn.table("log")?;
            let (Some(state), Some(entries)) = (state, entries) else {
                return Ok(Stored::default());
            };
            let word = |name| Ok::<_, storage::Error>(state.get(txn, name)?.unwrap_or(0));
            let log: Vec<Entry> = entries
                .iter(txn)?
                .map(|entry| Ok(decode(entry?.1)))
                .collect::<storage::Result<_>>()?;
            Ok(Stored { term: word("term")?, vote: word("vote")?, log: Log::new(log) })
        });
        load.await
    }

    /// Stores what has changed since the last time. When it returns, a power loss undoes nothing of it.
    pub(super) async fn save(&self, node: &mut Node) -> storage::Result<()> {
        let Some(changed) = node.take_changes() else { return Ok(()) };
        let term = if node.has(Bug::TermNotStored) { node.log.last_term() } else { node.term };
        let vote = if node.has(Bug::VoteNotStored) { 0 } else { node.vote };
        let entries = changed.log_from.map(|index| (index, node.log.from(index)));
        let save = self.store.write(move |txn| {
            let state: State<'_> = txn.table("state")?;
            state.put(txn, "term", &term)?;
            state.put(txn, "vote", &vote)?;
            let table: Entries<'_> = txn.table("log")?;
            let Some((from, entries)) = entries else { return Ok(()) };
            table.delete_range(txn, &(from..))?;
            for (index, entry) in entries {
                table.put(txn, &index, &entry.words().map(u64::to_le_bytes).concat())?;
            }
            Ok(())
        });
        save.await?;
        if let Some(from) = changed.log_from {
            node.show_log(from);
        }
        Ok(())
    }
}

fn decode(bytes: &[u8]) -> Entry {
    let mut words = [0; Entry::WORDS];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    }
    Entry::of_words(words)
}
