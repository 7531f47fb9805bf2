//! A worker on a thread, spoken to in its own protocol.

use crate::harness::testing::{STAND_IN, Scratch, named};
use crate::harness::workers::protocol::read;
use crate::harness::workers::worker::*;

fn start(name: &'static str, hang: Duration) -> (UnixStream, Scratch) {
    let (ours, theirs) = UnixStream::pair().expect("there are sockets");
    let scratch = Scratch::new("worker");
    let folder = Arc::new(Folder::create(scratch.path()).expect("there is room"));
    let tests: &'static [_] = Box::leak(Box::new([named("krate", name)]));
    let seat = Seat { tests, run: STAND_IN, folder, hang, leave: |_| {} };
    crate::harness::spawn("worker", move || serve(&theirs, seat)).expect("there are threads");
    let hello = read(&mut &ours).expect("a worker says hello");
    assert!(matches!(hello, Some(FromWorker::Hello { .. })), "{hello:?}");
    (ours, scratch)
}

fn ask(wire: &UnixStream, seeds: std::ops::Range<u64>) {
    let assignments = seeds.map(|seed| Assignment {
        batch: 1,
        index: seed,
        test: 0,
        seed,
        overlay: Default::default(),
        keep: Keep::default(),
    });
    say(wire, &ToWorker::Run(assignments.collect()));
}

fn say(mut wire: &UnixStream, message: &ToWorker) {
    let bytes = protocol::frame(message).expect("it is short");
    wire.write_all(&bytes).expect("it listens");
}

fn replies(wire: &UnixStream, n: usize) -> Vec<Reply> {
    let mut all = Vec::new();
    while all.len() < n {
        match read(&mut &*wire).expect("it speaks") {
            Some(FromWorker::Done { replies, .. }) => all.extend(replies),
            other => panic!("no replies: {other:?}"),
        }
    }
    all
}

/// What a worker has been given ahead is not begun once it is of no interest, even while it is at a run.
#[test]
fn a_cut_holds_for_what_it_has_already() {
    let (wire, _scratch) = start("takes_its_time", Duration::from_secs(60));
    ask(&wire, 0..20);
    say(&wire, &ToWorker::Cut { batch: 1, from: 3 });
    let replies = replies(&wire, 20);
    let made = replies.iter().filter(|reply| reply.outcome.is_some()).count();
    assert_eq!(made, 3);
    assert!(replies.iter().zip(0..).all(|(reply, index)| reply.index == index));
}

/// The last word of a worker whose run hangs is what that run came to.
#[test]
fn a_hang_is_said_before_the_end() {
    let (wire, _scratch) = start("hangs_at_3", Duration::from_millis(100));
    ask(&wire, 0..5);
    let replies = replies(&wire, 4);
    let outcome = replies[3].outcome.as_ref().expect("it was begun");
    let failure = outcome.failure().expect("it hangs");
    assert_eq!((replies[3].index, failure.at), (3, 42));
}
