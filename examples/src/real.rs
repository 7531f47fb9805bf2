//! Runs the cluster outside the simulation: one process per machine, on loopback, with a folder as
//! the machine's disk.
//!
//! The services are the same as in the simulation. While the bot works, one backend is stopped by
//! SIGTERM and gets a new disk. The other backend is killed and started again.

use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use std::{env, fs, process, thread};

use futures::try_join;
use rustix::process::{Pid, Signal, kill_process};
use simmach::net::TcpStream;
use simmach::time::{Instant, sleep, timeout};
use simmach::{BoxError, storage};

use crate::{Inventory, Issue, Version, Walk, backend, commit_log, walk};

/// The bot's workload.
pub const WALK: Walk = Walk { ring: 5, moves: 16, pause: Duration::from_millis(400) };

/// Time limits for a process to start, and to stop.
const START_TIMEOUT: Duration = Duration::from_secs(20);
const GRACE: Duration = Duration::from_secs(5);

/// Interval at which a process is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The service of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The commit log.
    Log,
    /// A backend that commits to the log at this address.
    Backend(String),
}

/// The settings of a process.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Its service.
    pub role: Role,
    /// The version of the service.
    pub version: Version,
    /// The address it listens at.
    pub listen: String,
    /// The folder that is its disk.
    pub folder: PathBuf,
}

/// Why a real cluster failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The bot found an issue.
    #[error(transparent)]
    Issue(#[from] Issue),
    /// The cluster could not be run.
    #[error("{0}")]
    Cluster(#[from] io::Error),
}

/// Runs a machine's service in this process, until the stop signal or until the parent process ends.
///
/// # Errors
///
/// The service's error.
pub fn serve(machine: &Machine) -> Result<(), BoxError> {
    exit_with_parent();
    storage::set_folder(&machine.folder);
    on_a_runtime(async {
        match &machine.role {
            Role::Log => commit_log(machine.version, &machine.listen).await,
            Role::Backend(log) => backend(machine.version, &machine.listen, log).await,
        }
    })?
}

/// Runs the cluster and the bot. `command` makes the command that starts a machine's process; `log` gets a line for each event.
///
/// # Errors
///
/// If the bot finds an issue, or if a process cannot be run.
pub fn run(
    version: Version,
    command: impl Fn(&Machine) -> io::Result<Command>,
    log: impl Fn(&str),
) -> Result<(), Failure> {
    let folder = Folder::new()?;
    on_a_runtime(async {
        let [at_log, at_one, at_two] = free_addresses()?;
        let process = |name: &'static str, role, listen: SocketAddr| {
            let folder = folder.0.join(name);
            let machine = Machine { role, version, listen: listen.to_string(), folder };
            Ok::<_, io::Error>(Process { name, command: command(&machine)?, machine, child: None })
        };
        let role = || Role::Backend(at_log.to_string());
        let mut cl = process("cl", Role::Log, at_log)?;
        let mut api1 = process("api1", role(), at_one)?;
        let mut api2 = process("api2", role(), at_two)?;
        try_join!(cl.start(), api1.start(), api2.start())?;
        log("three processes listen");
        let inventory = Inventory::connect(version, [at_one, at_two].map(|at| at.to_string()));
        let bot = async {
            walk(inventory, version, WALK, 0..WALK.moves).await?;
            Ok::<_, Failure>(())
        };
        let faults = async {
            sleep(Duration::from_millis(1500)).await;
            api1.stop().await?;
            fs::remove_dir_all(&api1.machine.folder)?;
            log("api1 was stopped, and its disk wiped");
            sleep(Duration::from_millis(1000)).await;
            api1.start().await?;
            log("api1 is running again");
            sleep(Duration::from_millis(1000)).await;
            api2.kill()?;
            log("api2 is killed");
            sleep(Duration::from_millis(1000)).await;
            api2.start().await?;
            log("api2 is running again");
            Ok::<_, Failure>(())
        };
        try_join!(bot, faults)?;
        try_join!(cl.stop(), api1.stop(), api2.stop())?;
        Ok(())
    })?
}

/// A machine's process, running or not.
struct Process {
    name: &'static str,
    machine: Machine,
    command: Command,
    child: Option<Child>,
}

impl Process {
    /// Starts the process, and waits until it listens.
    async fn start(&mut self) -> io::Result<()> {
        // The child ends at the end of its standard input, and so when this process ends, in whatever way.
        self.child = Some(self.command.stdin(Stdio::piped()).spawn()?);
        let began = Instant::now();
        while TcpStream::connect(self.machine.listen.as_str()).await.is_err() {
            if let Some(status) = self.ended()? {
                return Err(self.error(&format!("exited during startup: {status}")));
            }
            if began.elapsed() > START_TIMEOUT {
                return Err(self.error("does not listen in time"));
            }
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Sends SIGTERM, and waits for the process's end.
    async fn stop(&mut self) -> io::Result<()> {
        let Some(child) = &self.child else { return Ok(()) };
        kill_process(Pid::from_child(child), Signal::TERM)?;
        let ended = timeout(GRACE, async {
            loop {
                match self.ended()? {
                    Some(status) => return Ok::<_, io::Error>(status),
                    None => sleep(POLL_INTERVAL).await,
                }
            }
        });
        let Ok(status) = ended.await else { return Err(self.error("does not stop in time")) };
        self.child = None;
        match status? {
            status if status.success() => Ok(()),
            status => Err(self.error(&format!("failed after the stop signal: {status}"))),
        }
    }

    /// Kills the process.
    fn kill(&mut self) -> io::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        child.kill()?;
        child.wait().map(drop)
    }

    fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.as_mut().map_or(Ok(None), Child::try_wait)
    }

    fn error(&self, what: &str) -> io::Error {
        io::Error::other(format!("{} {what}", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process may have ended by itself.
        let _ = self.kill();
    }
}

/// A folder for the machines' disks, deleted on drop.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let folder = env::temp_dir().join(format!("inventory-{}", process::id()));
        fs::create_dir(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let Self(folder) = self;
        if let Err(error) = fs::remove_dir_all(Path::new(folder)) {
            tracing::warn!("cannot delete {}: {error}", folder.display());
        }
    }
}

/// Free addresses on loopback.
fn free_addresses() -> io::Result<[SocketAddr; 3]> {
    let listener = || StdListener::bind((Ipv4Addr::LOCALHOST, 0));
    // All three stay bound until all are found, so that they differ.
    let listeners = [listener()?, listener()?, listener()?];
    let [one, two, three] = &listeners;
    Ok([one.local_addr()?, two.local_addr()?, three.local_addr()?])
}

fn on_a_runtime<R>(future: impl Future<Output = R>) -> io::Result<R> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(future))
}

/// Exits this process at the end of its standard input, whose other end the parent holds.
fn exit_with_parent() {
    #[allow(clippy::disallowed_methods, reason = "it blocks, in the real world")]
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        process::exit(1);
    });
}
