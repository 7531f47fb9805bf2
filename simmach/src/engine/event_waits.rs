//! Plans that wait for events of the program: commits, packets and steps.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use crate::engine::acts::AnchorEvent;
use crate::engine::ids::MachineId;

/// An event that a plan waits for.
#[derive(Clone, Debug)]
pub(crate) enum AwaitedEvent {
    /// One of the machines commits a transaction.
    Commit(Vec<MachineId>),
    /// One of the machines sends a packet.
    Packet(Vec<MachineId>),
    /// A step of the test begins.
    Step,
}

/// The waits of a run.
#[derive(Debug, Default)]
pub(crate) struct EventWaits(RefCell<Vec<EventWait>>);

/// A wait for a number of events.
#[derive(Debug)]
struct EventWait {
    event: AwaitedEvent,
    /// Number of events until the wait ends.
    left: u32,
    state: Rc<WaitState>,
}

/// The state that a wait and its future share.
#[derive(Debug, Default)]
pub(crate) struct WaitState {
    pub(crate) is_over: Cell<bool>,
    /// The machine of the event.
    pub(crate) machine: Cell<Option<MachineId>>,
    pub(crate) waker: RefCell<Option<Waker>>,
}

impl AwaitedEvent {
    /// Whether `event` is of this kind. `None` stands for the beginning of a step.
    fn matches(&self, event: Option<AnchorEvent>) -> bool {
        match (self, event) {
            (Self::Commit(machines), Some(AnchorEvent::Commit { machine })) => {
                machines.contains(&machine)
            }
            (Self::Packet(machines), Some(AnchorEvent::Packet { from, .. })) => {
                machines.contains(&from)
            }
            (Self::Step, None) => true,
            _ => false,
        }
    }
}

impl EventWaits {
    /// Whether no plan waits for an event.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Counts an event of a machine, or the beginning of a step, and ends the waits for it.
    pub(crate) fn note(&self, event: Option<AnchorEvent>) {
        let is_over = |wait: &mut EventWait| {
            if wait.event.matches(event) {
                wait.left = wait.left.saturating_sub(1);
            }
            wait.left == 0
        };
        let over: Vec<EventWait> = self.0.borrow_mut().extract_if(.., is_over).collect();
        for wait in over {
            wait.state.is_over.set(true);
            wait.state.machine.set(match event {
                Some(AnchorEvent::Commit { machine } | AnchorEvent::Point { machine, .. }) => {
                    Some(machine)
                }
                Some(AnchorEvent::Packet { from, .. }) => Some(from),
                None => None,
            });
            let waker = wait.state.waker.take();
            waker.into_iter().for_each(Waker::wake);
        }
    }

    /// Begins a wait for the `nth` event from now on, counted from 1.
    pub(crate) fn begin(&self, event: AwaitedEvent, nth: u32) -> Rc<WaitState> {
        let state = Rc::new(WaitState::default());
        let wait = EventWait { event, left: nth.max(1), state: Rc::clone(&state) };
        self.0.borrow_mut().push(wait);
        state
    }

    /// Removes a wait unless it has ended.
    pub(crate) fn remove(&self, state: &Rc<WaitState>) {
        self.0.borrow_mut().retain(|wait| !Rc::ptr_eq(&wait.state, state));
    }
}
