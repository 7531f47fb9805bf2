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
pub(crate) struct EventWaits {
    waits: RefCell<Vec<EventWait>>,
    is_any: Cell<bool>,
}

/// A wait for the n-th of such events.
#[derive(Debug)]
pub(crate) struct EventWait {
    pub(crate) event: AwaitedEvent,
    /// Number of events until its end.
    pub(crate) left: u32,
    pub(crate) state: Rc<WaitState>,
}

/// What a wait and its future share.
#[derive(Debug, Default)]
pub(crate) struct WaitState {
    pub(crate) is_over: Cell<bool>,
    /// The machine of the event.
    pub(crate) machine: Cell<Option<MachineId>>,
    pub(crate) waker: RefCell<Option<Waker>>,
}

impl AwaitedEvent {
    /// Whether it is this event of a machine; `None` stands for the beginning of a step.
    fn is(&self, happens: Option<AnchorEvent>) -> bool {
        match (self, happens) {
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
    /// Whether anything waits for an event.
    #[inline]
    pub(crate) fn is_any(&self) -> bool {
        self.is_any.get()
    }

    /// An event of a machine happens, or a step begins.
    pub(crate) fn note(&self, happens: Option<AnchorEvent>) {
        let is_over = |wait: &mut EventWait| {
            if wait.event.is(happens) {
                wait.left = wait.left.saturating_sub(1);
            }
            wait.left == 0
        };
        let over: Vec<EventWait> = self.waits.borrow_mut().extract_if(.., is_over).collect();
        self.update();
        for wait in over {
            wait.state.is_over.set(true);
            wait.state.machine.set(match happens {
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

    pub(crate) fn add(&self, wait: EventWait) {
        self.waits.borrow_mut().push(wait);
        self.update();
    }

    pub(crate) fn remove(&self, state: &Rc<WaitState>) {
        self.waits.borrow_mut().retain(|wait| !Rc::ptr_eq(&wait.state, state));
        self.update();
    }

    fn update(&self) {
        self.is_any.set(!self.waits.borrow().is_empty());
    }
}
