//! hyper's executor and timer, based on [`task`] and [`time`].
//!
//! hyper needs an executor to spawn tasks, for example for HTTP/2, and a timer for timeouts, for example for the headers of
//! a request or the answer to a ping.
//!
//! ```
//! use hyper_util::rt::TokioIo;
//! use simmach::compat::hyper::{Executor, Timer};
//! use simmach::net::TcpStream;
//! # async fn of() -> simmach::Result {
//! let stream = TcpStream::connect("api1.public:80").await?;
//! let mut builder = hyper::client::conn::http2::Builder::new(Executor);
//! let builder = builder.timer(Timer).keep_alive_interval(std::time::Duration::from_secs(20));
//! let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
//! simmach::task::spawn(connection);
//! # let _: hyper::client::conn::http2::SendRequest<String> = sender;
//! # Ok(())
//! # }
//! ```

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt;
use pin_project_lite::pin_project;

use crate::{task, time};

/// Spawns hyper's tasks with [`task::spawn`]. The tasks belong to the calling process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Executor;

/// Sleeps for hyper with [`time::sleep`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Timer;

pin_project! {
    struct Sleep {
        #[pin]
        sleep: time::Sleep,
    }
}

impl Executor {
    /// Creates an executor.
    pub const fn new() -> Self {
        Self
    }
}

impl Timer {
    /// Creates a timer.
    pub const fn new() -> Self {
        Self
    }
}

impl<F> rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    #[track_caller]
    fn execute(&self, future: F) {
        drop(task::spawn(future));
    }
}

impl rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Sleep { sleep: time::sleep(duration) })
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.now()))
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn rt::Sleep>>, new_deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<Sleep>() {
            Some(own) => {
                let left = new_deadline.saturating_duration_since(self.now());
                own.project().sleep.reset(time::Instant::now() + left);
            }
            None => *sleep = self.sleep_until(new_deadline),
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().sleep.poll(cx)
    }
}

impl rt::Sleep for Sleep {}
