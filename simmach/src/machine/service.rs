//! What a machine runs: an async function, and how it ends.

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, Location};
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;

use crate::engine::Scope;
use crate::machine::ServiceId;
use crate::machine::start::over;
use crate::task;

/// How an async function of the user's may end: `()`, `!`, or a `Result` whose error is one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a valid return type for a service, plan or test",
    label = "returns `{Self}`",
    note = "return `()`, `!`, or `Result<(), E>` where `E` converts into `Box<dyn Error + Send + Sync>`"
)]
pub trait Ending {
    /// The error in words, its causes behind it.
    ///
    /// # Errors
    ///
    /// The words.
    fn into_words(self) -> Result<(), String>;
}

impl Ending for () {
    fn into_words(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> Ending for Result<(), E> {
    fn into_words(self) -> Result<(), String> {
        self.map_err(|error| words(error.into().as_ref()))
    }
}

/// The type `!`, which has no stable name: the output of a function pointer that never returns.
type Never = <fn() -> ! as Returns>::Output;

#[doc(hidden)]
pub trait Returns {
    #[doc(hidden)]
    type Output;
}

impl<T> Returns for fn() -> T {
    type Output = T;
}

impl Ending for Never {
    fn into_words(self) -> Result<(), String> {
        self
    }
}

/// An error and its causes.
fn words(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Many errors repeat their cause in their own words.
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

/// A service, ready to be launched any number of times.
#[derive(Clone)]
pub(crate) struct Service {
    launch: Rc<dyn Fn(Launch)>,
}

/// Which incarnation of a service is launched, and as whom it runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Launch {
    pub(super) id: ServiceId,
    pub(super) scope: Scope,
    pub(super) at: &'static Location<'static>,
}

impl Service {
    /// From an async function, or a closure that calls one.
    pub(crate) fn new<F, R>(run: F) -> Self
    where
        F: AsyncFn() -> R + 'static,
        R: Ending,
    {
        let run = Rc::new(run);
        let launch = move |launch: Launch| {
            let run = Rc::clone(&run);
            // One future for all, and no handle: nobody waits for a service but by its process.
            task::spawn_main(launch.scope, launch.at, async move {
                let ended = AssertUnwindSafe(async move { run().await.into_words() });
                over(launch.id, launch.scope.process, ended.catch_unwind().await);
            });
        };
        Self { launch: Rc::new(launch) }
    }

    /// Starts it as a process.
    pub(super) fn launch(&self, launch: Launch) {
        (self.launch)(launch);
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Service")
    }
}

/// What becomes of a machine's process that ends with an error or a panic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnExit {
    /// The run fails.
    #[default]
    Fail,
    /// The process crashes, and is started again after so long.
    Restart(Duration),
    /// The process crashes, and stays down until it is started.
    StayDown,
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot serve")]
    struct Outer(#[source] io::Error);

    #[test]
    fn an_error_is_told_with_its_causes() {
        let error: Result<(), Outer> = Err(Outer(io::Error::other("no disk")));
        assert_eq!(error.into_words(), Err("cannot serve: no disk".to_owned()));
    }

    /// Each of these must be accepted by `.machine(…)`, in the form that a user writes it.
    #[test]
    fn every_form_of_a_service_is_one() {
        async fn plain() {}
        async fn fails() -> io::Result<()> {
            Ok(())
        }
        async fn forever() -> ! {
            std::future::pending().await
        }
        async fn with(_: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
            Ok(())
        }
        let _ = [
            Service::new(plain),
            Service::new(fails),
            Service::new(forever),
            Service::new(|| with("cl")),
            Service::new(async || {}),
        ];
    }
}
