//! Runs the program as users do: three OS processes on loopback, with real folders. The leader is
//! killed and restarted.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kv::{Client, NodeId};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Time limit, on a busy machine, for operations that usually take seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node's process, which is killed on drop.
struct Process(Child);

impl Process {
    fn start(id: NodeId, members: &str, folder: &Path) -> Result<Self> {
        let child = Command::new(env!("CARGO_BIN_EXE_kv"))
            .arg(id.to_string())
            .env("KV_MEMBERS", members)
            .env("KV_FOLDER", folder.join(id.to_string()))
            .env("RUST_LOG", "off")
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Process {
    /// Kills the process with SIGKILL.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Addresses with ports that are free now.
fn free_addresses() -> Result<Vec<String>> {
    let listeners: Vec<_> =
        (0..3).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<_>>()?;
    Ok(listeners
        .iter()
        .map(|listener| Ok(listener.local_addr()?.to_string()))
        .collect::<std::io::Result<_>>()?)
}

async fn fetch(url: String) -> Result<String> {
    Ok(reqwest::get(url).await?.error_for_status()?.text().await?)
}

/// The leader that a node knows.
async fn leader(address: &str) -> Option<NodeId> {
    let status = fetch(format!("http://{address}/status")).await.ok()?;
    let (_, leader) = status.split_once("\"leader\":")?;
    leader.split(',').next()?.parse().ok()
}

/// Waits until a node says that a key has a value in its own state.
async fn wait_for_value(address: &str, key: &str, value: &str) -> Result {
    let url = format!("http://{address}/kv/{key}?consistency=local");
    let seen = async {
        while fetch(url.clone()).await.ok().as_deref() != Some(value) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    Ok(timeout(PATIENCE, seen).await?)
}

#[tokio::test]
async fn killed_leader_is_replaced_and_comes_back() -> Result {
    let folder = TempDir::new()?;
    let addresses = free_addresses()?;
    let members = addresses.join(",");
    let start = |id| Process::start(id, &members, folder.path());
    let mut processes = BTreeMap::new();
    for id in 1..=3 {
        processes.insert(id, start(id)?);
    }
    let mut client = Client::new(addresses.clone(), PATIENCE)?;
    client.put("apple", "red").await?;

    let leader = leader(&addresses[0]).await.ok_or("a leader has acknowledged the write")?;
    drop(processes.remove(&leader));
    client.put("pear", "green").await?;
    assert_eq!(client.get("apple").await?.as_deref(), Some(&b"red"[..]));

    processes.insert(leader, start(leader)?);
    let address = &addresses[usize::try_from(leader)? - 1];
    wait_for_value(address, "apple", "red").await?;
    wait_for_value(address, "pear", "green").await?;

    // Each process counts for itself.
    let metrics = fetch(format!("http://{address}/metrics")).await?;
    assert!(metrics.contains("kv_writes_total 0"), "{metrics}");
    client.delete("apple").await?;
    assert_eq!(client.get("apple").await?, None);
    Ok(())
}

#[test]
fn mistakes_end_the_program_with_a_reason() {
    for (arguments, status, reason) in [
        (&["4"][..], 2, "node 4 is not one of the 3 members"),
        (&["1", "--folder", "/dev/null/kv"], 1, "cannot open the store"),
    ] {
        let ended = Command::new(env!("CARGO_BIN_EXE_kv")).args(arguments).output();
        let ended = ended.expect("the program is built with the tests");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(status), "{said}");
        assert!(said.contains(reason), "{said}");
    }
}
