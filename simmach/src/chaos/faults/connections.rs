//! Faults of single connections.

use crate::chaos::fault::Fault;
use crate::chaos::faults::network::network_fault;
use crate::chaos::hit::Hit;
use crate::chaos::target::selector;
use crate::engine::MachineId;
use crate::net::control::{Connection, connections};
use crate::net::{PacketFate, Protocol};
use crate::sim::{self, ControlError, Idle};

/// Drops all packets of one TCP connection between a victim and another machine that the plan may hit.
/// Each strike draws one of the connections that are established.
///
/// Other connections of the same two machines are not affected. If the two have no connection, a
/// strike does nothing.
#[derive(Clone, Copy, Debug)]
pub struct OneConnection;

/// The number of the draw that selects the connection.
const CONNECTION: u32 = 0;

impl Fault for OneConnection {
    fn name(&self) -> &str {
        "OneConnection"
    }

    fn begin(&self, hit: &Hit) -> Result<(), ControlError> {
        let of = |victim: &MachineId| {
            let own = connections(*victim).into_iter().map(|connection| (*victim, connection));
            own.collect::<Vec<_>>()
        };
        let mut open: Vec<_> = hit.victim_ids().iter().flat_map(of).collect();
        open.retain(|(_, connection)| hit.other_ids().contains(&connection.peer));
        let drawn = hit.below(CONNECTION, open.len() as u64) as usize;
        let Some((victim, Connection { port, peer, peer_port })) = open.get(drawn).copied() else {
            let reason = "whenever a fault was due, no TCP connection was open between the machines that the plan may \
                          hit: select machines that are connected, or set a shorter `every`";
            sim::record_idle(Idle::NoEvent(reason.to_owned()));
            return Ok(());
        };
        let ends = selector([victim, peer]);
        let name = sim::name_of(victim).unwrap_or_default();
        let filter = hit.sim().filter_packets(ends.clone(), ends, move |packet| {
            let ports =
                if packet.from == name { packet.ports } else { (packet.ports.1, packet.ports.0) };
            match packet.protocol == Protocol::Tcp && ports == (port, peer_port) {
                true => PacketFate::Drop,
                false => PacketFate::Pass,
            }
        })?;
        hit.keep(filter);
        Ok(())
    }

    fn end(&self, _: &Hit) -> Result<(), ControlError> {
        Ok(())
    }

    network_fault!();
}
