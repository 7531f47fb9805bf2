//! How a connection comes about: handshakes, refusals, and SYNs that are lost, repeated or simultaneous.

use crate::net::simulated::tcp::rig::{client, server};
use crate::net::simulated::tcp::tests::linux;

#[test]
fn a_connection_opens_talks_and_closes() {
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
fn a_listener_answers() {
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
fn a_port_without_a_listener_refuses() {
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
fn a_reset_that_answers_nothing_sent_is_not_believed() {
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
fn syns_are_sent_again_as_linux_does_and_then_time_out() {
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
fn a_syn_ack_is_sent_again_and_then_forgotten() {
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
fn a_repeated_syn_gets_the_same_answer() {
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
fn a_repeated_syn_ack_is_acknowledged_again() {
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
fn data_completes_a_handshake_whose_ack_was_lost() {
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
fn both_ends_may_open_at_once() {
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
fn a_peer_without_options_gets_the_least() {
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
fn a_refused_half_open_connection_is_forgotten() {
    server(
        &linux(),
        "0   >  SYN+ACK 0 ack 1
         50  <  RST 1
         50  state Closed
         50  quiet",
    );
}

#[test]
fn an_abandoned_connect_ends_without_a_word() {
    client(
        &linux(),
        "0   >  SYN 0
         50  close
         50  state Closed
         50  quiet",
    );
}
