//! The state of a run while it moves from one thread to another.

use std::any::Any;
use std::rc::Rc;
use std::sync::OnceLock;

use crate::engine::context::{self, Engine};
use crate::engine::panics::Uncaught;
use crate::engine::slot::Carry;
use crate::interpose::baton::Handed;

/// The states of the layers, which move with a run.
static LAYERS: OnceLock<&'static [&'static dyn Carry]> = OnceLock::new();

/// Sets the states of the layers that move with a run. Only the first call has an effect.
pub(crate) fn set_carried(layers: &'static [&'static dyn Carry]) {
    let _ = LAYERS.set(layers);
}

/// A run that is not attached to a thread.
#[derive(Debug)]
pub(super) struct Carried(Handed<State>);

struct State {
    engine: Rc<Engine>,
    layers: Vec<Option<Box<dyn Any>>>,
    panics: Uncaught,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

impl Carried {
    /// Takes the run from this thread. The thread must then either end or wait until it gets the
    /// run back.
    pub(super) fn take() -> Option<Self> {
        let layers =
            LAYERS.get().copied().unwrap_or(&[]).iter().map(|layer| layer.take()).collect();
        let engine = context::leave()?;
        // SAFETY: the state is removed from this thread. The remaining values that share data with it, such as the engine's
        // reference count, are not used until the run comes back, since this thread waits on a `Baton` meanwhile, or ends.
        Some(Self(unsafe { Handed::new(State { engine, layers, panics: Uncaught::take() }) }))
    }

    /// Attaches the run to this thread, which then executes its code.
    pub(super) fn put(self) {
        let State { engine, layers, panics } = self.0.into_inner();
        context::enter(engine);
        panics.put();
        for (layer, state) in LAYERS.get().copied().unwrap_or(&[]).iter().zip(layers) {
            if let Some(state) = state {
                layer.put(state);
            }
        }
    }
}
