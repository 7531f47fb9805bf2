//! Worker processes at work: batches are handed to them, their replies to who asked.
//!
//! Each worker has a thread of this process that serves it from its start to its end. What a worker has been given and
//! has not answered when it dies is given to the next one, but for the run that it was at: that one failed.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::harness::registry;
use crate::harness::workers::disk::{self, Mark};
use crate::harness::workers::job::Ran;
use crate::harness::workers::launch::{self, Ended, Launch, Launched, Process};
use crate::harness::workers::leave;
use crate::harness::workers::output::Output;
use crate::harness::workers::protocol::{self, FromWorker, Reply, ToWorker};
use crate::harness::workers::queue::{Batch, FEWEST_AHEAD, Given, Jobs, Queue, Worker};
use crate::outcome::Outcome;
use crate::spec::SimTest;

/// A worker that has not said hello by then never will.
const HELLO: Duration = Duration::from_secs(60);
/// The end of a process follows the end of its socket.
const FAREWELL: Duration = Duration::from_secs(2);
/// Its last words follow its end, unless something that it started still holds its output.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// So many workers may die without having begun a run before it is taken for a rule.
const EARLY_DEATHS: u32 = 3;

/// Where batches are handed to workers.
pub(crate) struct Dispatcher {
    jobs: usize,
    tests: &'static [&'static SimTest],
    launch: Launch,
    queue: Mutex<Queue>,
}

impl Dispatcher {
    /// At most so many workers; none is there yet.
    pub(crate) fn new(
        jobs: usize,
        tests: &'static [&'static SimTest],
        launch: Launch,
    ) -> Arc<Self> {
        Arc::new(Self { jobs, tests, launch, queue: Mutex::default() })
    }

    /// Takes a batch: its number, and where its runs come out.
    pub(crate) fn open(self: &Arc<Self>, mut jobs: Jobs) -> (u64, Receiver<Vec<Ran>>) {
        let (sink, results) = mpsc::channel();
        let most = jobs.size_hint().1.unwrap_or(usize::MAX);
        // Without a first one there is nothing to take a worker on for.
        let first = jobs.next();
        let mut queue = self.lock();
        let id = queue.number();
        queue.batches.push_back(Batch {
            id,
            jobs,
            next: 1,
            from: u64::MAX,
            dry: first.is_none(),
            again: first.into_iter().map(|job| (0, job)).collect(),
            out: 0,
            unacknowledged: 0,
            sink,
        });
        if queue.broken.is_some() {
            queue.fail_all();
        }
        let busy = queue.workers.values().filter(|worker| !worker.out.is_empty());
        let wanted = busy.count().saturating_add(most).min(self.jobs);
        self.fill_all(&mut queue);
        while queue.workers.len() < wanted && !queue.batches.is_empty() {
            self.start_worker(&mut queue);
        }
        (id, results)
    }

    /// Ends all workers, also those that are not ready yet: nobody waits for a run any more.
    pub(crate) fn dismiss(&self) {
        let mut queue = self.lock();
        queue.dismissed = true;
        for batch in &mut queue.batches {
            batch.from = 0;
            batch.again.clear();
        }
        for worker in queue.workers.values() {
            worker.dismiss();
        }
    }

    /// That many messages of a batch have been looked at: more of its runs may be given to workers.
    pub(crate) fn acknowledge(&self, id: u64, messages: usize) {
        let mut queue = self.lock();
        if let Some(batch) = queue.batches.iter_mut().find(|batch| batch.id == id) {
            batch.unacknowledged = batch.unacknowledged.saturating_sub(messages);
            self.fill_all(&mut queue);
        }
    }

    /// Begins none of a batch from this place on.
    pub(crate) fn cut(&self, id: u64, from: u64) {
        let mut queue = self.lock();
        let queue = &mut *queue;
        let Some(batch) = queue.batches.iter_mut().find(|batch| batch.id == id) else {
            return;
        };
        batch.from = batch.from.min(from);
        batch.again.retain(|index, _| *index < from);
        for worker in queue.workers.values_mut() {
            let concerned = |given: &Given| given.batch == id && given.index >= from;
            if worker.out.iter().any(concerned) {
                worker.send(&ToWorker::Cut { batch: id, from });
            }
        }
        queue.close_batches();
    }

    /// What is being run now.
    pub(crate) fn running(&self) -> Vec<(&'static SimTest, u64)> {
        let queue = self.lock();
        let current = queue.workers.values().filter_map(|worker| {
            let given = worker.current().or(worker.out.front())?;
            Some((given.job.test, given.job.seed))
        });
        current.collect()
    }

    /// Takes on another worker, on a thread that serves it to its end.
    fn start_worker(self: &Arc<Self>, queue: &mut Queue) {
        let id = queue.number();
        queue.workers.insert(id, Worker::default());
        let dispatcher = Arc::clone(self);
        if let Err(error) = crate::harness::spawn("dispatcher", move || dispatcher.serve(id)) {
            queue.workers.remove(&id);
            queue.give_up(format!("a thread can't be started: {error}"));
        }
    }

    fn serve(self: &Arc<Self>, id: u64) {
        let started =
            (self.launch.start)(self.launch.shows).and_then(|launched| self.handshake(launched));
        let (launched, folder) = match started {
            Ok(started) => started,
            Err(why) => {
                let mut queue = self.lock();
                queue.workers.remove(&id);
                return queue.give_up(why);
            }
        };
        let Launched { wire, mut process, output } = launched;
        process.settled(folder.clone());
        match wire.try_clone() {
            Ok(wire) => self.ready(id, wire, folder),
            Err(error) => eprintln!("simmach: a worker's socket can't be doubled: {error}"),
        }
        let mut reader = BufReader::new(&wire);
        let mut framed = 0;
        while let Ok(Some(FromWorker::Done { nanos, replies })) = protocol::read(&mut reader) {
            if self.launch.shows {
                // What the runs wrote is shown before anything is made of their outcomes.
                framed += replies.iter().filter(|reply| reply.outcome.is_some()).count() as u64;
                output.reach(framed, LAST_WORDS);
            }
            if !self.done(id, nanos, replies, &output) {
                break;
            }
        }
        // A worker that still lives has broken the protocol: without a socket it goes.
        let _ = wire.shutdown(std::net::Shutdown::Both);
        self.ended(id, process, &output);
    }

    /// Waits for a worker's hello.
    fn handshake(&self, mut launched: Launched) -> Result<(Launched, PathBuf), String> {
        let wire = &launched.wire;
        // An error leaves us without a limit, which only a broken worker needs.
        let _ = wire.set_read_timeout(Some(HELLO));
        let hello = protocol::read(&mut &*wire);
        let _ = wire.set_read_timeout(None);
        let why = match hello {
            Ok(Some(FromWorker::Hello { digest, folder })) => {
                if digest == registry::digest(self.tests) {
                    return Ok((launched, PathBuf::from(folder)));
                }
                "it has other tests than this process".to_owned()
            }
            Ok(Some(FromWorker::Unfit(why))) => return Err(why),
            Ok(Some(FromWorker::Done { .. })) => "it speaks out of turn".to_owned(),
            Ok(None) | Err(_) => {
                let ended = launched.process.end(FAREWELL);
                let words = launched.output.last_words(LAST_WORDS);
                let words = String::from_utf8_lossy(&words);
                format!("it ended before it served ({ended}); it wrote:\n{}", words.trim())
            }
        };
        launched.process.end(Duration::ZERO);
        Err(format!("a worker process can't be used: {why}"))
    }

    fn ready(&self, id: u64, wire: UnixStream, folder: PathBuf) {
        let mut queue = self.lock();
        if let Some(worker) = queue.workers.get_mut(&id) {
            worker.wire = Some(wire);
            worker.folder = folder;
            worker.ahead = FEWEST_AHEAD;
        }
        if queue.dismissed
            && let Some(worker) = queue.workers.get(&id)
        {
            worker.dismiss();
        }
        self.fill(&mut queue, id);
        queue.close_batches();
    }

    /// Takes a worker's replies and gives it more; false when they are none of what it was asked.
    fn done(&self, id: u64, nanos: u64, replies: Vec<Reply>, output: &Output) -> bool {
        let Some(given) = self.lock().take_back(id, nanos, &replies) else {
            return false;
        };
        let mut ran: BTreeMap<u64, (usize, Vec<Ran>)> = BTreeMap::new();
        for (given, reply) in given.iter().zip(replies) {
            let (count, ran) = ran.entry(given.batch).or_default();
            *count += 1;
            let Some(outcome) = reply.outcome else {
                continue;
            };
            let (batch, index) = (given.batch, given.index);
            let output = match given.job.keep.log {
                true => output.of(Mark { batch, index }, LAST_WORDS),
                false => Vec::new(),
            };
            ran.push(Ran { index, outcome, output });
        }
        let mut queue = self.lock();
        queue.early_deaths = 0;
        for (batch, (count, ran)) in ran {
            queue.deliver(batch, count, ran);
        }
        self.fill(&mut queue, id);
        queue.close_batches();
        true
    }

    /// A worker is gone: the run that it was at failed, the others are for the next one.
    fn ended(self: &Arc<Self>, id: u64, mut process: Box<dyn Process>, output: &Output) {
        if launch::is_closed() {
            launch::wait_for_the_end();
        }
        let ended = process.end(leave::patience(FAREWELL));
        let words = output.last_words(LAST_WORDS);
        let mut queue = self.lock();
        let Some(mut worker) = queue.workers.remove(&id) else {
            return;
        };
        let victim = worker.current().map(|given| (given.batch, given.index));
        // The folder goes with it, only now that its mark has been read.
        disk::remove(&worker.folder);
        drop(process);
        if victim.is_none() && !worker.out.is_empty() {
            queue.early_deaths += 1;
        }
        for given in worker.out.drain(..) {
            if victim == Some((given.batch, given.index)) {
                let ran = crash(&given, ended, &words);
                queue.deliver(given.batch, 1, vec![ran]);
            } else {
                queue.put_back(given);
            }
        }
        if queue.early_deaths >= EARLY_DEATHS {
            let words = String::from_utf8_lossy(&words);
            let why = format!(
                "worker processes die before they begin a run ({ended}); the last wrote:\n{}",
                words.trim()
            );
            return queue.give_up(why);
        }
        self.fill_all(&mut queue);
        queue.close_batches();
        if !queue.batches.is_empty() && queue.workers.len() < self.jobs {
            self.start_worker(&mut queue);
        }
    }

    fn fill_all(&self, queue: &mut Queue) {
        let ids: Vec<u64> = queue.workers.keys().copied().collect();
        for id in ids {
            self.fill(queue, id);
        }
        queue.close_batches();
    }

    /// Gives a worker as much as it may have ahead.
    fn fill(&self, queue: &mut Queue, id: u64) {
        let Some(mut worker) = queue.workers.remove(&id) else {
            return;
        };
        let mut assignments = Vec::new();
        while worker.wire.is_some() && worker.out.len() < worker.ahead {
            let Some(given) = queue.draw() else { break };
            match registry::number(self.tests, given.job.test) {
                Some(test) => {
                    assignments.push(given.assignment(test));
                    worker.out.push_back(given);
                }
                None => {
                    let why = "the test is not in this binary's registry".to_owned();
                    let ran = Ran::broken(given.index, given.job.seed, why);
                    queue.deliver(given.batch, 1, vec![ran]);
                }
            }
        }
        if !assignments.is_empty() {
            worker.send(&ToWorker::Run(assignments));
        }
        queue.workers.insert(id, worker);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatcher").field("jobs", &self.jobs).finish_non_exhaustive()
    }
}

fn crash(given: &Given, ended: Ended, words: &[u8]) -> Ran {
    Ran {
        index: given.index,
        outcome: Outcome::crashed(given.job.seed, ended.story(words)),
        output: words.to_vec(),
    }
}
