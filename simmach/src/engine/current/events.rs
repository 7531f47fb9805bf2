//! Waits for events of the program.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use crate::engine::context::try_with;
use crate::engine::event_waits::{AwaitedEvent, WaitState};
use crate::engine::ids::MachineId;
use crate::engine::tasks::wait::Wait;

/// Waits for the `nth` event from now on, counted from 1. Returns its machine; `None` for a step.
pub(crate) async fn wait_for_event(event: AwaitedEvent, nth: u32) -> Option<MachineId> {
    let waiting = Waiting(try_with(|engine| engine.event_waits.begin(event, nth))?);
    poll_fn(|cx| {
        if waiting.0.is_over.get() {
            return Poll::Ready(waiting.0.machine.get());
        }
        *waiting.0.waker.borrow_mut() = Some(cx.waker().clone());
        try_with(|engine| engine.record_wait(Wait::Named("an event of the program")));
        Poll::Pending
    })
    .await
}

/// Ends the wait when its future is dropped.
struct Waiting(Rc<WaitState>);

impl Drop for Waiting {
    fn drop(&mut self) {
        try_with(|engine| engine.event_waits.remove(&self.0));
    }
}
