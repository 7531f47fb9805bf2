//! [`main`]: programs whose entry is a function that is not async.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::thread;

/// Makes a service of a program's entry: a function that is not async, such as the `main` under `#[tokio::main]`.
///
/// It runs on a thread of its own in the machine's process, where it may block, start threads and build runtimes of either
/// kind. What it returns is the service's result; a panic in it is one of the service. When it returns, its process ends, with
/// the threads that it started.
///
/// A hand-over between threads takes about ten microseconds, so such a program is slower than an async function that runs as
/// a service by itself. When its machine goes down while it waits, its thread usually cannot leave; the harness then starts a
/// new worker process for the next run. It needs the feature `tokio`.
///
/// # Panics
///
/// If the process cannot start a thread; the panics of `main`.
///
/// ```
/// use simmach::prelude::*;
/// use simmach::program::{Program, Scenario};
///
/// mod app {
///     use std::io::Write;
///
///     /// Most programs have `#[tokio::main]` here, which builds a runtime.
///     pub fn main() -> std::io::Result<()> {
///         let listener = std::net::TcpListener::bind("0.0.0.0:80")?;
///         let (mut client, _) = listener.accept()?;
///         client.write_all(b"welcome")
///     }
/// }
///
/// async fn reads_the_welcome(_: Sim) -> std::io::Result<()> {
///     tokio::time::sleep(std::time::Duration::from_millis(10)).await;
///     let stream = tokio::net::TcpStream::connect("web:80").await?;
///     stream.readable().await?;
///     let mut welcome = [0; 7];
///     assert_eq!(stream.try_read(&mut welcome)?, 7);
///     Ok(())
/// }
///
/// let program = Program::new(|| {
///     Scenario::new()
///         .topology(Topology::new().machine("web", simmach::guest::main(app::main)))
///         .body(reads_the_welcome)
/// });
/// assert!(program.run(7).passed());
/// ```
pub fn main<F, R>(main: F) -> impl AsyncFn() -> R
where
    F: Fn() -> R + Clone + Send + 'static,
    R: Send + 'static,
{
    async move || {
        let (main, returned) = (main.clone(), Arc::new(Returned::default()));
        let returns = Arc::clone(&returned);
        let run = move || {
            let result = catch_unwind(AssertUnwindSafe(main));
            returns.set(result);
        };
        let started = thread::Builder::new().name("main".to_owned()).spawn(run);
        if let Err(error) = started {
            panic!("cannot start a thread for a program's main function: {error}");
        }
        match returned.wait().await {
            Ok(result) => result,
            Err(panic) => resume_unwind(panic),
        }
    }
}

/// What a program's main function returned, once it has.
struct Returned<R>(Mutex<(Option<thread::Result<R>>, Option<Waker>)>);

impl<R> Default for Returned<R> {
    fn default() -> Self {
        Self(Mutex::new((None, None)))
    }
}

impl<R> Returned<R> {
    fn set(&self, result: Result<R, Box<dyn Any + Send>>) {
        let waker = {
            let mut state = self.lock();
            state.0 = Some(result);
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn wait(&self) -> thread::Result<R> {
        poll_fn(|cx| {
            let mut state = self.lock();
            if let Some(result) = state.0.take() {
                return Poll::Ready(result);
            }
            state.1 = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, (Option<thread::Result<R>>, Option<Waker>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
