//! Who makes the runs: worker processes, or this process when one job is enough.
//!
//! What is asked for is a *batch*: a sequence of runs, drawn as they are needed. Outcomes come back in any order with
//! their place in the sequence, and the batch can be cut: from that place on none is begun any more. A sweep cuts behind
//! the lowest failing seed, a shrinker behind the first candidate that still fails; neither depends on how many jobs
//! there are. Several tests ask at once and take turns.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::disk::{self, Mark};
use super::here::{Here, Local};
use super::launch::{self, Ended, Launch, Launched, Process};
use super::output::Output;
use super::protocol::{self, Assignment, FromWorker, Reply, ToWorker};
use super::registry;
use crate::engine::overlay::Overlay;
use crate::engine::verdict::Verdict;
use crate::outcome::{Keep, Outcome};
use crate::spec::SimTest;

/// A worker that has not said hello by then never will.
const HELLO: Duration = Duration::from_secs(60);
/// The end of a process follows the end of its socket.
const FAREWELL: Duration = Duration::from_secs(2);
/// Its last words follow its end, unless something that it started still holds its output.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// A worker is given so much work ahead that the socket's time does not matter, and no more.
const AHEAD: Duration = Duration::from_millis(10);
const FEWEST_AHEAD: usize = 2;
const MOST_AHEAD: usize = 256;
/// So many workers may die without having begun a run before it is taken for a rule.
const EARLY_DEATHS: u32 = 3;

/// One run to make.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) test: &'static SimTest,
    pub(crate) seed: u64,
    pub(crate) overlay: Overlay,
    pub(crate) keep: Keep,
}

/// One run made.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its place in the batch.
    pub(crate) index: u64,
    pub(crate) outcome: Outcome,
    /// What it wrote to standard output and error, where its log was asked for or its process died.
    pub(crate) output: Vec<u8>,
}

/// The runs of one batch, as they come.
#[derive(Debug)]
pub(crate) struct Runs(Source);

#[derive(Debug)]
enum Source {
    Workers { office: Arc<Office>, batch: u64, results: Receiver<Vec<Ran>> },
    Here(Here),
}

/// What a wait for runs brought.
#[derive(Debug)]
pub(crate) enum Next {
    /// Some.
    Ran(Vec<Ran>),
    /// None yet.
    Nothing,
    /// All are here.
    End,
}

/// The jobs of this process.
#[derive(Debug)]
pub(crate) enum Pool {
    /// Made by worker processes.
    Workers(Arc<Office>),
    /// Made by this process, one at a time.
    Here(Local),
}

impl Pool {
    /// Worker processes, at most so many; none is started yet.
    pub(crate) fn workers(jobs: usize, tests: &'static [&'static SimTest], launch: Launch) -> Self {
        Self::Workers(Arc::new(Office { jobs, tests, launch, state: Mutex::default() }))
    }

    /// Makes one run.
    pub(crate) fn run(&self, job: Job) -> Ran {
        let seed = job.seed;
        let mut runs = self.runs(std::iter::once(job));
        loop {
            match runs.next(Duration::MAX) {
                Next::Ran(ran) => {
                    if let Some(ran) = ran.into_iter().next() {
                        return ran;
                    }
                }
                Next::Nothing => {}
                Next::End => return Ran::broken(0, seed, "the run was lost".to_owned()),
            }
        }
    }

    /// Makes many.
    pub(crate) fn runs(&self, jobs: impl Iterator<Item = Job> + Send + 'static) -> Runs {
        match self {
            Self::Workers(office) => office.open(Box::new(jobs)),
            Self::Here(local) => Runs(Source::Here(Here::new(local.clone(), Box::new(jobs)))),
        }
    }

    /// What is being run now.
    pub(crate) fn running(&self) -> Vec<(&'static SimTest, u64)> {
        match self {
            Self::Workers(office) => office.running(),
            Self::Here(local) => local.running(),
        }
    }
}

impl Runs {
    /// Waits for more, so long.
    pub(crate) fn next(&mut self, patience: Duration) -> Next {
        match &mut self.0 {
            Source::Workers { results, .. } => match results.recv_timeout(patience) {
                Ok(ran) => Next::Ran(ran),
                Err(RecvTimeoutError::Timeout) => Next::Nothing,
                Err(RecvTimeoutError::Disconnected) => Next::End,
            },
            Source::Here(here) => here.next(),
        }
    }

    /// From this place on none is begun any more. Outcomes of such that were begun before still come.
    pub(crate) fn cut(&mut self, from: u64) {
        match &mut self.0 {
            Source::Workers { office, batch, .. } => office.cut(*batch, from),
            Source::Here(here) => here.cut(from),
        }
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        self.cut(0);
    }
}

impl Ran {
    pub(super) fn broken(index: u64, seed: u64, why: String) -> Self {
        Self {
            index,
            outcome: Outcome::without_a_run(seed, Verdict::Broken(why)),
            output: Vec::new(),
        }
    }
}

/// Where batches are handed to workers.
pub(crate) struct Office {
    jobs: usize,
    tests: &'static [&'static SimTest],
    launch: Launch,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Those that are not over; the first is next to be drawn from.
    batches: VecDeque<Batch>,
    desks: BTreeMap<u64, Desk>,
    /// Numbers batches and desks.
    next: u64,
    early_deaths: u32,
    /// No worker can be had, and why.
    broken: Option<String>,
}

struct Batch {
    id: u64,
    jobs: Box<dyn Iterator<Item = Job> + Send>,
    next: u64,
    /// From this place on none is begun.
    from: u64,
    /// Those whose worker died before they were begun, or before their reply was sent.
    again: BTreeMap<u64, Job>,
    /// How many are with the workers.
    out: usize,
    dry: bool,
    sink: Sender<Vec<Ran>>,
}

/// One worker's.
#[derive(Default)]
struct Desk {
    /// `None` until it has said hello.
    wire: Option<UnixStream>,
    folder: PathBuf,
    /// What it has been given, in order.
    out: VecDeque<Given>,
    ahead: usize,
    /// The mean of its runs, in nanoseconds.
    mean: f64,
}

struct Given {
    batch: u64,
    index: u64,
    job: Job,
}

impl Office {
    fn open(self: &Arc<Self>, mut jobs: Box<dyn Iterator<Item = Job> + Send>) -> Runs {
        let (sink, results) = mpsc::channel();
        let most = jobs.size_hint().1.unwrap_or(usize::MAX);
        // Without a first one there is nothing to take a worker on for.
        let first = jobs.next();
        let mut state = self.lock();
        let id = state.number();
        state.batches.push_back(Batch {
            id,
            jobs,
            next: 1,
            from: u64::MAX,
            dry: first.is_none(),
            again: first.into_iter().map(|job| (0, job)).collect(),
            out: 0,
            sink,
        });
        if state.broken.is_some() {
            state.fail_all();
        }
        let busy = state.desks.values().filter(|desk| !desk.out.is_empty());
        let wanted = busy.count().saturating_add(most).min(self.jobs);
        self.fill_all(&mut state);
        while state.desks.len() < wanted && !state.batches.is_empty() {
            self.hire(&mut state);
        }
        Runs(Source::Workers { office: Arc::clone(self), batch: id, results })
    }

    fn cut(&self, id: u64, from: u64) {
        let mut state = self.lock();
        let state = &mut *state;
        let Some(batch) = state.batches.iter_mut().find(|batch| batch.id == id) else {
            return;
        };
        batch.from = batch.from.min(from);
        batch.again.retain(|index, _| *index < from);
        for desk in state.desks.values_mut() {
            let concerned = |given: &Given| given.batch == id && given.index >= from;
            if desk.out.iter().any(concerned) {
                desk.send(&ToWorker::Cut { batch: id, from });
            }
        }
        state.close_batches();
    }

    fn running(&self) -> Vec<(&'static SimTest, u64)> {
        let state = self.lock();
        let current = state.desks.values().filter_map(|desk| {
            let given = desk.current().or(desk.out.front())?;
            Some((given.job.test, given.job.seed))
        });
        current.collect()
    }

    /// Takes on another worker, on a thread that serves it to its end.
    fn hire(self: &Arc<Self>, state: &mut State) {
        let id = state.number();
        state.desks.insert(id, Desk::default());
        let office = Arc::clone(self);
        if let Err(error) = super::spawn("keeper", move || office.keep(id)) {
            state.desks.remove(&id);
            state.give_up(format!("a thread can't be started: {error}"));
        }
    }

    fn keep(self: &Arc<Self>, id: u64) {
        let started = (self.launch.start)().and_then(|launched| self.greet(launched));
        let (launched, folder) = match started {
            Ok(started) => started,
            Err(why) => {
                let mut state = self.lock();
                state.desks.remove(&id);
                return state.give_up(why);
            }
        };
        let Launched { wire, mut process, output } = launched;
        process.settled(folder.clone());
        match wire.try_clone() {
            Ok(wire) => self.seat(id, wire, folder),
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
        self.bury(id, process, &output);
    }

    /// Waits for a worker's hello.
    fn greet(&self, mut launched: Launched) -> Result<(Launched, PathBuf), String> {
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

    fn seat(&self, id: u64, wire: UnixStream, folder: PathBuf) {
        let mut state = self.lock();
        if let Some(desk) = state.desks.get_mut(&id) {
            desk.wire = Some(wire);
            desk.folder = folder;
            desk.ahead = FEWEST_AHEAD;
        }
        self.fill(&mut state, id);
        state.close_batches();
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
                Some(_) => output.of(Mark { batch, index }, LAST_WORDS),
                None => Vec::new(),
            };
            ran.push(Ran { index, outcome, output });
        }
        let mut state = self.lock();
        state.early_deaths = 0;
        for (batch, (count, ran)) in ran {
            state.deliver(batch, count, ran);
        }
        self.fill(&mut state, id);
        state.close_batches();
        true
    }

    /// A worker is gone: the run that it was at failed, the others are for the next one.
    fn bury(self: &Arc<Self>, id: u64, mut process: Box<dyn Process>, output: &Output) {
        if launch::is_closed() {
            launch::wait_for_the_end();
        }
        let ended = process.end(FAREWELL);
        let words = output.last_words(LAST_WORDS);
        let mut state = self.lock();
        let Some(mut desk) = state.desks.remove(&id) else {
            return;
        };
        let victim = desk.current().map(|given| (given.batch, given.index));
        // The folder goes with it, only now that its mark has been read.
        disk::remove(&desk.folder);
        drop(process);
        if victim.is_none() && !desk.out.is_empty() {
            state.early_deaths += 1;
        }
        for given in desk.out.drain(..) {
            if victim == Some((given.batch, given.index)) {
                let ran = crash(&given, ended, &words);
                state.deliver(given.batch, 1, vec![ran]);
            } else {
                state.put_back(given);
            }
        }
        if state.early_deaths >= EARLY_DEATHS {
            let words = String::from_utf8_lossy(&words);
            let why = format!(
                "worker processes die before they begin a run ({ended}); the last wrote:\n{}",
                words.trim()
            );
            return state.give_up(why);
        }
        self.fill_all(&mut state);
        state.close_batches();
        if !state.batches.is_empty() && state.desks.len() < self.jobs {
            self.hire(&mut state);
        }
    }

    fn fill_all(&self, state: &mut State) {
        let ids: Vec<u64> = state.desks.keys().copied().collect();
        for id in ids {
            self.fill(state, id);
        }
        state.close_batches();
    }

    /// Gives a worker as much as it may have ahead.
    fn fill(&self, state: &mut State, id: u64) {
        let Some(mut desk) = state.desks.remove(&id) else {
            return;
        };
        let mut assignments = Vec::new();
        while desk.wire.is_some() && desk.out.len() < desk.ahead {
            let Some(given) = state.draw() else { break };
            match registry::number(self.tests, given.job.test) {
                Some(test) => {
                    assignments.push(given.assignment(test));
                    desk.out.push_back(given);
                }
                None => {
                    let why = "the test is not in this binary's registry".to_owned();
                    let ran = Ran::broken(given.index, given.job.seed, why);
                    state.deliver(given.batch, 1, vec![ran]);
                }
            }
        }
        if !assignments.is_empty() {
            desk.send(&ToWorker::Run(assignments));
        }
        state.desks.insert(id, desk);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Office {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Office").field("jobs", &self.jobs).finish_non_exhaustive()
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The next run to make: the batches take turns.
    fn draw(&mut self) -> Option<Given> {
        for _ in 0..self.batches.len() {
            self.batches.rotate_left(1);
            if let Some(batch) = self.batches.back_mut()
                && let Some((index, job)) = batch.draw()
            {
                batch.out += 1;
                return Some(Given { batch: batch.id, index, job });
            }
        }
        None
    }

    /// What the worker had been given that these are the replies to; `None` when they are not.
    fn take_back(&mut self, id: u64, nanos: u64, replies: &[Reply]) -> Option<Vec<Given>> {
        let desk = self.desks.get_mut(&id)?;
        let matches = replies.len() <= desk.out.len()
            && desk
                .out
                .iter()
                .zip(replies)
                .all(|(given, reply)| (given.batch, given.index) == (reply.batch, reply.index));
        if !matches {
            return None;
        }
        let made = replies.iter().filter(|reply| reply.outcome.is_some());
        desk.learn(nanos, made.count());
        Some(desk.out.drain(..replies.len()).collect())
    }

    /// Hands outcomes to who asked; `count` runs are with the workers no more.
    fn deliver(&mut self, id: u64, count: usize, ran: Vec<Ran>) {
        if let Some(batch) = self.batches.iter_mut().find(|batch| batch.id == id) {
            batch.out = batch.out.saturating_sub(count);
            if !ran.is_empty() && batch.sink.send(ran).is_err() {
                batch.from = 0;
                batch.again.clear();
            }
        }
    }

    fn put_back(&mut self, given: Given) {
        if let Some(batch) = self.batches.iter_mut().find(|batch| batch.id == given.batch) {
            batch.out = batch.out.saturating_sub(1);
            if given.index < batch.from {
                batch.again.insert(given.index, given.job);
            }
        }
    }

    /// Those that are over: who waits for them sees the end.
    fn close_batches(&mut self) {
        self.batches.retain_mut(|batch| !batch.is_over());
    }

    /// A worker can't be had. While there are others they do the work.
    fn give_up(&mut self, why: String) {
        if self.desks.is_empty() {
            self.broken = Some(why);
            self.fail_all();
        }
    }

    fn fail_all(&mut self) {
        let why = self.broken.clone().unwrap_or_default();
        for mut batch in std::mem::take(&mut self.batches) {
            if let Some((index, job)) = batch.draw() {
                // Nobody may be waiting any more.
                let _ = batch.sink.send(vec![Ran::broken(index, job.seed, why.clone())]);
            }
        }
    }
}

impl Batch {
    fn draw(&mut self) -> Option<(u64, Job)> {
        if let Some(again) = self.again.pop_first() {
            return Some(again);
        }
        if self.dry || self.next >= self.from {
            return None;
        }
        let Some(job) = self.jobs.next() else {
            self.dry = true;
            return None;
        };
        let index = self.next;
        self.next += 1;
        Some((index, job))
    }

    fn is_over(&self) -> bool {
        self.out == 0 && self.again.is_empty() && (self.dry || self.next >= self.from)
    }
}

impl Desk {
    /// The run that the worker has written down as begun, if its reply has not come.
    fn current(&self) -> Option<&Given> {
        let mark = disk::mark_in(&self.folder)?;
        self.out.iter().find(|given| (given.batch, given.index) == (mark.batch, mark.index))
    }

    /// How much it is given ahead follows from how long its runs take.
    fn learn(&mut self, nanos: u64, made: usize) {
        if made == 0 {
            return;
        }
        let mean = nanos as f64 / made as f64;
        self.mean = if self.mean == 0.0 { mean } else { self.mean * 0.75 + mean * 0.25 };
        let ahead = AHEAD.as_nanos() as f64 / self.mean.max(1.0);
        self.ahead = (ahead as usize).clamp(FEWEST_AHEAD, MOST_AHEAD);
    }

    fn send(&mut self, message: &ToWorker) {
        if let Some(wire) = &mut self.wire {
            // When it fails the worker is gone, which its keeper sees.
            let _ = protocol::frame(message).and_then(|bytes| wire.write_all(&bytes));
        }
    }
}

impl Given {
    fn assignment(&self, test: u32) -> Assignment {
        Assignment {
            batch: self.batch,
            index: self.index,
            test,
            seed: self.job.seed,
            overlay: self.job.overlay.clone(),
            keep: self.job.keep,
        }
    }
}

fn crash(given: &Given, ended: Ended, words: &[u8]) -> Ran {
    Ran {
        index: given.index,
        outcome: Outcome::crashed(given.job.seed, ended.story(words)),
        output: words.to_vec(),
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
