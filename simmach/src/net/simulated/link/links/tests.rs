//! Tests of links: routes, latency, order, queues, partitions and clogs.

use std::time::Duration;

use crate::engine::{Scope, rig};
use crate::net::simulated::link::links::*;

const DRAW: PacketAddress = PacketAddress { flow: 1, number: 2, transmission: 0 };
const MS: u64 = 1_000_000;

impl Links {
    /// The fate of a packet if every draw is calm, as the draws of an ended process are.
    fn calm_fate(&mut self, path: PathIndex, now: u64, bytes: u64, draw: PacketAddress) -> Fate {
        let engine = rig::engine(0);
        engine.set_scope(Scope { alive: false, ..Scope::HARNESS });
        self.fate(&engine, path, now, bytes, draw, &mut FlowOrder::default())
    }

    /// The calm fate of the next packet of a flow, sent at time 0.
    fn next_fate(&mut self, path: PathIndex, order: &mut FlowOrder) -> Fate {
        let engine = rig::engine(0);
        engine.set_scope(Scope { alive: false, ..Scope::HARNESS });
        self.fate(&engine, path, 0, 1, DRAW, order)
    }
}

/// Adds two machines in zone `a` and one machine in zone `b`.
fn with_machines(mut links: Links) -> Links {
    let (a, b) = (links.zone("a"), links.zone("b"));
    for (machine, zone) in (0..).zip([a, a, b]) {
        links.add_machine(machine, zone, false);
    }
    links
}

fn arrival(fate: Fate) -> u64 {
    match fate {
        Fate::Arrives { at, .. } => at,
        other => panic!("{other:?}"),
    }
}

#[test]
fn zones_without_a_link_have_no_route() {
    let mut links = with_machines(Links::new(None));
    assert!(links.has_route(0, 1) && links.has_route(1, 1));
    assert!(!links.has_route(0, 2));
    let path = links.path(0, 2);
    assert_eq!(links.calm_fate(path, 0, 100, DRAW), Fate::NoRoute);
    links.join(0, 1, NetworkProfile::ideal_fixed());
    assert_eq!(arrival(links.calm_fate(path, 0, 100, DRAW)), 50 * MS);
    assert!(links.has_route(1, 2) && !links.has_route(2, 0));
    links.add_machine(2, links.zone_of(2), true);
    assert!(links.has_route(2, 0));
    assert!(with_machines(Links::new(Some(NetworkProfile::lan()))).has_route(0, 2));
}

#[test]
fn partition_has_a_direction_and_ends() {
    let mut links = with_machines(Links::new(Some(NetworkProfile::ideal_fixed())));
    let there = links.path(0, 2);
    links.partition(None, &[0, 2], &[2], true);
    let back = links.path(2, 0);
    let own = links.path(2, 2);
    assert_eq!(links.calm_fate(there, 0, 1, DRAW), Fate::Partitioned);
    assert_eq!(arrival(links.calm_fate(back, 0, 1, DRAW)), 50 * MS);
    assert_eq!(arrival(links.calm_fate(own, 0, 1, DRAW)), LOOPBACK_LATENCY);
    links.heal_all();
    assert_eq!(arrival(links.calm_fate(there, 0, 1, DRAW)), 50 * MS);
}

#[test]
fn partition_by_two_owners_must_be_healed_by_both() {
    let mut links = with_machines(Links::new(Some(NetworkProfile::ideal_fixed())));
    let path = links.path(0, 2);
    for owner in [None, Some(7)] {
        links.partition(owner, &[0], &[2], true);
    }
    links.partition(Some(7), &[0], &[2], false);
    assert_eq!(links.calm_fate(path, 0, 1, DRAW), Fate::Partitioned);
    links.partition(None, &[0], &[2], false);
    assert_eq!(arrival(links.calm_fate(path, 0, 1, DRAW)), 50 * MS);
}

#[test]
fn changed_links_are_restored() {
    let mut links = with_machines(Links::new(None));
    links.join(0, 1, NetworkProfile::ideal_fixed());
    let path = links.path(0, 2);
    assert!(!links.restore());
    for millis in [1, 2] {
        let profile = NetworkProfile::fixed(Duration::from_millis(millis));
        links.rejoin(0, 1, profile.clone());
        links.rejoin(1, 0, profile);
    }
    assert_eq!(arrival(links.calm_fate(path, 0, 1, DRAW)), 2 * MS);
    links.save_original();
    links.join_pair(0, 2, NetworkProfile::fixed(Duration::from_millis(3)));
    assert_eq!(arrival(links.calm_fate(path, 0, 1, DRAW)), 3 * MS);
    assert!(links.has_route(2, 0) && links.restore());
    assert_eq!(arrival(links.calm_fate(path, 0, 1, DRAW)), 50 * MS);
    assert!(!links.has_route(2, 0));
}

#[test]
fn bandwidth_queues_and_then_drops() {
    let profile = NetworkProfile::fixed(Duration::from_millis(1)).bandwidth(1_000_000, 2_500);
    let mut links = with_machines(Links::new(Some(profile)));
    let path = links.path(0, 2);
    let mut send = |now: u64| links.calm_fate(path, now, 1_000, DRAW);
    // 1,000 bytes take 1 ms; 2,500 may wait.
    assert_eq!(arrival(send(0)), 2 * MS);
    assert_eq!(arrival(send(0)), 3 * MS);
    assert_eq!(send(0), Fate::QueueFull);
    assert_eq!(arrival(send(MS)), 4 * MS);
    assert_eq!(arrival(send(9 * MS)), 11 * MS);
}

/// Both machines of zone a share the queue; the other direction has its own.
#[test]
fn shared_bandwidth_has_one_queue() {
    let shared = |shared: bool| {
        let profile = NetworkProfile::fixed(Duration::from_millis(1));
        let profile = match shared {
            true => profile.shared_bandwidth(1_000_000, 2_500),
            false => profile.bandwidth(1_000_000, 2_500),
        };
        let mut links = with_machines(Links::new(None));
        links.join(0, 1, profile.clone());
        links.join(1, 0, profile);
        let paths = [(0, 2), (1, 2), (2, 0)].map(|(from, to)| links.path(from, to));
        let [one, two, back] = paths;
        [one, two, one, back].map(|path| links.calm_fate(path, 0, 1_000, DRAW))
    };
    let at =
        |ms: u64| Fate::Arrives { at: ms * MS, copy_at: None, deferred: false, overtakes: false };
    assert_eq!(shared(true), [at(2), at(3), Fate::QueueFull, at(2)]);
    assert_eq!(shared(false), [at(2), at(2), at(3), at(2)]);
}

#[test]
fn falling_latency_reorders_unless_in_order() {
    let mut links = with_machines(Links::new(Some(NetworkProfile::reverse_latency())));
    let path = links.path(0, 2);
    let mut order = FlowOrder::default();
    assert_eq!(arrival(links.next_fate(path, &mut order)), 50 * MS);
    assert_eq!(
        links.next_fate(path, &mut order),
        Fate::Arrives { at: 48 * MS, copy_at: None, deferred: false, overtakes: true }
    );
    assert_eq!(
        links.next_fate(path, &mut FlowOrder::default()),
        Fate::Arrives { at: 46 * MS, copy_at: None, deferred: false, overtakes: false },
        "another flow"
    );
    links.join(0, 1, NetworkProfile::reverse_latency().in_order(true));
    assert_eq!(arrival(links.next_fate(path, &mut order)), 50 * MS);
    assert_eq!(arrival(links.next_fate(path, &mut FlowOrder::default())), 42 * MS);
}

/// With jitter of every distribution, packets of one flow keep their order, and overtake packets of other flows.
#[test]
fn jitter_keeps_the_order_of_a_flow_only() {
    let ms = Duration::from_millis;
    let own = |unit: f64| Duration::from_millis(1).mul_f64(20.0 * unit);
    for profile in [
        NetworkProfile::lan(),
        NetworkProfile::azure_intranet(),
        NetworkProfile::cross_region(),
        NetworkProfile::mobile_2g(),
        NetworkProfile::mobile_4g(),
        NetworkProfile::internet().reorder(0.0, Duration::ZERO),
        NetworkProfile::mobile_3g().reorder(0.0, Duration::ZERO).duplication(0.5),
        NetworkProfile::uniform(ms(1), ms(90)),
        NetworkProfile::normal(ms(50), ms(20)),
        NetworkProfile::log_normal(ms(50), 0.5),
        NetworkProfile::latency_by(own),
    ] {
        let mut links = with_machines(Links::new(Some(profile.clone())));
        let path = links.path(0, 2);
        let engine = rig::engine(3);
        let mut orders = [FlowOrder::default(); 2];
        let (mut last, mut overtakes_another_flow) = ([0, 0], false);
        for nth in 0..2_000_u64 {
            let flow = (nth % 2) as usize;
            let draw = PacketAddress { flow: nth % 2, number: nth, transmission: 0 };
            let now = nth * MS / 100;
            let fate = links.fate(&engine, path, now, 100, draw, &mut orders[flow]);
            let Fate::Arrives { at, copy_at, overtakes, .. } = fate else { continue };
            assert!(!overtakes && at >= last[flow], "{profile:?}");
            assert!(copy_at.is_none_or(|copy_at| copy_at >= last[flow]), "{profile:?}");
            overtakes_another_flow |= at < last[1 - flow];
            last[flow] = at;
        }
        assert!(overtakes_another_flow, "{profile:?}");
    }
}

/// Packets are held back at the given rate; the others keep their order.
#[test]
fn held_back_packets_are_overtaken_at_their_rate() {
    let held = Duration::from_millis(50);
    let profile = NetworkProfile::fixed(Duration::from_millis(5)).reorder(0.01, held);
    let mut links = with_machines(Links::new(Some(profile)));
    let path = links.path(0, 2);
    let engine = rig::engine(3);
    let mut order = FlowOrder::default();
    let mut late = 0;
    for nth in 0..10_000_u64 {
        let draw = PacketAddress { flow: 1, number: nth, transmission: 0 };
        let now = nth * MS;
        let at = arrival(links.fate(&engine, path, now, 100, draw, &mut order));
        late += u32::from(at > now + 5 * MS);
        assert!(at >= now + 5 * MS && at <= now + 55 * MS);
    }
    assert!((70..130).contains(&late), "{late} of 10,000 were held back");
}

#[test]
fn released_packets_are_not_overtaken() {
    let ms = Duration::from_millis;
    let mut links = with_machines(Links::new(Some(NetworkProfile::fixed(ms(50)))));
    let path = links.path(0, 2);
    links.clog(&[0], &[2], true, 0);
    let mut order = FlowOrder::default();
    assert_eq!(links.next_fate(path, &mut order), Fate::Held(50 * MS));
    links.hold(path, 0, 50 * MS);
    assert_eq!(links.clog(&[0], &[2], false, 10 * MS), [(0, 60 * MS)]);
    links.join(0, 1, NetworkProfile::fixed(ms(1)));
    assert_eq!(arrival(links.next_fate(path, &mut order)), 60 * MS);
}

#[test]
fn clog_holds_and_releases_in_order() {
    let mut links = with_machines(Links::new(Some(NetworkProfile::reverse_latency())));
    let path = links.path(0, 2);
    assert!(links.clog(&[0], &[2], true, 0).is_empty());
    for slot in 0..3 {
        match links.calm_fate(path, 0, 1, DRAW) {
            Fate::Held(latency) => links.hold(path, slot, latency),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        links.clog(&[0], &[2], false, 1000 * MS),
        [(0, 1050 * MS), (1, 1050 * MS), (2, 1050 * MS)]
    );
}

/// A link that keeps the order lets packets overtake those it holds back.
#[test]
fn held_back_packets_are_overtaken_on_an_in_order_link() {
    let mut links =
        with_machines(Links::new(Some(NetworkProfile::fixed(Duration::from_millis(50)))));
    let path = links.path(0, 2);
    let millis = Duration::from_millis;
    let held = NetworkProfile::fixed(millis(50)).in_order(true).reorder(1.0, millis(40));
    links.join(0, 1, held);
    // Calm draws hold nothing back, so the order is set by hand.
    let mut order = FlowOrder { latest_in_order: 0, last_sent_arrival: 90 * MS };
    let fate = links.next_fate(path, &mut order);
    assert_eq!(
        fate,
        Fate::Arrives { at: 50 * MS, copy_at: None, deferred: false, overtakes: true }
    );
}

/// With calm draws nothing is lost and the latency is the median.
#[test]
fn calm_draws_do_nothing() {
    let profile = NetworkProfile::mobile_3g().duplication(0.5).reorder(0.5, Duration::from_secs(1));
    let mut links = with_machines(Links::new(Some(profile)));
    let path = links.path(0, 2);
    assert_eq!(
        links.calm_fate(path, 0, 1, DRAW),
        Fate::Arrives { at: 300 * MS, copy_at: None, deferred: false, overtakes: false }
    );
}
