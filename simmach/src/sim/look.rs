//! [`Machine`]: the state of one machine, for inspection by tests.

use crate::engine::{MachineId, context};
use crate::machine::{self, Selector};
use crate::net::{self, Protocol, SocketEntry};
use crate::sim::Sim;
use crate::sim::machines::{name_of, no_match};

/// A read-only view of one machine, returned by [`Sim::machine`]. The methods of [`Sim`] control
/// machines.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    id: MachineId,
}

impl Sim {
    /// Returns the machine named `name`.
    ///
    /// ```
    /// # use simmach::prelude::*;
    /// # use simmach::net::SocketState;
    /// # fn of(sim: Sim) {
    /// let sockets = sim.machine("api1.public").sockets();
    /// assert!(sockets.iter().any(|socket| socket.state == SocketState::Listen));
    /// for socket in sockets {
    ///     sim.log(socket); // tcp LISTEN          0   4096 0.0.0.0:443 *
    /// }
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If no machine or more than one machine matches `name`.
    pub fn machine(&self, name: &str) -> Machine {
        let selector = Selector::from(name);
        let matching = machine::machines(&selector);
        match matching[..] {
            [id] => Machine { id },
            [] => panic!("{}", no_match(&selector)),
            [..] => panic!(
                "`Sim::machine` needs exactly one machine, but `{name}` matches {}",
                matching.iter().filter_map(|id| name_of(*id)).collect::<Vec<_>>().join(", ")
            ),
        }
    }

    /// Returns the number of pending timers of all code on all machines and of the network, including packets in flight.
    /// Useful to check for leaks.
    pub fn timers(&self) -> usize {
        context::try_with(|engine| engine.timers.borrow().len()).unwrap_or(0)
    }
}

impl Machine {
    /// Returns the name of the machine.
    pub fn name(&self) -> String {
        name_of(self.id).unwrap_or_default()
    }

    /// Returns whether the machine has power.
    pub fn has_power(&self) -> bool {
        machine::has_power(self.id)
    }

    /// Returns the sockets of the machine, as `ss` shows them: listeners, connections in any state, and UDP sockets.
    pub fn sockets(&self) -> Vec<SocketEntry> {
        net::control::sockets(self.id)
    }

    /// Returns the ports in use on the machine as pairs such as `(Protocol::Tcp, 443)`. This includes sockets that are only bound and
    /// connections in TIME-WAIT.
    pub fn ports(&self) -> Vec<(Protocol, u16)> {
        net::control::ports(self.id)
    }
}
