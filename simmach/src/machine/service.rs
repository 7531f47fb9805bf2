//! Services: the async functions that machines run, and what they may return.

use std::any::TypeId;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, Location};
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;

use crate::engine::Scope;
use crate::guest::{Main, Runtime};
use crate::machine::ServiceId;
use crate::machine::start::finish_main;
use crate::task;

/// Return types of services, plans and tests: `()`, `!`, and `Result<(), E>` for any error `E`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a valid return type for a service, plan or test",
    label = "returns `{Self}`",
    note = "return `()`, `!`, or `Result<(), E>` where `E` converts into `Box<dyn Error + Send + Sync>`"
)]
pub trait Termination {
    /// Converts the value into a result.
    ///
    /// # Errors
    ///
    /// The message of the returned error, followed by those of its sources.
    fn into_result(self) -> Result<(), String>;
}

impl Termination for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> Termination for Result<(), E> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| message_with_sources(error.into().as_ref()))
    }
}

/// The type `!`. It has no stable name, but it is the return type of a function pointer.
type Never = <fn() -> ! as Returns>::Output;

#[doc(hidden)]
pub trait Returns {
    #[doc(hidden)]
    type Output;
}

impl<T> Returns for fn() -> T {
    type Output = T;
}

impl Termination for Never {
    fn into_result(self) -> Result<(), String> {
        self
    }
}

/// The messages of an error and its sources, separated by colons.
fn message_with_sources(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        // Many errors already include the message of their source.
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text
}

/// A service, which can be launched any number of times.
#[derive(Clone)]
pub(crate) struct Service {
    launch: Rc<dyn Fn(ServiceLaunch)>,
    /// The type of its function: machines with the same one run the same service.
    kind: TypeId,
}

/// One launch of a service: which service, and the scope that its main task runs in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServiceLaunch {
    pub(super) id: ServiceId,
    pub(super) scope: Scope,
    pub(super) at: &'static Location<'static>,
    pub(super) runtime: Runtime,
}

impl Service {
    /// Wraps an async function, or a closure that calls one.
    pub(crate) fn new<F, R>(run: F) -> Self
    where
        F: AsyncFn() -> R + 'static,
        R: Termination,
    {
        let run = Rc::new(run);
        let launch = move |launch: ServiceLaunch| {
            let run = Rc::clone(&run);
            // The join handle is dropped: to wait for a service means to wait for its process.
            let main = async move {
                let result =
                    AssertUnwindSafe(async move { run().await.into_result() }).catch_unwind().await;
                finish_main(launch.id, launch.scope.process, result);
            };
            task::spawn_main(launch.scope, launch.at, Main::new(launch.runtime, main));
        };
        Self { launch: Rc::new(launch), kind: TypeId::of::<F>() }
    }

    /// The same service as `other`, in this version.
    pub(super) fn as_version_of(&self, other: &Self) -> Self {
        Self { launch: Rc::clone(&self.launch), kind: other.kind }
    }

    /// What tells it from other services.
    pub(super) fn kind(&self) -> TypeId {
        self.kind
    }

    /// Spawns the main task.
    pub(super) fn launch(&self, launch: ServiceLaunch) {
        (self.launch)(launch);
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Service")
    }
}

/// What happens when a service of a machine fails, that is, returns an error or panics. A service that returns `()` or `Ok(())`
/// has ended, and stays down until the test starts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnExit {
    /// The run fails.
    #[default]
    Fail,
    /// The process crashes. It is started again after this delay, which must not be zero.
    Restart(Duration),
    /// The process crashes and stays down until the test or a plan starts it.
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
    fn errors_include_the_messages_of_their_sources() {
        let error: Result<(), Outer> = Err(Outer(io::Error::other("no disk")));
        assert_eq!(error.into_result(), Err("cannot serve: no disk".to_owned()));
    }

    /// Every form that a user may write must be accepted by `.machine(…)`.
    #[test]
    fn service_accepts_all_forms_of_functions() {
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
