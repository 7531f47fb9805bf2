//! The order of packets within a flow. A flow is one direction of a connection, or the datagrams
//! from one socket to one address.

use std::collections::BTreeMap;

use crate::net::simulated::address::Endpoint;
use crate::net::simulated::lazy_box::LazyBox;

/// Arrival times that the next packet of a flow depends on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FlowOrder {
    /// Latest arrival of the packets that were not held back. On a link that keeps the order, the
    /// next packet does not arrive earlier.
    pub(crate) latest_in_order: u64,
    /// Arrival of the packet that was sent last. A later packet overtakes that packet if it arrives
    /// before this time.
    pub(crate) last_sent_arrival: u64,
}

impl FlowOrder {
    /// Whether a packet that is sent at `now` could overtake another packet.
    fn in_flight(&self, now: u64) -> bool {
        self.latest_in_order.max(self.last_sent_arrival) > now
    }
}

/// The flows of a UDP socket. The most recent flow is stored inline, since most sockets have one flow at a time.
#[derive(Default)]
pub(crate) struct FlowOrders {
    recent: Option<(Endpoint, FlowOrder)>,
    others: LazyBox<OtherFlows>,
}

#[derive(Default)]
struct OtherFlows {
    flows: BTreeMap<Endpoint, FlowOrder>,
    /// Number of flows above which finished flows are removed.
    limit: usize,
}

/// Minimum of `limit`.
const MIN_LIMIT: usize = 64;

impl FlowOrders {
    /// The order of the flow to `to`.
    pub(crate) fn to(&mut self, to: Endpoint, now: u64) -> &mut FlowOrder {
        if self.recent.is_none_or(|(recent, _)| recent != to) {
            self.switch(to, now);
        }
        &mut self.recent.get_or_insert((to, FlowOrder::default())).1
    }

    fn switch(&mut self, to: Endpoint, now: u64) {
        let known = self.others.get_mut().and_then(|others| others.flows.remove(&to));
        let before = self.recent.replace((to, known.unwrap_or_default()));
        if let Some((to, order)) = before.filter(|(_, order)| order.in_flight(now)) {
            self.others.get_or_init().insert(to, order, now);
        }
    }
}

impl OtherFlows {
    fn insert(&mut self, to: Endpoint, order: FlowOrder, now: u64) {
        if self.flows.len() >= self.limit.max(MIN_LIMIT) {
            self.flows.retain(|_, order| order.in_flight(now));
            self.limit = 2 * self.flows.len();
        }
        self.flows.insert(to, order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::simulated::address::Net;

    fn to(port: u16) -> Endpoint {
        Endpoint { host: 1, port, net: Net::V4 }
    }

    fn arrives(orders: &mut FlowOrders, port: u16, now: u64, at: u64) {
        *orders.to(to(port), now) = FlowOrder { latest_in_order: at, last_sent_arrival: at };
    }

    #[test]
    fn flow_orders_are_kept_while_packets_are_in_flight() {
        let mut orders = FlowOrders::default();
        for port in 0..3 {
            arrives(&mut orders, port, 0, 10 + u64::from(port));
        }
        let known = [0, 1, 2].map(|port| orders.to(to(port), 1).latest_in_order);
        assert_eq!(known, [10, 11, 12]);
        assert_eq!(orders.to(to(7), 1).latest_in_order, 0, "a new flow");
    }

    #[test]
    fn flow_orders_of_finished_flows_are_removed() {
        let mut orders = FlowOrders::default();
        for nth in 0..10_000 {
            arrives(&mut orders, nth as u16, nth, nth + 5);
        }
        let kept = orders.others.get().map_or(0, |others| others.flows.len());
        assert!(kept <= MIN_LIMIT, "{kept} flows are kept");
    }
}
