//! The events of a trace, and the words by which they are hashed.
//!
//! The numbers of events and of their details are part of every trace hash. A deleted event must leave a gap.

use serde::{Deserialize, Serialize};

use crate::engine::ids::{MachineId, ProcessId};
use crate::engine::record::byte_hash::hash_bytes;

/// An event of a run.
///
/// A new event borrows its bytes and machines (`B`, `M`), see [`NewEvent`]. A kept event owns them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Event<B = Bytes, M = Vec<MachineId>> {
    /// A task was polled, after its `wake`th wake.
    TaskPolled { wake: u64 },
    /// A task was spawned.
    TaskSpawned { task: u64, process: ProcessId },
    /// A machine sent a packet. `number` identifies it in its flow: a sequence number, or a datagram's number.
    PacketSent { flow: u64, number: u64, payload: B },
    /// A packet did not arrive.
    PacketDropped { flow: u64, number: u64, reason: DropReason },
    /// A packet arrived.
    PacketDelivered { flow: u64, number: u64 },
    /// The `nth` transaction of a store was committed, with a hash of what it wrote.
    Committed { store: u64, nth: u64, durability: CommitDurability, written: u64 },
    /// A store's commits up to the `nth` were made durable.
    Flushed { store: u64, nth: u64 },
    /// A service was started.
    ServiceStarted { machine: MachineId },
    /// A process ended, either a client or a service.
    ProcessEnded { process: ProcessId, machine: MachineId, is_client: bool, exit: ProcessExit },
    /// A machine lost power. This undid `commits` commits that were not durable.
    PowerLost { machine: MachineId, commits: u64 },
    /// A machine's disk was emptied.
    DiskWiped { machine: MachineId },
    /// A machine's clocks were set: a step in nanoseconds, and a drift in parts per million.
    ClockSet { machine: MachineId, step: i64, drift: i32 },
    /// A machine got power back.
    PowerRestored { machine: MachineId },
    /// The processes of a machine were paused.
    MachinePaused { machine: MachineId },
    /// The processes of a machine went on after a pause.
    MachineResumed { machine: MachineId },
    /// The links from some machines to others changed.
    LinksChanged { change: LinkChange, from: M, to: M },
    /// The profile of the link between two zones changed; `zones` is a hash of their names.
    ZoneLinkChanged { zones: u64 },
    /// Every link got its initial profile back.
    LinksRestored,
    /// A step of the test began: its sequence, and its number there.
    StepBegun { sequence: u64, number: u64 },
    /// The run ended after this many polls.
    RunEnded { polls: u64 },
    /// A call on a simulated descriptor that changed something or returned data: a number of bytes, another result, or a
    /// negative error number.
    SystemCall { call: SystemCall, descriptor: i32, result: i64 },
    /// A call on a file of a machine's disk that changed something or returned data: what it was about (an inode, or a hash of
    /// a path), a hash of its content, and a number of bytes, another result, or a negative error number.
    FileCall { call: FileCall, subject: u64, content: u64, result: i64 },
    /// Something was done to the disk of a machine.
    DiskChanged { machine: MachineId, change: DiskChange },
    /// Code on a machine passed a fault point; `point` is a hash of its name.
    PointPassed { machine: MachineId, point: u64 },
    /// The CPU of a machine became slow.
    CpuSlowed { machine: MachineId },
    /// The CPU of a machine became as fast as usual.
    CpuRestored { machine: MachineId },
    /// The wall clock of a machine stands still.
    ClockFrozen { machine: MachineId },
}

/// What was done to a disk. The numbers follow those of other events of machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum DiskChange {
    /// Its next sync fails.
    NextSyncFails = 9,
    /// Reads fail.
    ReadsFail = 10,
    /// Writes and syncs fail.
    WritesFail = 11,
    /// It has no free space.
    Full = 12,
    /// Calls wait.
    Stalled = 13,
    /// All faults ended.
    Repaired = 14,
    /// Its content was replaced by that of a snapshot.
    Restored = 15,
    /// The machine loses power at a later call.
    PowerFailsAtCall = 16,
    /// One fault ended, and the others stay.
    FaultEnded = 18,
}

impl DiskChange {
    /// The change in words, for logs and reports.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::NextSyncFails => "the next sync of its disk fails",
            Self::ReadsFail => "reads of its disk fail",
            Self::WritesFail => "writes to its disk fail",
            Self::Full => "disk filled",
            Self::Stalled => "disk stalled",
            Self::Repaired => "disk repaired",
            Self::Restored => "disk replaced by a snapshot",
            Self::PowerFailsAtCall => {
                "will lose power in a later call that changes or syncs files or commits to a store"
            }
            Self::FaultEnded => "a fault of its disk ended",
        }
    }
}

/// A call of the C library on a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SystemCall {
    Socket = 0,
    SocketPair = 1,
    Pipe = 2,
    Bind = 3,
    Listen = 4,
    Connect = 5,
    Accept = 6,
    SetOption = 7,
    ShutDown = 8,
    Duplicate = 9,
    Read = 10,
    Write = 11,
    Receive = 12,
    Send = 13,
    Close = 14,
}

/// A call of the C library on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FileCall {
    Open = 0,
    Read = 1,
    Write = 2,
    Resize = 3,
    Allocate = 4,
    Sync = 5,
    MakeFolder = 6,
    SymbolicLink = 7,
    Link = 8,
    Remove = 9,
    RemoveFolder = 10,
    Rename = 11,
}

impl FileCall {
    /// The call's name in C.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Read => "read",
            Self::Write => "write",
            Self::Resize => "ftruncate",
            Self::Allocate => "fallocate",
            Self::Sync => "fsync",
            Self::MakeFolder => "mkdir",
            Self::SymbolicLink => "symlink",
            Self::Link => "link",
            Self::Remove => "unlink",
            Self::RemoveFolder => "rmdir",
            Self::Rename => "rename",
        }
    }
}

impl SystemCall {
    /// The call's name in C.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::SocketPair => "socketpair",
            Self::Pipe => "pipe",
            Self::Bind => "bind",
            Self::Listen => "listen",
            Self::Connect => "connect",
            Self::Accept => "accept",
            Self::SetOption => "setsockopt",
            Self::ShutDown => "shutdown",
            Self::Duplicate => "dup",
            Self::Read => "read",
            Self::Write => "write",
            Self::Receive => "recv",
            Self::Send => "send",
            Self::Close => "close",
        }
    }

    /// Whether its result is a number of bytes.
    pub(crate) fn transfers(self) -> bool {
        matches!(self, Self::Read | Self::Write | Self::Receive | Self::Send)
    }
}

/// Why a packet did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum DropReason {
    /// The link lost it.
    Lost = 0,
    /// A partition dropped it.
    Partition = 1,
    /// The link's queue was full.
    QueueFull = 2,
    /// No link leads there.
    NoRoute = 3,
    /// The destination machine had no power.
    MachineDown = 4,
    /// A filter of the test dropped it.
    Filtered = 5,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ProcessExit {
    /// It returned by itself, or after the stop signal.
    Returned = 0,
    /// It returned an error or panicked, on a machine where that is a crash.
    Crashed = 1,
    /// It was killed.
    Killed = 2,
    /// Its machine lost its power.
    PowerLost = 3,
}

/// How durable a commit was when it was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CommitDurability {
    /// It survives a loss of power.
    Durable = 0,
    /// It survives a loss of power after the next flush only.
    Cached = 1,
}

/// Hashed for a flush, in the place where a commit has its durability.
const FLUSH: u8 = 2;

/// A change of links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LinkChange {
    /// A partition began.
    Partition = 0,
    /// A partition was healed.
    Healed = 1,
    /// Every partition was healed.
    AllHealed = 2,
    /// Packets are held.
    Clogged = 3,
    /// Held packets are released.
    Unclogged = 4,
    /// The profile changed.
    Profile = 5,
    /// An impairment began.
    Impaired = 6,
    /// An impairment ended. It names no machines.
    ImpairmentEnded = 7,
}

impl LinkChange {
    /// The change in words, for logs and reports.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Partition => "partitioned",
            Self::Healed => "healed",
            Self::AllHealed => "healed: all partitions",
            Self::Clogged => "clogged",
            Self::Unclogged => "unclogged",
            Self::Profile => "link profile changed",
            Self::Impaired => "impaired",
            Self::ImpairmentEnded => "no longer impaired",
        }
    }
}

/// An event when it happens. It is `Copy`: building one on the path of a packet needs no allocation and no drop glue.
pub(crate) type NewEvent<'a> = Event<&'a [u8], &'a [MachineId]>;

/// The first bytes of a payload, and the length of all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bytes {
    /// The first bytes.
    pub(crate) first: Vec<u8>,
    /// Total number of bytes.
    pub(crate) length: usize,
}

/// The number of bytes that are kept of an event's payload.
const KEPT_BYTES: usize = 96;

impl<B, M: AsRef<[MachineId]>> Event<B, M> {
    /// The kind and two words that are hashed, apart from the bytes.
    #[inline(always)]
    pub(crate) fn words(&self) -> (u8, [u64; 2]) {
        let machine = |machine: &MachineId, what| (6, [u64::from(machine.0), what]);
        match self {
            Self::TaskPolled { wake } => (0, [*wake, 0]),
            Self::TaskSpawned { task, process } => (1, [*task, u64::from(process.0)]),
            Self::PacketSent { flow, number, .. } => (2, [*flow, *number]),
            Self::PacketDropped { flow, number, .. } => (3, [*flow, *number]),
            Self::PacketDelivered { flow, number } => (4, [*flow, *number]),
            Self::Committed { store, nth, .. } | Self::Flushed { store, nth } => {
                (5, [*store, *nth])
            }
            Self::ServiceStarted { machine: id } => machine(id, 1),
            Self::ProcessEnded { process, .. } => (6, [u64::from(process.0), 2]),
            Self::PowerLost { machine: id, .. } => machine(id, 3),
            Self::DiskWiped { machine: id } => machine(id, 4),
            Self::ClockSet { machine: id, .. } => machine(id, 5),
            Self::PowerRestored { machine: id } => machine(id, 6),
            Self::MachinePaused { machine: id } => machine(id, 7),
            Self::MachineResumed { machine: id } => machine(id, 8),
            Self::DiskChanged { machine: id, change } => machine(id, *change as u64),
            Self::PointPassed { machine: id, .. } => machine(id, 17),
            Self::CpuSlowed { machine: id } => machine(id, 19),
            Self::CpuRestored { machine: id } => machine(id, 20),
            Self::ClockFrozen { machine: id } => machine(id, 21),
            Self::LinksChanged { change, from, .. } => {
                (7, [*change as u64, from.as_ref().len() as u64])
            }
            Self::ZoneLinkChanged { zones } => (7, [LinkChange::Profile as u64, *zones]),
            Self::LinksRestored => (7, [LinkChange::Profile as u64, 0]),
            Self::StepBegun { sequence, number } => (8, [*sequence, *number]),
            Self::RunEnded { polls } => (9, [*polls, 0]),
            Self::SystemCall { call, descriptor, result } => {
                let what = u64::from(*descriptor as u32) << 8 | *call as u64;
                (10, [what, *result as u64])
            }
            Self::FileCall { call, subject, result, .. } => {
                (11, [subject.rotate_left(8) ^ *call as u64, *result as u64])
            }
        }
    }
}

impl NewEvent<'_> {
    /// Adds the event's bytes, if any, to a hash.
    #[inline(always)]
    pub(crate) fn add_bytes(&self, hash: u64) -> u64 {
        match self {
            Self::PacketSent { payload: [], .. } => hash,
            Self::PacketSent { payload, .. } => hash_bytes(hash, payload),
            Self::PacketDropped { reason, .. } => hash_bytes(hash, &[*reason as u8]),
            Self::Committed { durability, written, .. } => {
                let mut bytes = [*durability as u8; 9];
                bytes[1..].copy_from_slice(&written.to_le_bytes());
                hash_bytes(hash, &bytes)
            }
            Self::Flushed { .. } => hash_bytes(hash, &[FLUSH]),
            Self::ProcessEnded { exit, .. } => hash_bytes(hash, &[*exit as u8]),
            Self::PowerLost { commits, .. } => hash_bytes(hash, &commits.to_le_bytes()),
            Self::ClockSet { step, drift, .. } => {
                let mut bytes = [0; 12];
                bytes[..8].copy_from_slice(&step.to_le_bytes());
                bytes[8..].copy_from_slice(&drift.to_le_bytes());
                hash_bytes(hash, &bytes)
            }
            Self::FileCall { content, .. } => hash_bytes(hash, &content.to_le_bytes()),
            Self::PointPassed { point, .. } => hash_bytes(hash, &point.to_le_bytes()),
            Self::LinksChanged { from: [], to: [], .. } => hash,
            Self::LinksChanged { from, to, .. } => {
                let machines = from.iter().chain(*to);
                let bytes: Vec<u8> = machines.flat_map(|machine| machine.0.to_le_bytes()).collect();
                hash_bytes(hash, &bytes)
            }
            Self::TaskPolled { .. }
            | Self::TaskSpawned { .. }
            | Self::PacketDelivered { .. }
            | Self::ServiceStarted { .. }
            | Self::DiskWiped { .. }
            | Self::PowerRestored { .. }
            | Self::MachinePaused { .. }
            | Self::MachineResumed { .. }
            | Self::CpuSlowed { .. }
            | Self::CpuRestored { .. }
            | Self::ClockFrozen { .. }
            | Self::DiskChanged { .. }
            | Self::ZoneLinkChanged { .. }
            | Self::LinksRestored
            | Self::StepBegun { .. }
            | Self::RunEnded { .. }
            | Self::SystemCall { .. } => hash,
        }
    }

    /// Converts it to a kept event, which has only the first bytes of its payload.
    pub(crate) fn to_kept(self) -> Event {
        match self {
            Self::PacketSent { flow, number, payload } => {
                let first = payload[..payload.len().min(KEPT_BYTES)].to_vec();
                Event::PacketSent { flow, number, payload: Bytes { first, length: payload.len() } }
            }
            Self::TaskPolled { wake } => Event::TaskPolled { wake },
            Self::TaskSpawned { task, process } => Event::TaskSpawned { task, process },
            Self::PacketDropped { flow, number, reason } => {
                Event::PacketDropped { flow, number, reason }
            }
            Self::PacketDelivered { flow, number } => Event::PacketDelivered { flow, number },
            Self::Committed { store, nth, durability, written } => {
                Event::Committed { store, nth, durability, written }
            }
            Self::Flushed { store, nth } => Event::Flushed { store, nth },
            Self::ServiceStarted { machine } => Event::ServiceStarted { machine },
            Self::ProcessEnded { process, machine, is_client, exit } => {
                Event::ProcessEnded { process, machine, is_client, exit }
            }
            Self::PowerLost { machine, commits } => Event::PowerLost { machine, commits },
            Self::DiskWiped { machine } => Event::DiskWiped { machine },
            Self::ClockSet { machine, step, drift } => Event::ClockSet { machine, step, drift },
            Self::PowerRestored { machine } => Event::PowerRestored { machine },
            Self::MachinePaused { machine } => Event::MachinePaused { machine },
            Self::MachineResumed { machine } => Event::MachineResumed { machine },
            Self::DiskChanged { machine, change } => Event::DiskChanged { machine, change },
            Self::LinksChanged { change, from, to } => {
                Event::LinksChanged { change, from: from.to_vec(), to: to.to_vec() }
            }
            Self::ZoneLinkChanged { zones } => Event::ZoneLinkChanged { zones },
            Self::LinksRestored => Event::LinksRestored,
            Self::StepBegun { sequence, number } => Event::StepBegun { sequence, number },
            Self::RunEnded { polls } => Event::RunEnded { polls },
            Self::SystemCall { call, descriptor, result } => {
                Event::SystemCall { call, descriptor, result }
            }
            Self::FileCall { call, subject, content, result } => {
                Event::FileCall { call, subject, content, result }
            }
            Self::PointPassed { machine, point } => Event::PointPassed { machine, point },
            Self::CpuSlowed { machine } => Event::CpuSlowed { machine },
            Self::CpuRestored { machine } => Event::CpuRestored { machine },
            Self::ClockFrozen { machine } => Event::ClockFrozen { machine },
        }
    }
}
