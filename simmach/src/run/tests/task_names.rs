//! Tests of task names in reports. No name is a location in simmach itself.

use std::collections::BTreeSet;

use crate::engine::Family;
use crate::engine::record::deviations::RecordLevel;
use crate::run::tests::*;
use crate::task::JoinSet;

/// Executes a run that keeps all records. Many tasks are ready at once in it.
fn kept(spec: impl FnOnce() -> Spec + Send + 'static) -> Outcome {
    let keep = Keep { events: true, deviations: RecordLevel::All, ..Keep::default() };
    run_spec(spec, 1, Overlay::default(), keep, Arc::default())
}

async fn naps() {
    for _ in 0..10 {
        sleep(1.millis()).await;
    }
}

fn many() -> Spec {
    let topology = Topology::new()
        .machine("single.zone", naps)
        .machine("double.zone/web", naps)
        .machine("double.zone/db", naps);
    SpecBuilder::new()
        .topology(topology)
        .plan(Partitions::new())
        .plan(async |_: Sim| naps().await)
        .body(async |sim| {
            let task = spawn(naps());
            let client = sim.run_on("single.zone", naps());
            let mut set = JoinSet::new();
            set.spawn(naps());
            naps().await;
            task.await.expect("no panic");
            client.await.expect("no panic");
            while set.join_next().await.is_some() {}
        })
}

const HERE: &str = "the task spawned at simmach/src/run/tests/task_names.rs:";

fn is_known(name: &str) -> bool {
    let others = [
        "the test's body",
        "the main task of single.zone",
        "the main task of double.zone/web",
        "the main task of double.zone/db",
        "the plan Partitions",
        "a plan",
    ];
    name.starts_with(HERE) || others.contains(&name)
}

#[test]
fn deviations_name_their_tasks() {
    let outcome = kept(many);
    assert_eq!(outcome.verdict, Verdict::Passed);
    let orders = outcome.deviations.iter().filter(|deviation| deviation.family == Family::Wake);
    let names: BTreeSet<_> = orders.map(|deviation| deviation.text.as_str()).collect();
    let unknown: Vec<_> = names.iter().filter(|name| !is_known(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    // Of all kinds.
    for name in ["the test's body", "the main task of single.zone", "a plan"] {
        assert!(names.contains(name), "{names:?}");
    }
    assert!(names.iter().any(|name| name.starts_with(HERE)), "{names:?}");
}

#[test]
fn events_name_their_tasks() {
    let outcome = kept(many);
    let names: BTreeSet<_> = outcome.task_names.iter().map(|(_, name)| name.as_str()).collect();
    let unknown: Vec<_> = names.iter().filter(|name| !is_known(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert_eq!(names.iter().filter(|name| !name.starts_with(HERE)).count(), 6, "{names:?}");
}

#[test]
fn failure_names_its_task() {
    let task_of = |spec: fn() -> Spec| fail(spec).task;
    assert_eq!(task_of(|| SpecBuilder::new().body(async |_| panic!("on purpose"))), None);
    let main = task_of(|| {
        let service = async || -> () { panic!("on purpose") };
        SpecBuilder::new().machine("a", service).body(async |_| naps().await)
    });
    assert_eq!(main.as_deref(), Some("its main task"));
    let one_of_two = task_of(|| {
        let service = async || -> () { panic!("on purpose") };
        let topology = Topology::new().machine("a/web", service).machine("a/db", naps);
        SpecBuilder::new().topology(topology).body(async |_| naps().await)
    });
    assert_eq!(one_of_two.as_deref(), Some("the main task of a/web"));
    let spawned = task_of(|| {
        SpecBuilder::new().body(async |_| {
            drop(spawn(async { panic!("on purpose") }));
            naps().await;
        })
    });
    assert!(spawned.is_some_and(|task| task.starts_with(HERE)));
}

/// A refusal is recorded without allocating, and its task is named later.
#[test]
fn refusal_names_its_task() {
    let starts = || drop(thread::Builder::new().spawn(|| ()));
    let failure = fail(move || SpecBuilder::new().native().body(async move |_| starts()));
    assert_eq!(failure.task, None);
    let failure = fail(move || {
        let service = move || async move { starts() };
        SpecBuilder::new().native().machine("a", service).body(async |_| naps().await)
    });
    assert_eq!(failure.task.as_deref(), Some("its main task"));
    let failure = fail(move || {
        let plan = async move |_: Sim| starts();
        SpecBuilder::new().plan(plan).body(async |_| naps().await)
    });
    assert_eq!(failure.task.as_deref(), Some("a plan"));
}

#[test]
fn blocked_tasks_are_named() {
    let failure = fail(|| {
        let waits = || std::future::pending::<()>();
        let topology = Topology::new().machine("a/web", waits).machine("a/db", waits);
        let plan = async move |_: Sim| waits().await;
        SpecBuilder::new().topology(topology).plan(plan).body(async move |_| waits().await)
    });
    let begins = |text: &str| failure.waiting.iter().any(|line| line.starts_with(text));
    let lines = ["a: the main task of a/web waits", "a: the main task of a/db waits"];
    for line in [&lines[..], &["the harness: a plan waits"]].concat() {
        assert!(begins(line), "{line}: {:?}", failure.waiting);
    }
    assert!(failure.waiting.iter().any(|line| line.contains(": the test's body waits")));
}

/// The description of a guest's wait names the descriptors that its runtime watches.
#[cfg(all(
    feature = "tokio",
    target_os = "linux",
    target_env = "gnu",
    target_pointer_width = "64"
))]
#[test]
fn blocked_guests_show_what_their_runtimes_watch() {
    use std::time::Duration;

    use tokio::net::{TcpListener, TcpStream, UdpSocket};

    async fn accepts() -> std::io::Result<()> {
        let listener = TcpListener::bind("0.0.0.0:7").await?;
        let socket = UdpSocket::bind("0.0.0.0:9").await?;
        let connection = listener.accept().await?;
        socket.recv(&mut [0; 8]).await?;
        drop(connection);
        Ok(())
    }
    let failure = fail(|| {
        SpecBuilder::new().machine("server", accepts).body(async |_| {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let stream = TcpStream::connect("server:7").await?;
            stream.readable().await
        })
    });
    assert_eq!(failure.kind, FailureKind::Deadlock, "{failure:?}");
    let wait = "waits for an event of its tokio runtime: ";
    let watched = [
        (
            "server: ",
            "connections to 0.0.0.0:7, its socket at 0.0.0.0:9, its connection with 10.0.0.2:",
        ),
        ("client: the test's body ", "its connection with 10.0.0.1:7"),
    ];
    for (task, watched) in watched {
        let is_there =
            |line: &String| line.starts_with(task) && line.contains(&format!("{wait}{watched}"));
        assert!(failure.waiting.iter().any(is_there), "{watched}: {:?}", failure.waiting);
    }
}
