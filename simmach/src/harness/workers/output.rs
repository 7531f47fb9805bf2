//! The standard output and error of a worker process: captured, truncated to the last part, and
//! split by run.
//!
//! Both streams go through one pipe to the parent, in order, so that the last output of a crashing
//! worker is not lost. The worker writes markers around the output of runs that are to be reported.
//! Output before the first marker belongs to libtest.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::harness::workers::disk::JobId;

/// Number of bytes that are kept per run.
const MAX_KEPT: usize = 64 << 10;
/// Number of framed runs whose output is kept. The number is greater than one, since several tests
/// share a worker.
const MAX_FINISHED: usize = 8;
/// The beginning of a marker. A word and another NUL follow.
const MARKER_PREFIX: &[u8] = b"\0simmach:";
/// Maximum length of a marker in bytes; anything longer is output.
const MAX_MARKER_LENGTH: usize = 64;

/// The output of one worker process.
#[derive(Debug, Default)]
pub(crate) struct WorkerOutput {
    state: Mutex<OutputState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct OutputState {
    /// The last bytes since the last marker.
    kept: Vec<u8>,
    /// Whether a framed run is in progress. False for libtest's output and for discarded runs.
    framed: bool,
    /// Output of finished framed runs, the newest last.
    finished: VecDeque<(JobId, Vec<u8>)>,
    /// Number of framed runs that have finished.
    ends: u64,
    ended: bool,
}

/// The markers that a worker writes.
pub(crate) enum Marker {
    /// The worker is ready.
    Serve,
    /// A framed run begins.
    Begin(JobId),
    /// A framed run ends.
    End(JobId),
}

impl WorkerOutput {
    /// Creates the output of a worker that writes nothing.
    #[cfg(test)]
    pub(crate) fn ended() -> Self {
        let output = Self::default();
        output.lock().ended = true;
        output
    }

    /// Reads the pipe to its end on a thread of its own. With `pass_on`, also copies framed output to standard output.
    pub(crate) fn follow(self: &Arc<Self>, mut pipe: impl Read + Send + 'static, pass_on: bool) {
        let output = Arc::clone(self);
        let reading = crate::harness::spawn("output", move || {
            let mut scanner = Scanner::default();
            let mut buffer = [0; 8 << 10];
            loop {
                match pipe.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(n) => {
                        scanner.push(&buffer[..n], &mut |part| output.handle_part(part, pass_on))
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            scanner.end(&mut |part| output.handle_part(part, pass_on));
            output.lock().ended = true;
            output.changed.notify_all();
        });
        if reading.is_err() {
            self.lock().ended = true;
        }
    }

    /// Output of a framed run. Waits for its end marker, at most `timeout`; empty if that does not arrive.
    pub(crate) fn of_run(&self, job_id: JobId, timeout: Duration) -> Vec<u8> {
        let arrived = |state: &mut OutputState| {
            !state.ended && state.finished.iter().all(|(seen, _)| *seen != job_id)
        };
        let (state, _) = self
            .changed
            .wait_timeout_while(self.lock(), timeout, arrived)
            .unwrap_or_else(PoisonError::into_inner);
        let found = state.finished.iter().find(|(seen, _)| *seen == job_id);
        found.map(|(_, bytes)| bytes.clone()).unwrap_or_default()
    }

    /// Waits until the output of `ends` framed runs is complete, at most `timeout`.
    pub(crate) fn wait_for_runs(&self, ends: u64, timeout: Duration) {
        let waiting = |state: &mut OutputState| !state.ended && state.ends < ends;
        // If the wait timed out, the output that arrived has been shown.
        let _ = self.changed.wait_timeout_while(self.lock(), timeout, waiting);
    }

    /// The last output of a worker that has ended.
    pub(crate) fn last_output(&self, timeout: Duration) -> Vec<u8> {
        let (state, _) = self
            .changed
            .wait_timeout_while(self.lock(), timeout, |state| !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        state.kept.clone()
    }

    fn handle_part(&self, part: Part<'_>, pass_on: bool) {
        match part {
            Part::Bytes(bytes) => {
                let framed = self.lock().keep(bytes);
                if pass_on && framed {
                    // Ignored: standard output may be closed.
                    let _ = io::stdout().write_all(bytes);
                    let _ = io::stdout().flush();
                }
            }
            Part::Marker(marker @ (Marker::Serve | Marker::Begin(_))) => {
                let mut state = self.lock();
                state.kept.clear();
                state.framed = matches!(marker, Marker::Begin(_));
            }
            Part::Marker(Marker::End(job_id)) => {
                let mut state = self.lock();
                let bytes = std::mem::take(&mut state.kept);
                state.framed = false;
                state.finished.push_back((job_id, bytes));
                state.ends += 1;
                if state.finished.len() > MAX_FINISHED {
                    state.finished.pop_front();
                }
                self.changed.notify_all();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, OutputState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OutputState {
    fn keep(&mut self, bytes: &[u8]) -> bool {
        self.kept.extend_from_slice(bytes);
        if self.kept.len() > 2 * MAX_KEPT {
            self.kept.drain(..self.kept.len() - MAX_KEPT);
        }
        self.framed
    }
}

impl Marker {
    /// Encodes the marker.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let word = match self {
            Self::Serve => "serve".to_owned(),
            Self::Begin(JobId { batch, index }) => format!("begin:{batch}:{index}"),
            Self::End(JobId { batch, index }) => format!("end:{batch}:{index}"),
        };
        [MARKER_PREFIX, word.as_bytes(), b"\0"].concat()
    }

    fn read(word: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(word).ok()?.split(':');
        let name = parts.next()?;
        let mut number = || parts.next()?.parse::<u64>().ok();
        let marker = match name {
            "serve" => Self::Serve,
            "begin" | "end" => {
                let (batch, index) = (number()?, number()?);
                let job_id = JobId { batch, index };
                if name == "begin" { Self::Begin(job_id) } else { Self::End(job_id) }
            }
            _ => return None,
        };
        Some(marker)
    }
}

/// Finds markers in the stream, also across reads.
#[derive(Debug, Default)]
struct Scanner {
    /// Bytes that may be the start of a marker.
    pending: Vec<u8>,
}

enum Part<'a> {
    Bytes(&'a [u8]),
    Marker(Marker),
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
            match marker_at(rest) {
                MarkerMatch::Complete(length, marker) => {
                    take(Part::Marker(marker));
                    rest = &rest[length..];
                }
                MarkerMatch::Partial => break,
                MarkerMatch::None => {
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

enum MarkerMatch {
    Complete(usize, Marker),
    /// The start of a marker.
    Partial,
    None,
}

fn marker_at(bytes: &[u8]) -> MarkerMatch {
    let compared = bytes.len().min(MARKER_PREFIX.len());
    if bytes[..compared] != MARKER_PREFIX[..compared] {
        return MarkerMatch::None;
    }
    let word = &bytes[compared..];
    match word.iter().position(|byte| *byte == 0) {
        Some(end) => match Marker::read(&word[..end]) {
            Some(marker) => MarkerMatch::Complete(MARKER_PREFIX.len() + end + 1, marker),
            None => MarkerMatch::None,
        },
        None if bytes.len() < MAX_MARKER_LENGTH => MarkerMatch::Partial,
        None => MarkerMatch::None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RUN: JobId = JobId { batch: 4, index: 17 };
    const TIMEOUT: Duration = Duration::from_secs(5);

    fn framed(before: &[u8], inside: &[u8], after: &[u8]) -> Vec<u8> {
        let (begin, end) = (Marker::Begin(RUN).bytes(), Marker::End(RUN).bytes());
        [&Marker::Serve.bytes(), before, &begin, inside, &end, after].concat()
    }

    #[test]
    fn framed_run_has_only_its_own_output() {
        let output = Arc::new(WorkerOutput::default());
        let bytes = framed(b"of another run\n", b"hello\n", b"later\n");
        output.follow(io::Cursor::new(bytes), false);
        assert_eq!(output.of_run(RUN, TIMEOUT), b"hello\n");
        assert_eq!(output.last_output(TIMEOUT), b"later\n");
        let other = JobId { batch: 4, index: 18 };
        assert_eq!(output.of_run(other, TIMEOUT), b"");
    }

    #[test]
    fn malformed_marker_is_output() {
        let odd = b"\0simmach:begin:x\0 \0simmach:nothing\0 \0";
        let output = Arc::new(WorkerOutput::default());
        output.follow(io::Cursor::new(framed(b"", odd, b"")), false);
        assert_eq!(output.of_run(RUN, TIMEOUT), odd);
    }

    #[test]
    fn kept_output_is_limited_to_the_last() {
        let output = Arc::new(WorkerOutput::default());
        output.follow(io::repeat(b'x').take(10 << 20).chain(&b"end"[..]), false);
        let last = output.last_output(TIMEOUT);
        assert!(last.len() <= 2 * MAX_KEPT && last.ends_with(b"end"));
    }

    proptest! {
        #[test]
        fn markers_are_found_across_reads(inside in "(\0|simmach:|end:x|[a-c]){0,12}", cuts in prop::collection::vec(1..9usize, 1..200)) {
            let bytes = framed(b"x", inside.as_bytes(), b"y");
            let output = Arc::new(WorkerOutput::default());
            let mut scanner = Scanner::default();
            let (mut rest, mut cuts) = (bytes.as_slice(), cuts.iter().cycle());
            while !rest.is_empty() {
                let at = rest.len().min(*cuts.next().expect("the cycle is not empty"));
                scanner.push(&rest[..at], &mut |part| output.handle_part(part, false));
                rest = &rest[at..];
            }
            scanner.end(&mut |part| output.handle_part(part, false));
            prop_assert_eq!(output.of_run(RUN, Duration::ZERO), inside.as_bytes());
        }
    }
}
