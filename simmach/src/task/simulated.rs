//! Spawns tasks in a run.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::engine::context::{Engine, try_with};
use crate::engine::panics;
use crate::engine::tasks::table::TaskKey;
use crate::engine::{self, Role, Scope, Wait};
use crate::task::entered::Entered;
use crate::task::join::{self, Join};
use crate::task::{JoinError, JoinHandle};

/// Spawns a task that belongs to the running process.
#[track_caller]
pub(super) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let location = Location::caller();
    let scope =
        try_with(|engine| if engine.scope().alive { engine.child_scope() } else { engine.scope() });
    let scope = scope.expect(
        "simmach::task::spawn was called outside a run: call it from a service, a plan or the test's body",
    );
    spawn_as(Role::Spawned, scope, location, Entered::new(future)).1
}

/// Yields once. The seed decides which ready task runs next; it may be this task.
pub(super) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        engine::record_wait(Wait::Named("its next poll"));
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Spawns a task in a scope. If the scope is dead, the future is dropped and the handle reports cancellation.
pub(crate) fn spawn_as<F>(
    role: Role,
    scope: Scope,
    location: &'static Location<'static>,
    future: F,
) -> (Option<TaskKey>, JoinHandle<F::Output>)
where
    F: Future + 'static,
    F::Output: 'static,
{
    let join = Arc::new(Join::new(scope));
    let task = UserTask { future: Some(future), join: Arc::clone(&join) };
    let key = begin(role, scope, location, task);
    (key, JoinHandle::simulated(join::JoinHandle::new(join, key)))
}

/// Spawns the main task of a service, which has no join handle.
pub(crate) fn spawn_main<F>(scope: Scope, location: &'static Location<'static>, future: F)
where
    F: Future<Output = ()> + 'static,
{
    begin(Role::Main, scope, location, UserTask { future: Some(future), join: Detached });
}

fn begin<F, J>(
    role: Role,
    scope: Scope,
    location: &'static Location<'static>,
    task: UserTask<F, J>,
) -> Option<TaskKey>
where
    F: Future + 'static,
    J: OnFinish<F::Output> + 'static,
{
    if scope.alive {
        // Pinned first, since a closure would copy the task, which may be large.
        let task = Box::pin(task);
        try_with(|engine| engine.spawn(role, scope, location, task))
    } else {
        drop(task);
        None
    }
}

/// Receives the result of a task.
trait OnFinish<T> {
    fn finish(&self, result: Result<T, JoinError>);
    fn panicked(&self, payload: Box<dyn Any + Send + 'static>);
}

impl<T> OnFinish<T> for Arc<Join<T>> {
    fn finish(&self, result: Result<T, JoinError>) {
        Join::finish(self, result);
    }

    fn panicked(&self, payload: Box<dyn Any + Send + 'static>) {
        Join::panicked(self, payload);
    }
}

/// A task without a handle: its panic is reported to the run.
struct Detached;

impl OnFinish<()> for Detached {
    fn finish(&self, _: Result<(), JoinError>) {}

    fn panicked(&self, payload: Box<dyn Any + Send + 'static>) {
        try_with(|engine| engine.user_panicked(payload));
    }
}

pin_project! {
    /// A user's future that reports its end to `join`: output, panic or cancellation.
    struct UserTask<F: Future, J: OnFinish<F::Output>> {
        #[pin]
        future: Option<F>,
        join: J,
    }

    impl<F: Future, J: OnFinish<F::Output>> PinnedDrop for UserTask<F, J> {
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

impl<F: Future, J: OnFinish<F::Output>> Future for UserTask<F, J> {
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
        // The future is dropped before its end is reported. If its destructor panics, the task panicked, as in tokio.
        let dropped = catch_unwind(AssertUnwindSafe(|| this.future.set(None)));
        match (result, dropped) {
            (Ok(output), Ok(())) => this.join.finish(Ok(output)),
            (Ok(output), Err(payload)) => {
                this.join.panicked(payload);
                join::drop_output(Ok(output));
            }
            (Err(payload), _) if try_with(Engine::has_ended_itself) == Some(true) => {
                panics::drop_payload(payload);
                this.join.finish(Err(JoinError::cancelled()));
            }
            (Err(payload), _) => this.join.panicked(payload),
        }
        Poll::Ready(())
    }
}
