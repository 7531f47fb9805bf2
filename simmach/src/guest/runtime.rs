//! The runtime of a guest, and its main future.

mod fairness;
mod statics;

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use pin_project_lite::pin_project;
use tokio::runtime::{Builder, Runtime};

use crate::engine::{self, Wait, context};
pub(crate) use crate::guest::runtime::statics::{not_found, prepare, reset};
use crate::system::Deadline;
use crate::system::slice::Slice;
use crate::time::simulated::{Sleep, sleep_until_clock};

pub(super) const IS_SUPPORTED: bool = true;

pin_project! {
    /// A guest's main future, with its runtime.
    pub(crate) struct Guest<F> {
        #[pin]
        main: Option<F>,
        running: Option<Running>,
        sleep: Option<Sleep>,
        // What the main future waits for, if a module of simmach has recorded it.
        wait: Wait,
    }

    impl<F> PinnedDrop for Guest<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            end(this.main, this.running);
        }
    }
}

/// The runtime of a guest.
struct Running {
    runtime: Runtime,
    slice: Rc<Slice>,
    wakes: Arc<MainWakes>,
    waker: Waker,
}

/// What a guest waits for if it has no timer and no module of simmach has recorded a wait.
const EVENTS: &str = "an event of its tokio runtime";

/// Whether the main future was woken.
#[derive(Debug, Default)]
struct MainWakes {
    is_woken: AtomicBool,
    /// Whether it was polled in this slice.
    is_polled: AtomicBool,
    /// Whether a slice is running, so that the runtime polls the future again.
    is_in_slice: AtomicBool,
    /// Wakes the future that the runtime blocks on, and the engine's task.
    wakers: Mutex<(Option<Waker>, Option<Waker>)>,
}

impl Wake for MainWakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_woken.swap(true, Ordering::Relaxed) {
            return;
        }
        let waker = {
            let wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
            let (root, task) = &*wakers;
            if self.is_in_slice.load(Ordering::Relaxed) { root.clone() } else { task.clone() }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<F> Guest<F> {
    pub(crate) fn new(main: F) -> Self {
        Self { main: Some(main), running: None, sleep: None, wait: Wait::Nothing }
    }
}

impl<F: Future> Future for Guest<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let Some(engine) = context::current() else { return Poll::Pending };
        // Completes a sleep that is due. A long sleep of a client counts as progress.
        if let Some(mut sleep) = this.sleep.take() {
            let _ = Pin::new(&mut sleep).poll(cx);
        }
        let polled = engine.in_guest(|| {
            let running = this.running.get_or_insert_with(|| Running::new(&engine));
            loop {
                let Some(main) = this.main.as_mut().as_pin_mut() else { return Poll::Pending };
                let deadline = match running.run_slice(main, cx) {
                    Ok(output) => return Poll::Ready(output),
                    Err(deadline) => deadline,
                };
                if running.wakes.is_polled.swap(false, Ordering::Relaxed) {
                    *this.wait = engine.current_wait();
                }
                if let Some(deadline) = deadline.0 {
                    let mut sleep = sleep_until_clock(deadline);
                    if Pin::new(&mut sleep).poll(cx).is_ready() {
                        continue;
                    }
                    *this.sleep = Some(sleep);
                }
                match (*this.wait, deadline.0) {
                    (Wait::Nothing, Some(_)) => {}
                    (Wait::Nothing, None) => engine.record_wait(match running.slice.epoll() {
                        Some(epoll) => Wait::Events { what: EVENTS, epoll },
                        None => Wait::Named(EVENTS),
                    }),
                    (wait, _) => engine.record_wait(wait),
                }
                return Poll::Pending;
            }
        });
        if polled.is_ready() {
            end(this.main, this.running);
        }
        polled
    }
}

impl Running {
    fn new(engine: &engine::Engine) -> Self {
        let build = || Builder::new_current_thread().enable_all().build();
        let runtime = engine.map_keys.uncounted(build);
        let wakes = Arc::new(MainWakes { is_woken: AtomicBool::new(true), ..MainWakes::default() });
        Self {
            runtime: runtime.expect("a runtime needs only descriptors of the run"),
            slice: Rc::default(),
            waker: Waker::from(Arc::clone(&wakes)),
            wakes,
        }
    }

    /// Runs the runtime until it waits. Returns the main future's output, or when the runtime has work again.
    fn run_slice<F: Future>(
        &self,
        main: Pin<&mut F>,
        cx: &Context<'_>,
    ) -> Result<F::Output, Deadline> {
        {
            let mut wakers = self.wakes.wakers.lock().unwrap_or_else(PoisonError::into_inner);
            if !wakers.1.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                wakers.1 = Some(cx.waker().clone());
            }
        }
        let root = Root { running: self, main };
        self.wakes.is_in_slice.store(true, Ordering::Relaxed);
        let (output, ended) = self.slice.run(cx.waker(), || self.runtime.block_on(root));
        self.wakes.is_in_slice.store(false, Ordering::Relaxed);
        match output {
            Some(output) => Ok(output),
            None => Err(ended.unwrap_or(Deadline::NOW)),
        }
    }
}

/// The future that a slice blocks on. It completes with the main future, or when the runtime would wait.
struct Root<'a, F> {
    running: &'a Running,
    main: Pin<&'a mut F>,
}

impl<F: Future> Future for Root<'_, F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Running { slice, wakes, waker, .. } = self.running;
        if slice.has_ended() {
            return Poll::Ready(None);
        }
        slice.enter_code();
        slice.set_root(cx.waker());
        {
            let mut wakers = wakes.wakers.lock().unwrap_or_else(PoisonError::into_inner);
            if !wakers.0.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                wakers.0 = Some(cx.waker().clone());
            }
        }
        if !wakes.is_woken.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        // A wake during the poll counts as a yield: the other tasks of the run go on first.
        wakes.is_in_slice.store(false, Ordering::Relaxed);
        wakes.is_woken.store(false, Ordering::Relaxed);
        wakes.is_polled.store(true, Ordering::Relaxed);
        let polled = self.main.as_mut().poll(&mut Context::from_waker(waker));
        wakes.is_in_slice.store(true, Ordering::Relaxed);
        match polled {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Drops a guest's main future and its runtime.
fn end<F>(mut main: Pin<&mut Option<F>>, running: &mut Option<Running>) {
    let Some(Running { runtime, .. }) = running.take() else {
        main.set(None);
        return;
    };
    let engine = context::current();
    let drop_both = || {
        let entered = runtime.enter();
        main.set(None);
        drop(entered);
        // A plain drop would wait for the threads of the blocking pool.
        runtime.shutdown_background();
    };
    match &engine {
        Some(engine) => engine.in_guest(drop_both),
        None => drop_both(),
    }
}
