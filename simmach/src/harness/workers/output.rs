//! What a worker writes to its standard output and error: held back, the last of it kept, told apart by run.
//!
//! Both go through one pipe to the parent, in order, so that what a crashing worker says last is not lost. A worker that
//! makes a run which is to be reported frames its output with marks; what comes before the first mark is libtest's.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::harness::workers::disk::Mark;

/// How much of it is kept.
const KEPT: usize = 64 << 10;
/// Of how many framed runs: more than one where several tests share a worker.
const FRAMED: usize = 8;
/// A mark is this, a word, and another NUL.
const OPEN: &[u8] = b"\0simmach:";
/// No mark is longer: what looks like one and is not is output.
const LONGEST_MARK: usize = 64;

/// The output of one worker process.
#[derive(Debug, Default)]
pub(crate) struct Output {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The last bytes since the last mark.
    kept: Vec<u8>,
    /// True inside a framed run: not while libtest speaks, nor in a run that is thrown away.
    framed: bool,
    /// The framed runs whose output is over, the newest last.
    finished: VecDeque<(Mark, Vec<u8>)>,
    /// How many there were.
    ends: u64,
    ended: bool,
}

/// The marks, as the worker writes them.
pub(crate) enum Sign {
    /// The worker begins to serve.
    Serve,
    /// A run begins that is to be reported.
    Begin(Mark),
    /// It is over.
    End(Mark),
}

impl Output {
    /// That of a worker which has none.
    #[cfg(test)]
    pub(crate) fn ended() -> Self {
        let output = Self::default();
        output.lock().ended = true;
        output
    }

    /// Reads to the end on a thread of its own. What is seen is passed on to standard output too, if asked.
    pub(crate) fn follow(self: &Arc<Self>, mut pipe: impl Read + Send + 'static, pass_on: bool) {
        let output = Arc::clone(self);
        let reading = crate::harness::spawn("output", move || {
            let mut scanner = Scanner::default();
            let mut buffer = [0; 8 << 10];
            loop {
                match pipe.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(n) => {
                        scanner.push(&buffer[..n], &mut |part| output.take_part(part, pass_on))
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            scanner.end(&mut |part| output.take_part(part, pass_on));
            output.lock().ended = true;
            output.changed.notify_all();
        });
        if reading.is_err() {
            self.lock().ended = true;
        }
    }

    /// What the framed run wrote, once all of it is here; what there is when it takes too long.
    pub(crate) fn of(&self, mark: Mark, patience: Duration) -> Vec<u8> {
        let arrived = |state: &mut State| {
            !state.ended && state.finished.iter().all(|(seen, _)| *seen != mark)
        };
        let (state, _) = self
            .changed
            .wait_timeout_while(self.lock(), patience, arrived)
            .unwrap_or_else(PoisonError::into_inner);
        let found = state.finished.iter().find(|(seen, _)| *seen == mark);
        found.map(|(_, bytes)| bytes.clone()).unwrap_or_default()
    }

    /// Waits until so many framed runs are over as far as their output goes, not for ever.
    pub(crate) fn reach(&self, ends: u64, patience: Duration) {
        let waiting = |state: &mut State| !state.ended && state.ends < ends;
        // Whether it came or took too long: what is there has been shown.
        let _ = self.changed.wait_timeout_while(self.lock(), patience, waiting);
    }

    /// The last that a worker wrote which is gone.
    pub(crate) fn last_words(&self, patience: Duration) -> Vec<u8> {
        let (state, _) = self
            .changed
            .wait_timeout_while(self.lock(), patience, |state| !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        state.kept.clone()
    }

    fn take_part(&self, part: Part<'_>, pass_on: bool) {
        match part {
            Part::Bytes(bytes) => {
                let framed = self.lock().keep(bytes);
                if pass_on && framed {
                    // Nobody is left to tell if standard output is gone.
                    let _ = io::stdout().write_all(bytes);
                    let _ = io::stdout().flush();
                }
            }
            Part::Sign(sign @ (Sign::Serve | Sign::Begin(_))) => {
                let mut state = self.lock();
                state.kept.clear();
                state.framed = matches!(sign, Sign::Begin(_));
            }
            Part::Sign(Sign::End(mark)) => {
                let mut state = self.lock();
                let bytes = std::mem::take(&mut state.kept);
                state.framed = false;
                state.finished.push_back((mark, bytes));
                state.ends += 1;
                if state.finished.len() > FRAMED {
                    state.finished.pop_front();
                }
                self.changed.notify_all();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn keep(&mut self, bytes: &[u8]) -> bool {
        self.kept.extend_from_slice(bytes);
        if self.kept.len() > 2 * KEPT {
            self.kept.drain(..self.kept.len() - KEPT);
        }
        self.framed
    }
}

impl Sign {
    /// As it is written.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let word = match self {
            Self::Serve => "serve".to_owned(),
            Self::Begin(Mark { batch, index }) => format!("begin:{batch}:{index}"),
            Self::End(Mark { batch, index }) => format!("end:{batch}:{index}"),
        };
        [OPEN, word.as_bytes(), b"\0"].concat()
    }

    fn read(word: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(word).ok()?.split(':');
        let name = parts.next()?;
        let mut number = || parts.next()?.parse::<u64>().ok();
        let sign = match name {
            "serve" => Self::Serve,
            "begin" | "end" => {
                let (batch, index) = (number()?, number()?);
                let mark = Mark { batch, index };
                if name == "begin" { Self::Begin(mark) } else { Self::End(mark) }
            }
            _ => return None,
        };
        Some(sign)
    }
}

/// Takes the stream apart, however it is cut into pieces.
#[derive(Debug, Default)]
struct Scanner {
    /// What may be the beginning of a mark.
    pending: Vec<u8>,
}

enum Part<'a> {
    Bytes(&'a [u8]),
    Sign(Sign),
}

impl Scanner {
    fn push(&mut self, bytes: &[u8], take: &mut dyn FnMut(Part<'_>)) {
        self.pending.extend_from_slice(bytes);
        let pending = std::mem::take(&mut self.pending);
        let mut rest = pending.as_slice();
        while !rest.is_empty() {
            let plain = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
            if plain > 0 {
                take(Part::Bytes(&rest[..plain]));
                rest = &rest[plain..];
                continue;
            }
            match mark_at(rest) {
                At::Mark(length, sign) => {
                    take(Part::Sign(sign));
                    rest = &rest[length..];
                }
                At::Open => break,
                At::Nothing => {
                    take(Part::Bytes(&rest[..1]));
                    rest = &rest[1..];
                }
            }
        }
        self.pending = rest.to_vec();
    }

    fn end(&mut self, take: &mut dyn FnMut(Part<'_>)) {
        let rest = std::mem::take(&mut self.pending);
        if !rest.is_empty() {
            take(Part::Bytes(&rest));
        }
    }
}

enum At {
    Mark(usize, Sign),
    /// It may become one.
    Open,
    Nothing,
}

fn mark_at(bytes: &[u8]) -> At {
    let compared = bytes.len().min(OPEN.len());
    if bytes[..compared] != OPEN[..compared] {
        return At::Nothing;
    }
    let word = &bytes[compared..];
    match word.iter().position(|byte| *byte == 0) {
        Some(end) => match Sign::read(&word[..end]) {
            Some(sign) => At::Mark(OPEN.len() + end + 1, sign),
            None => At::Nothing,
        },
        None if bytes.len() < LONGEST_MARK => At::Open,
        None => At::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MARK: Mark = Mark { batch: 4, index: 17 };
    const PATIENCE: Duration = Duration::from_secs(5);

    fn framed(before: &[u8], inside: &[u8], after: &[u8]) -> Vec<u8> {
        let (begin, end) = (Sign::Begin(MARK).bytes(), Sign::End(MARK).bytes());
        [&Sign::Serve.bytes(), before, &begin, inside, &end, after].concat()
    }

    #[test]
    fn the_output_of_a_framed_run_is_its_own() {
        let output = Arc::new(Output::default());
        let bytes = framed(b"of another run\n", b"hello\n", b"later\n");
        output.follow(io::Cursor::new(bytes), false);
        assert_eq!(output.of(MARK, PATIENCE), b"hello\n");
        assert_eq!(output.last_words(PATIENCE), b"later\n");
        let other = Mark { batch: 4, index: 18 };
        assert_eq!(output.of(other, PATIENCE), b"");
    }

    #[test]
    fn what_looks_like_a_mark_and_is_none_is_output() {
        let odd = b"\0simmach:begin:x\0 \0simmach:nothing\0 \0";
        let output = Arc::new(Output::default());
        output.follow(io::Cursor::new(framed(b"", odd, b"")), false);
        assert_eq!(output.of(MARK, PATIENCE), odd);
    }

    #[test]
    fn no_more_than_the_last_is_kept() {
        let output = Arc::new(Output::default());
        output.follow(io::repeat(b'x').take(10 << 20).chain(&b"end"[..]), false);
        let last = output.last_words(PATIENCE);
        assert!(last.len() <= 2 * KEPT && last.ends_with(b"end"));
    }

    proptest! {
        #[test]
        fn pieces_of_any_length_make_the_same(inside in "(\0|simmach:|end:x|[a-c]){0,12}", cuts in prop::collection::vec(1..9usize, 1..200)) {
            let bytes = framed(b"x", inside.as_bytes(), b"y");
            let output = Arc::new(Output::default());
            let mut scanner = Scanner::default();
            let (mut rest, mut cuts) = (bytes.as_slice(), cuts.iter().cycle());
            while !rest.is_empty() {
                let at = rest.len().min(*cuts.next().expect("it goes round"));
                scanner.push(&rest[..at], &mut |part| output.take_part(part, false));
                rest = &rest[at..];
            }
            scanner.end(&mut |part| output.take_part(part, false));
            prop_assert_eq!(output.of(MARK, Duration::ZERO), inside.as_bytes());
        }
    }
}
