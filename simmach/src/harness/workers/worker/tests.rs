//! Tests a worker on a thread, through its protocol.

use crate::harness::testing::{STAND_IN, Scratch, named};
use crate::harness::workers::protocol::read;
use crate::harness::workers::worker::*;

fn start(name: &'static str, hang: Duration) -> (UnixStream, Scratch) {
    let (ours, theirs) = UnixStream::pair().expect("a socket pair can be created");
    let scratch = Scratch::new("worker");
    let folder =
        Arc::new(Folder::create(scratch.path()).expect("the temporary folder is writable"));
    let tests: &'static [_] = Box::leak(Box::new([named("krate", name)]));
    let setup = WorkerSetup { tests, run: STAND_IN, folder, hang, exit: |_| {} };
    crate::harness::spawn("worker", move || serve(&theirs, setup))
        .expect("a thread can be spawned");
    let hello = read(&mut &ours).expect("a worker says hello");
    assert!(matches!(hello, Some(FromWorker::Hello { .. })), "{hello:?}");
    (ours, scratch)
}

fn ask(socket: &UnixStream, seeds: std::ops::Range<u64>) {
    let assignments = seeds.map(|seed| Assignment {
        batch: 1,
        index: seed,
        test: 0,
        seed,
        overlay: Default::default(),
        keep: Keep::default(),
    });
    say(socket, &ToWorker::Run(assignments.collect()));
}

fn say(mut socket: &UnixStream, message: &ToWorker) {
    let bytes = protocol::frame(message).expect("the message fits into a frame");
    socket.write_all(&bytes).expect("the worker reads");
}

fn replies(socket: &UnixStream, n: usize) -> Vec<Reply> {
    let mut all = Vec::new();
    while all.len() < n {
        match read(&mut &*socket).expect("the worker replies") {
            Some(FromWorker::Finished { replies, .. }) => all.extend(replies),
            other => panic!("no replies: {other:?}"),
        }
    }
    all
}

/// A cut also applies to assignments that the worker has already received.
#[test]
fn cut_applies_to_received_assignments() {
    let (socket, _scratch) = start("takes_its_time", Duration::from_secs(60));
    ask(&socket, 0..20);
    say(&socket, &ToWorker::Cut { batch: 1, from: 3 });
    let replies = replies(&socket, 20);
    let made = replies.iter().filter(|reply| reply.outcome.is_some()).count();
    assert_eq!(made, 3);
    assert!(replies.iter().zip(0..).all(|(reply, index)| reply.index == index));
}

/// After a run that left threads behind, a worker does not execute further runs.
#[test]
fn worker_retires_after_a_run_that_left_threads() {
    let (socket, _scratch) = start("leaves_threads_at_sevens", Duration::from_secs(60));
    ask(&socket, 0..20);
    let mut made = 0;
    loop {
        let message = read(&mut &socket).expect("the worker replies");
        let Some(FromWorker::Finished { replies, retires, .. }) = message else {
            panic!("no replies: {message:?}");
        };
        made += replies.len();
        if retires {
            break;
        }
    }
    assert_eq!(made, 7);
}

/// A worker whose run hangs sends that run's outcome last.
#[test]
fn hang_is_reported_before_the_end() {
    let (socket, _scratch) = start("hangs_at_3", Duration::from_millis(100));
    ask(&socket, 0..5);
    let replies = replies(&socket, 4);
    let outcome = replies[3].outcome.as_ref().expect("the run began");
    let failure = outcome.failure().expect("the run hangs");
    assert_eq!((replies[3].index, failure.at), (3, 42));
}
