//! [`main`]: runs a program's synchronous entry point as a service.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use futures::channel::oneshot;

/// Turns a program's entry point into a service. The entry point is a synchronous function, such as
/// the `main` under `#[tokio::main]`.
///
/// The function runs on a separate thread in the machine's process, where it may block, start
/// threads, and build `current_thread` and `multi_thread` runtimes. Its return value is the result
/// of the service, and its panics are panics of the service. When the function returns, the process
/// ends, together with the threads that the function started.
///
/// Such a program is slower than a service that is an async function, since each switch between
/// threads takes about ten microseconds. If its machine goes down while the function waits, the
/// thread usually cannot end. The harness then starts a new worker process for the next run. `main`
/// needs the feature `tokio`.
///
/// # Panics
///
/// If the process cannot start a thread, or if `main` panics.
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
        let (main, (send, returned)) = (main.clone(), oneshot::channel());
        let run = move || {
            // If the process has ended, its result is not received.
            let _ = send.send(catch_unwind(AssertUnwindSafe(main)));
        };
        if let Err(error) = thread::Builder::new().name("main".to_owned()).spawn(run) {
            panic!("cannot start a thread for a program's main function: {error}");
        }
        match returned.await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(oneshot::Canceled) => {
                panic!("the thread of a program's `main` ended before `main` returned")
            }
        }
    }
}
