//! Tests of every transition in the state diagram of RFC 9293 (figure 5) and in its notes: resets,
//! aborts and timeouts.
//!
//! LISTEN is a state of listeners, not of connections. Its transitions are tested in
//! `net/tests/listening.rs`, except the SYN that creates a connection. The transition from LISTEN
//! to SYN-SENT does not exist, since a listening socket cannot connect.

use std::collections::BTreeSet;

use crate::net::simulated::tcp::config::TcpConfig;
use crate::net::simulated::tcp::rig::{client, server};

/// Which end opens the connection.
#[derive(Clone, Copy)]
enum Opener {
    Here,
    ByPeer,
}
use Opener::{ByPeer, Here};

/// A transition: the state before, the state after, who opens the connection, the script up to the
/// first state, and the step at 60 ms with the segments that it must send.
type Transition = (&'static str, &'static str, Opener, &'static [&'static str], &'static str);

const SYN: &str = "0 > SYN 0";
const SYN_ACK: &str = "0 > SYN+ACK 0 ack 1";
const CROSSED: &str = "10 < SYN 0\n10 > SYN+ACK 0 ack 1";
const OPEN: &str = "10 < SYN+ACK 0 ack 1\n10 > ACK 1 ack 1";
const CLOSE: &str = "20 close\n20 > FIN+ACK 1 ack 1";
const FIN_ACKED: &str = "30 < ACK 1 ack 2";
const FIN_CAME: &str = "20 < FIN+ACK 1 ack 1\n20 > ACK 1 ack 2";
const FIN_CROSSED: &str = "30 < FIN+ACK 1 ack 1\n30 > ACK 2 ack 2";
const FIN_CAME_LAST: &str = "40 < FIN+ACK 1 ack 2\n40 > ACK 2 ack 2";
const CLOSE_LAST: &str = "30 close\n30 > FIN+ACK 1 ack 2";

const TRANSITIONS: &[Transition] = &[
    // The diagram, from the top.
    ("Listen", "SynReceived", ByPeer, &[], "60 nothing"),
    ("Closed", "SynSent", Here, &[], "60 nothing"),
    ("SynSent", "SynReceived", Here, &[SYN], "60 < SYN 0\n60 > SYN+ACK 0 ack 1"),
    ("SynSent", "Established", Here, &[SYN], "60 < SYN+ACK 0 ack 1\n60 > ACK 1 ack 1"),
    ("SynSent", "Closed", Here, &[SYN], "60 close"),
    ("SynReceived", "Established", ByPeer, &[SYN_ACK], "60 < ACK 1 ack 1"),
    ("SynReceived", "Established", Here, &[SYN, CROSSED], "60 < SYN+ACK 0 ack 1\n60 > ACK 1 ack 1"),
    // No data is queued, so the FIN does not wait for an acknowledgement of the SYN.
    ("SynReceived", "FinWait1", Here, &[SYN, CROSSED], "60 close\n60 > FIN+ACK 1 ack 1"),
    ("Established", "FinWait1", Here, &[SYN, OPEN], "60 close\n60 > FIN+ACK 1 ack 1"),
    ("Established", "FinWait1", Here, &[SYN, OPEN], "60 shutdown\n60 > FIN+ACK 1 ack 1"),
    ("Established", "CloseWait", Here, &[SYN, OPEN], "60 < FIN+ACK 1 ack 1\n60 > ACK 1 ack 2"),
    ("FinWait1", "FinWait2", Here, &[SYN, OPEN, CLOSE], "60 < ACK 1 ack 2"),
    // One acknowledgement for the SYN and the FIN after it, and with it the peer's FIN.
    ("FinWait1", "FinWait2", Here, &[SYN, CROSSED, CLOSE], "60 < ACK 1 ack 2"),
    ("FinWait1", "Closing", Here, &[SYN, CROSSED, CLOSE], "60 < FIN+ACK 1 ack 1\n60 > ACK 2 ack 2"),
    (
        "FinWait1",
        "TimeWait",
        Here,
        &[SYN, CROSSED, CLOSE],
        "60 < FIN+ACK 1 ack 2\n60 > ACK 2 ack 2",
    ),
    ("FinWait1", "Closed", Here, &[SYN, CROSSED, CLOSE], "60 < RST 1"),
    ("FinWait1", "Closing", Here, &[SYN, OPEN, CLOSE], "60 < FIN+ACK 1 ack 1\n60 > ACK 2 ack 2"),
    ("FinWait1", "TimeWait", Here, &[SYN, OPEN, CLOSE], "60 < FIN+ACK 1 ack 2\n60 > ACK 2 ack 2"),
    (
        "FinWait2",
        "TimeWait",
        Here,
        &[SYN, OPEN, CLOSE, FIN_ACKED],
        "60 < FIN+ACK 1 ack 2\n60 > ACK 2 ack 2",
    ),
    ("Closing", "TimeWait", Here, &[SYN, OPEN, CLOSE, FIN_CROSSED], "60 < ACK 2 ack 2"),
    ("CloseWait", "LastAck", Here, &[SYN, OPEN, FIN_CAME], "60 close\n60 > FIN+ACK 1 ack 2"),
    ("CloseWait", "LastAck", Here, &[SYN, OPEN, FIN_CAME], "60 shutdown\n60 > FIN+ACK 1 ack 2"),
    ("LastAck", "Closed", Here, &[SYN, OPEN, FIN_CAME, CLOSE_LAST], "60 < ACK 2 ack 2"),
    (
        "TimeWait",
        "Closed",
        Here,
        &[SYN, OPEN, CLOSE, FIN_ACKED, FIN_CAME_LAST],
        // Two maximum segment lifetimes after the last FIN: Linux waits one minute.
        "60039.999 state TimeWait\n60040 nothing",
    ),
    // Resets. A passive open returns to LISTEN: the connection is removed, and the listener remains.
    ("SynSent", "Closed", Here, &[SYN], "60 < RST+ACK 0 ack 1"),
    ("SynReceived", "Closed", ByPeer, &[SYN_ACK], "60 < RST 1"),
    ("SynReceived", "Closed", Here, &[SYN, CROSSED], "60 < RST 1"),
    ("Established", "Closed", Here, &[SYN, OPEN], "60 < RST 1"),
    ("FinWait1", "Closed", Here, &[SYN, OPEN, CLOSE], "60 < RST 1"),
    ("FinWait2", "Closed", Here, &[SYN, OPEN, CLOSE, FIN_ACKED], "60 < RST 1"),
    ("Closing", "Closed", Here, &[SYN, OPEN, CLOSE, FIN_CROSSED], "60 < RST 2"),
    ("CloseWait", "Closed", Here, &[SYN, OPEN, FIN_CAME], "60 < RST 2"),
    ("LastAck", "Closed", Here, &[SYN, OPEN, FIN_CAME, CLOSE_LAST], "60 < RST 2"),
    ("TimeWait", "Closed", Here, &[SYN, OPEN, CLOSE, FIN_ACKED, FIN_CAME_LAST], "60 < RST 2"),
    // ABORT, which is a close with SO_LINGER 0.
    ("SynSent", "Closed", Here, &[SYN], "60 close-hard"),
    ("SynReceived", "Closed", Here, &[SYN, CROSSED], "60 close-hard\n60 > RST+ACK 1 ack 1"),
    ("Established", "Closed", Here, &[SYN, OPEN], "60 close-hard\n60 > RST+ACK 1 ack 1"),
    (
        "FinWait1",
        "Closed",
        Here,
        &[SYN, OPEN, "20 shutdown\n20 > FIN+ACK 1 ack 1"],
        "60 close-hard\n60 > RST+ACK 2 ack 1",
    ),
    (
        "FinWait2",
        "Closed",
        Here,
        &[SYN, OPEN, "20 shutdown\n20 > FIN+ACK 1 ack 1", FIN_ACKED],
        "60 close-hard\n60 > RST+ACK 2 ack 1",
    ),
    ("CloseWait", "Closed", Here, &[SYN, OPEN, FIN_CAME], "60 close-hard\n60 > RST+ACK 1 ack 2"),
    // User timeout: no retransmission was answered.
    ("SynReceived", "Closed", ByPeer, &[SYN_ACK], TIMES_OUT),
    (
        "FinWait2",
        "Closed",
        Here,
        &[SYN, OPEN, CLOSE, FIN_ACKED],
        "60029.999 state FinWait2\n60030 nothing",
    ),
];

/// Handshake timeout, with one retry.
const TIMES_OUT: &str = "1000 > SYN+ACK 0 ack 1\n2999.999 state SynReceived\n3000 nothing";

/// The arrows of the figure, and a reset for every state with a peer.
const FIGURE: &[(&str, &str)] = &[
    ("Closed", "SynSent"),
    ("Listen", "SynReceived"),
    ("SynSent", "SynReceived"),
    ("SynSent", "Established"),
    ("SynSent", "Closed"),
    ("SynReceived", "Established"),
    ("SynReceived", "FinWait1"),
    ("SynReceived", "Closed"),
    ("Established", "FinWait1"),
    ("Established", "CloseWait"),
    ("Established", "Closed"),
    ("FinWait1", "FinWait2"),
    ("FinWait1", "Closing"),
    ("FinWait1", "TimeWait"),
    ("FinWait1", "Closed"),
    ("FinWait2", "TimeWait"),
    ("FinWait2", "Closed"),
    ("Closing", "TimeWait"),
    ("Closing", "Closed"),
    ("CloseWait", "LastAck"),
    ("CloseWait", "Closed"),
    ("LastAck", "Closed"),
    ("TimeWait", "Closed"),
];

#[test]
fn transitions_of_the_diagram_are_made() {
    let config = TcpConfig::new().syn_ack_retries(1);
    for (from, to, opened, before, event) in TRANSITIONS {
        let first = match opened {
            Here => SYN,
            ByPeer => SYN_ACK,
        };
        let (before, seen) = match before {
            // The first segment is itself the transition.
            [] => (vec![first], String::new()),
            before => (before.to_vec(), format!("59 state {from}")),
        };
        let at = event.rsplit_once('\n').map_or(*event, |(_, last)| last);
        let (at, _) = at.split_once(' ').expect("a time and a step");
        let script = format!("{}\n{seen}\n{event}\n{at} state {to}", before.join("\n"));
        eprintln!("{from} to {to}:\n{script}\n");
        match opened {
            Here => client(&config, &script),
            ByPeer => server(&config, &script),
        }
    }
}

#[test]
fn transitions_of_the_diagram_are_complete() {
    let made: BTreeSet<_> = TRANSITIONS.iter().map(|(from, to, ..)| (*from, *to)).collect();
    let figure: BTreeSet<_> = FIGURE.iter().copied().collect();
    assert_eq!(made, figure);
}
