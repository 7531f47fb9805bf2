//! Stores a node's log and its vote in a plain file: the alternative to [`LogStore`](super::LogStore).
//!
//! The file is a sequence of records. A record is the length of its body and the CRC-32 of the
//! body, each in four bytes, little-endian, and then the body in postcard's format. A record that a
//! power loss has torn is at the end of the file, and is removed when the file is opened.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{
    Entry, LogId, LogState, OptionalSend, RaftLogReader, StorageError, StorageIOError, Vote,
};
use serde::{Deserialize, Serialize};

use crate::types::{NodeId, TypeConfig};

/// Bytes before the body of a record.
const HEADER: usize = 8;

/// The file is written anew when it has this number of records more than twice those that are
/// needed.
const SPARE_RECORDS: usize = 64;

/// A change of the log or of the vote.
#[derive(Serialize, Deserialize)]
enum Record {
    Vote(Vote<NodeId>),
    Append(Entry<TypeConfig>),
    /// All entries from this index on are removed.
    Truncate(u64),
    /// All entries up to this one are removed.
    Purge(LogId<NodeId>),
}

/// The log and the vote after all records.
#[derive(Debug, Default)]
struct Contents {
    vote: Option<Vote<NodeId>>,
    purged: Option<LogId<NodeId>>,
    entries: BTreeMap<u64, Entry<TypeConfig>>,
}

/// An open file.
#[derive(Debug)]
struct Opened {
    file: File,
    path: PathBuf,
    is_synced: bool,
    /// Number of records in the file.
    records: usize,
    contents: Contents,
}

/// A node's log and vote, in a file.
#[derive(Clone, Debug)]
pub struct FileLog {
    opened: Arc<Mutex<Opened>>,
}

impl FileLog {
    /// Opens the log in the file `path`, which is created if it does not exist. `is_synced`:
    /// whether a write is synced before it is reported as stored.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or written.
    pub async fn open(path: PathBuf, is_synced: bool) -> io::Result<Self> {
        let opened = blocking(move || Opened::open(path, is_synced)).await?;
        Ok(Self { opened: Arc::new(Mutex::new(opened)) })
    }

    async fn write(&self, records: Vec<Record>) -> io::Result<()> {
        let opened = Arc::clone(&self.opened);
        blocking(move || lock(&opened).write(records)).await
    }
}

/// Runs `f` on a thread that may block.
async fn blocking<T: Send + 'static>(
    f: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(f).await.unwrap_or_else(|ended| Err(io::Error::other(ended)))
}

fn lock(opened: &Mutex<Opened>) -> MutexGuard<'_, Opened> {
    opened.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Contents {
    fn apply(&mut self, record: Record) {
        match record {
            Record::Vote(vote) => self.vote = Some(vote),
            Record::Append(entry) => {
                self.entries.insert(entry.log_id.index, entry);
            }
            Record::Truncate(from) => {
                self.entries.split_off(&from);
            }
            Record::Purge(up_to) => {
                self.entries = self.entries.split_off(&(up_to.index + 1));
                self.purged = Some(up_to);
            }
        }
    }

    /// The records from which these contents can be made.
    fn records(&self) -> Vec<Record> {
        let purged = self.purged.map(Record::Purge);
        let vote = self.vote.map(Record::Vote);
        let entries = self.entries.values().cloned().map(Record::Append);
        purged.into_iter().chain(vote).chain(entries).collect()
    }

    fn last(&self) -> Option<LogId<NodeId>> {
        self.entries.values().next_back().map(|entry| entry.log_id).or(self.purged)
    }
}

/// Appends a record to `bytes`.
fn encode(record: &Record, bytes: &mut Vec<u8>) -> io::Result<()> {
    let body = postcard::to_stdvec(record).map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    bytes.extend(length.to_le_bytes());
    bytes.extend(crc32fast::hash(&body).to_le_bytes());
    bytes.extend(body);
    Ok(())
}

/// Reads the record at the beginning of `bytes`, and returns it with its length. `None` if there is
/// no whole record.
fn decode(bytes: &[u8]) -> Option<(Record, usize)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let body = rest.get(..u32::from_le_bytes(*length) as usize)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
        return None;
    }
    Some((postcard::from_bytes(body).ok()?, HEADER + body.len()))
}

/// Syncs the folder that contains `path`, so that a new name in it survives a power loss.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if folder != Path::new("") => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

impl Opened {
    fn open(path: PathBuf, is_synced: bool) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let bytes = fs::read(&path)?;
        let mut opened = Self { file, path, is_synced, records: 0, contents: Contents::default() };
        let mut rest = &bytes[..];
        while let Some((record, length)) = decode(rest) {
            opened.contents.apply(record);
            opened.records += 1;
            rest = &rest[length..];
        }
        if !rest.is_empty() {
            opened.file.set_len((bytes.len() - rest.len()) as u64)?;
        }
        opened.file.sync_all()?;
        sync_folder(&opened.path)?;
        Ok(opened)
    }

    fn write(&mut self, records: Vec<Record>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for record in &records {
            encode(record, &mut bytes)?;
        }
        self.file.write_all(&bytes)?;
        if self.is_synced {
            self.file.sync_data()?;
        }
        self.records += records.len();
        records.into_iter().for_each(|record| self.contents.apply(record));
        if self.records > 2 * self.contents.entries.len() + SPARE_RECORDS {
            self.compact()?;
        }
        Ok(())
    }

    /// Writes a file without the records that are not needed any more, and replaces the old file
    /// with it.
    fn compact(&mut self) -> io::Result<()> {
        let records = self.contents.records();
        let mut bytes = Vec::new();
        for record in &records {
            encode(record, &mut bytes)?;
        }
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        sync_folder(&self.path)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        self.records = records.len();
        Ok(())
    }
}

impl RaftLogReader<TypeConfig> for FileLog {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry<TypeConfig>>, StorageError<NodeId>> {
        let opened = lock(&self.opened);
        Ok(opened.contents.entries.range(range).map(|(_, entry)| entry.clone()).collect())
    }
}

impl RaftLogStorage<TypeConfig> for FileLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError<NodeId>> {
        let opened = lock(&self.opened);
        let Contents { purged, .. } = opened.contents;
        Ok(LogState { last_purged_log_id: purged, last_log_id: opened.contents.last() })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<NodeId>) -> Result<(), StorageError<NodeId>> {
        let written = self.write(vec![Record::Vote(*vote)]).await;
        written.map_err(|error| StorageIOError::write_vote(&error).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<NodeId>>, StorageError<NodeId>> {
        Ok(lock(&self.opened).contents.vote)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError<NodeId>>
    where
        I: IntoIterator<Item = Entry<TypeConfig>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let written = self.write(entries.into_iter().map(Record::Append).collect()).await;
        callback.log_io_completed(match &written {
            Ok(()) => Ok(()),
            Err(error) => Err(io::Error::other(error.to_string())),
        });
        written.map_err(|error| StorageIOError::write_logs(&error).into())
    }

    async fn truncate(&mut self, from: LogId<NodeId>) -> Result<(), StorageError<NodeId>> {
        let written = self.write(vec![Record::Truncate(from.index)]).await;
        written.map_err(|error| StorageIOError::write_logs(&error).into())
    }

    async fn purge(&mut self, up_to: LogId<NodeId>) -> Result<(), StorageError<NodeId>> {
        let written = self.write(vec![Record::Purge(up_to)]).await;
        written.map_err(|error| StorageIOError::write_logs(&error).into())
    }
}
