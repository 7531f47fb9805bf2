//! One machine to look at.

use crate::engine::{MachineId, context};
use crate::machine::{self, Selector};
use crate::net::{self, SocketEntry};
use crate::sim::Sim;
use crate::sim::machines::{name_of, no_match};

/// One machine to look at: [`Sim::machine`]. What is done to machines is done by [`Sim`] itself.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    id: MachineId,
}

impl Sim {
    /// The machine of that name.
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
    /// When no machine has that name, or more than one: a look at nothing finds nothing wrong.
    pub fn machine(&self, name: &str) -> Machine {
        let selector = Selector::from(name);
        match machine::machines(&selector)[..] {
            [id] => Machine { id },
            [] => panic!("{}", no_match(&selector)),
            [_, ..] => panic!("`{name}` matches more than one machine"),
        }
    }

    /// How many timers wait: of all code on all machines, and of the network beneath it, packets on the wire too. To see
    /// that nothing is left behind.
    pub fn timers(&self) -> usize {
        context::try_with(|engine| engine.timers.borrow().len()).unwrap_or(0)
    }
}

impl Machine {
    /// Its name.
    pub fn name(&self) -> String {
        name_of(self.id).unwrap_or_default()
    }

    /// Whether it has power.
    pub fn has_power(&self) -> bool {
        machine::has_power(self.id)
    }

    /// Its sockets, as `ss` shows them: listeners, connections in whatever state, UDP.
    pub fn sockets(&self) -> Vec<SocketEntry> {
        net::control::sockets(self.id)
    }

    /// The ports that any of its sockets has, those that wait in TIME-WAIT and those that are bound only among them:
    /// `("tcp", 443)`.
    pub fn ports(&self) -> Vec<(&'static str, u16)> {
        net::control::ports(self.id)
    }
}
