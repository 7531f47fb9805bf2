//! The workload: clients write and read a few keys through the HTTP API, and record what they see.

use std::cell::RefCell;
use std::rc::Rc;
use std::str;

use bytes::Bytes;
use kv::{Client, ClientError};
use simmach::Step;
use simmach::prelude::*;
use tokio::sync::Mutex;
use tokio::task::{JoinSet, LocalSet};

use crate::cluster::addresses;
use crate::history::{History, Value};

const KEYS: [&str; 2] = ["apple", "pear"];

/// How long a client retries a request while there are faults.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a client retries a request after the last fault: elections and connections take some
/// time.
const LAST_PATIENCE: Duration = Duration::from_secs(15);

/// The work of the clients of a test.
#[derive(Clone, Copy)]
pub(crate) struct Workload {
    /// The number of steps. Each step makes one request and takes a quarter of a second on average.
    pub(crate) steps: u64,
    /// Whether clients read the state of any node, which may be stale.
    pub(crate) local_reads: bool,
    /// Whether all nodes lose power for a moment in some steps. A plan could do the same, but at
    /// times of its choice. A fault in a step keeps its place among the requests when the shrinker
    /// leaves out other steps.
    pub(crate) blackouts: bool,
}

impl Default for Workload {
    fn default() -> Self {
        Self { steps: 30, local_reads: false, blackouts: false }
    }
}

#[derive(Clone, Copy)]
enum Request {
    Get,
    /// Of a node.
    GetLocal(usize),
    Put(u64),
    Delete,
}

fn client(patience: Duration) -> Result<Client, ClientError> {
    Client::new(addresses().into_values(), patience)
}

impl Workload {
    /// Three clients make requests, side by side. Then all faults are repaired, and every key must be readable. What was read
    /// must be linearizable.
    pub(crate) async fn run(self, sim: Sim) -> Result {
        let history = Rc::new(RefCell::new(History::default()));
        LocalSet::new().run_until(self.make_requests(sim, Rc::clone(&history))).await?;
        sim.settle().await?;
        let mut client = client(LAST_PATIENCE)?;
        for key in KEYS {
            let called = history.borrow_mut().call_read();
            let value = client.get(key).await?;
            history.borrow_mut().record_read(key, called, text(value)?);
        }
        let history = history.borrow();
        sim.log(format!("{} answers", history.answers()));
        if let Some(violation) = history.violation() {
            // The key, not the text with all operations, says whether a shrunk run fails in the same way.
            sim.fail("not linearizable", violation);
        }
        Ok(())
    }

    async fn make_requests(self, sim: Sim, history: Rc<RefCell<History>>) -> Result {
        let clients = [client(PATIENCE)?, client(PATIENCE)?, client(PATIENCE)?];
        let clients = clients.map(|client| Rc::new(Mutex::new(client)));
        let mut requests = JoinSet::new();
        for step in sim.steps(self.steps) {
            tokio::time::sleep(step.random_range(0..500_u64).millis()).await;
            if self.blackouts && step.random_bool(0.2) {
                sim.power_off("kv*")?;
                tokio::time::sleep(100.millis()).await;
                sim.start("kv*")?;
            }
            let client = Rc::clone(step.choose(&clients));
            let key = *step.choose(&KEYS);
            let request = self.choose_request(&step);
            let history = Rc::clone(&history);
            requests.spawn_local(async move {
                let mut client = client.lock().await;
                make_request(&mut client, key, request, &history).await
            });
        }
        while let Some(made) = requests.join_next().await {
            made??;
        }
        Ok(())
    }

    fn choose_request(self, step: &Step) -> Request {
        match step.random_range(0..10_u32) {
            0..5 => Request::Put(step.number()),
            5..9 if self.local_reads => Request::GetLocal(step.random_range(0..3)),
            5..9 => Request::Get,
            _ => Request::Delete,
        }
    }
}

async fn make_request(
    client: &mut Client,
    key: &str,
    request: Request,
    history: &RefCell<History>,
) -> Result {
    match request {
        Request::Get => {
            let called = history.borrow_mut().call_read();
            note_read(called, key, client.get(key).await, history)
        }
        Request::GetLocal(node) => {
            let called = history.borrow_mut().call_read();
            note_read(called, key, client.get_local(node, key).await, history)
        }
        Request::Put(number) => {
            let value = number.to_string();
            let pending = history.borrow_mut().call_write(key, Some(value.clone()));
            note_write(client.put(key, value).await, || history.borrow_mut().acknowledge(&pending))
        }
        Request::Delete => {
            let pending = history.borrow_mut().call_write(key, None);
            note_write(client.delete(key).await, || history.borrow_mut().acknowledge(&pending))
        }
    }
}

fn note_read(
    called: u64,
    key: &str,
    answer: Result<Option<Bytes>, ClientError>,
    history: &RefCell<History>,
) -> Result {
    match answer {
        Ok(value) => history.borrow_mut().record_read(key, called, text(value)?),
        Err(error) => is_in_order(error)?,
    }
    Ok(())
}

fn note_write(answer: Result<(), ClientError>, acknowledge: impl FnOnce()) -> Result {
    match answer {
        Ok(()) => acknowledge(),
        Err(error) => is_in_order(error)?,
    }
    Ok(())
}

/// Without a majority there are no answers. All other errors are faults.
fn is_in_order(error: ClientError) -> Result {
    match error {
        ClientError::TooSlow { .. } => Ok(()),
        error => Err(error.into()),
    }
}

fn text(value: Option<Bytes>) -> Result<Value> {
    Ok(match value {
        Some(bytes) => Some(str::from_utf8(&bytes)?.to_owned()),
        None => None,
    })
}
