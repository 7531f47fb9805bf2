//! Making tasks of a run.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::engine::context::try_with;
use crate::engine::executor::tasks::TaskKey;
use crate::engine::{self, Role, Scope, Wait};
use crate::task::join::{self, Join};
use crate::task::{JoinError, JoinHandle};

/// Runs `future` as a task of the process that runs.
#[track_caller]
pub(super) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let place = Location::caller();
    let scope =
        try_with(|engine| if engine.scope().alive { engine.child_scope() } else { engine.scope() });
    let scope = scope.expect(
        "simmach::task::spawn was called outside a run: call it from a service, a plan or the test's body",
    );
    spawn_as(Role::Spawned, scope, place, future).1
}

/// Lets every other ready task go first, or not, as the seed has it.
pub(super) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        engine::record_wait(Wait::Named("its next turn"));
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Runs `future` as a task of any scope. For a dead one it is dropped, and its handle says cancelled.
pub(crate) fn spawn_as<F>(
    role: Role,
    scope: Scope,
    place: &'static Location<'static>,
    future: F,
) -> (Option<TaskKey>, JoinHandle<F::Output>)
where
    F: Future + 'static,
    F::Output: 'static,
{
    let join = Arc::new(Join::new(scope));
    let task = Task { future: Some(future), join: Arc::clone(&join) };
    let key = begin(role, scope, place, task);
    (key, JoinHandle::simulated(join::JoinHandle::new(join, key)))
}

/// Runs `future` as the main task of a service. Nobody will ever wait for it.
pub(crate) fn spawn_main<F>(scope: Scope, place: &'static Location<'static>, future: F)
where
    F: Future<Output = ()> + 'static,
{
    begin(Role::Main, scope, place, Task { future: Some(future), join: Detached });
}

fn begin<F, J>(
    role: Role,
    scope: Scope,
    place: &'static Location<'static>,
    task: Task<F, J>,
) -> Option<TaskKey>
where
    F: Future + 'static,
    J: Hears<F::Output> + 'static,
{
    if scope.alive {
        try_with(|engine| engine.spawn(role, scope, place, Box::pin(task)))
    } else {
        drop(task);
        None
    }
}

/// Who hears how a task ended.
trait Hears<T> {
    fn finish(&self, result: Result<T, JoinError>);
    fn panicked(&self, payload: Box<dyn Any + Send + 'static>);
}

impl<T> Hears<T> for Arc<Join<T>> {
    fn finish(&self, result: Result<T, JoinError>) {
        Join::finish(self, result);
    }

    fn panicked(&self, payload: Box<dyn Any + Send + 'static>) {
        Join::panicked(self, payload);
    }
}

/// Nobody but the run itself, of a panic.
struct Detached;

impl Hears<()> for Detached {
    fn finish(&self, _: Result<(), JoinError>) {}

    fn panicked(&self, payload: Box<dyn Any + Send + 'static>) {
        try_with(|engine| engine.user_panicked(payload));
    }
}

pin_project! {
    /// A user's future whose end, of whatever kind, its handle hears of.
    struct Task<F: Future, J: Hears<F::Output>> {
        #[pin]
        future: Option<F>,
        join: J,
    }

    impl<F: Future, J: Hears<F::Output>> PinnedDrop for Task<F, J> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                let dropped = catch_unwind(AssertUnwindSafe(|| this.future.set(None)));
                match dropped {
                    Err(payload) if engine::live_scope().is_some() => this.join.panicked(payload),
                    Ok(()) | Err(_) => this.join.finish(Err(JoinError::cancelled())),
                }
            }
        }
    }
}

impl<F: Future, J: Hears<F::Output>> Future for Task<F, J> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Ready(()) };
        let polled = catch_unwind(AssertUnwindSafe(|| future.poll(cx)));
        let result = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(payload) => Err(payload),
        };
        // What the future held is dropped before anyone hears that it ended. If that panics the task did, as in tokio.
        let dropped = catch_unwind(AssertUnwindSafe(|| this.future.set(None)));
        match (result, dropped) {
            (Ok(output), Ok(())) => this.join.finish(Ok(output)),
            (Ok(output), Err(payload)) => {
                this.join.panicked(payload);
                join::drop_output(Ok(output));
            }
            (Err(payload), _) => this.join.panicked(payload),
        }
        Poll::Ready(())
    }
}
