//! Tests of opening a connection: handshakes, refusals, and SYNs that are lost, repeated or
//! simultaneous.

use crate::net::simulated::tcp::rig::{client, server};
use crate::net::simulated::tcp::tests::linux;

#[test]
fn connection_opens_transfers_and_closes() {
    client(
        &linux(),
        "0    >  SYN 0
         0    state SynSent
         50   <  SYN+ACK 0 ack 1
         50   >  ACK 1 ack 1
         50   state Established
         60   write hello
         60   >  PSH+ACK 1 ack 1 'hello'
         110  <  PSH+ACK 1 ack 6 'world'
         110  read world
         150  >  ACK 6 ack 6
         200  close
         200  >  FIN+ACK 6 ack 6
         200  state FinWait1
         250  <  ACK 6 ack 7
         250  state FinWait2
         300  <  FIN+ACK 6 ack 7
         300  >  ACK 7 ack 7
         300  state TimeWait
         60299 state TimeWait
         60300 state Closed
         60300 quiet",
    );
}

#[test]
fn syn_is_answered_by_a_listener() {
    server(
        &linux(),
        "0   >  SYN+ACK 0 ack 1
         0   state SynReceived
         50  <  ACK 1 ack 1
         50  state Established
         50  quiet
         60  <  PSH+ACK 1 ack 1 'ping'
         60  read ping
         60  write pong
         60  >  PSH+ACK 1 ack 5 'pong'
         99  <  FIN+ACK 5 ack 5
         99  >  ACK 5 ack 6
         99  state CloseWait
         99  eof
         99  eof
         100 close
         100 >  FIN+ACK 5 ack 6
         100 state LastAck
         150 <  ACK 6 ack 6
         150 state Closed
         150 quiet",
    );
}

#[test]
fn syn_to_a_closed_port_is_refused() {
    client(
        &linux(),
        "0   >  SYN 0
         50  <  RST+ACK 0 ack 1
         50  state Closed
         50  write-fails Refused
         50  write-fails BrokenPipe
         50  eof
         50  quiet",
    );
}

#[test]
fn reset_with_a_wrong_ack_is_ignored_in_syn_sent() {
    client(
        &linux(),
        "0   >  SYN 0
         50  <  RST+ACK 0 ack 7
         50  <  RST 0
         60  <  ACK 0 ack 7
         60  >  RST 7
         50  state SynSent",
    );
}

#[test]
fn syn_is_retransmitted_as_on_linux_and_times_out() {
    client(
        &linux(),
        "0      >  SYN 0
         1000   >  SYN 0
         3000   >  SYN 0
         7000   >  SYN 0
         15000  >  SYN 0
         31000  >  SYN 0
         63000  >  SYN 0
         126999 state SynSent
         127000 state Closed
         127000 write-fails TimedOut",
    );
}

#[test]
fn syn_ack_is_retransmitted_and_given_up() {
    server(
        &linux(),
        "0      >  SYN+ACK 0 ack 1
         1000   >  SYN+ACK 0 ack 1
         3000   >  SYN+ACK 0 ack 1
         7000   >  SYN+ACK 0 ack 1
         15000  >  SYN+ACK 0 ack 1
         31000  >  SYN+ACK 0 ack 1
         62999  state SynReceived
         63000  state Closed
         63000  quiet",
    );
}

#[test]
fn duplicate_syn_gets_the_same_answer() {
    server(
        &linux(),
        "0      >  SYN+ACK 0 ack 1
         500    <  SYN 0
         500    >  SYN+ACK 0 ack 1
         600    <  ACK 1 ack 1
         600    state Established",
    );
}

#[test]
fn duplicate_syn_ack_is_acknowledged_again() {
    client(
        &linux(),
        "0    >  SYN 0
         50   <  SYN+ACK 0 ack 1
         50   >  ACK 1 ack 1
         1050 <  SYN+ACK 0 ack 1
         1050 >  ACK 1 ack 1
         1050 state Established",
    );
}

#[test]
fn handshake_with_a_lost_ack_is_completed_by_data() {
    server(
        &linux(),
        "0   >  SYN+ACK 0 ack 1
         60  <  PSH+ACK 1 ack 1 'ping'
         60  state Established
         60  read ping
         100 >  ACK 1 ack 5",
    );
}

#[test]
fn simultaneous_open() {
    client(
        &linux(),
        "0   >  SYN 0
         10  <  SYN 0
         10  >  SYN+ACK 0 ack 1
         10  state SynReceived
         20  <  SYN+ACK 0 ack 1
         20  >  ACK 1 ack 1
         20  state Established",
    );
}

#[test]
fn peer_without_options_gets_the_default_mss() {
    client(
        &linux(),
        "0    >  SYN 0
         100  <  SYN+ACK 0 ack 1 bare
         100  >  ACK 1 ack 1 win 65535
         100  write *600
         100  >  ACK 1 ack 1 len 536
         100  >  PSH+ACK 537 ack 1 len 64",
    );
}

#[test]
fn half_open_connection_that_is_reset_is_dropped() {
    server(
        &linux(),
        "0   >  SYN+ACK 0 ack 1
         50  <  RST 1
         50  state Closed
         50  quiet",
    );
}

#[test]
fn abandoned_connect_sends_nothing() {
    client(
        &linux(),
        "0   >  SYN 0
         50  close
         50  state Closed
         50  quiet",
    );
}
