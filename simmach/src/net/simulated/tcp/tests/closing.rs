//! How a connection ends: half-close, resets, keep-alive, orphans, and FINs that are lost or simultaneous.

use std::time::Duration;

use crate::net::simulated::tcp::config::KeepAlive;
use crate::net::simulated::tcp::rig::{client, server};
use crate::net::simulated::tcp::tests::linux;

#[test]
fn half_of_a_connection_can_be_shut() {
    client(
        &linux(),
        "0    >  SYN 0
         100  <  SYN+ACK 0 ack 1
         100  >  ACK 1 ack 1
         100  write bye
         100  >  PSH+ACK 1 ack 1 'bye'
         100  shutdown
         100  >  FIN+ACK 4 ack 1
         100  write-fails BrokenPipe
         200  <  PSH+ACK 1 ack 5 'late'
         200  state FinWait2
         200  read late
         240  >  ACK 5 ack 5
         900000 state FinWait2
         900000 <  FIN+ACK 5 ack 5
         900000 >  ACK 5 ack 6
         900000 eof
         900000 state TimeWait",
    );
}

#[test]
fn unread_bytes_make_a_close_a_reset() {
    server(
        &linux(),
        "0   >  SYN+ACK 0 ack 1
         10  <  ACK 1 ack 1
         20  <  PSH+ACK 1 ack 1 'ping'
         30  close
         30  >  RST+ACK 1 ack 5
         30  state Closed
         30  quiet",
    );
}

#[test]
fn bytes_for_a_closed_socket_are_answered_with_a_reset() {
    client(
        &linux(),
        "0    >  SYN 0
         100  <  SYN+ACK 0 ack 1
         100  >  ACK 1 ack 1
         100  close
         100  >  FIN+ACK 1 ack 1
         200  <  PSH+ACK 1 ack 2 'late'
         200  >  RST+ACK 2 ack 1
         200  state Closed",
    );
}

#[test]
fn linger_zero_is_a_reset() {
    client(
        &linux(),
        "0    >  SYN 0
         100  <  SYN+ACK 0 ack 1
         100  >  ACK 1 ack 1
         100  write data
         100  >  PSH+ACK 1 ack 1 'data'
         100  close-hard
         100  >  RST+ACK 5 ack 1
         100  state Closed",
    );
}

#[test]
fn a_reset_is_told_once_after_what_came_before_it() {
    server(
        &linux(),
        "0   >  SYN+ACK 0 ack 1
         10  <  ACK 1 ack 1
         20  <  PSH+ACK 1 ack 1 'ping'
         30  <  RST 5
         30  state Closed
         30  read ping
         30  read-fails Reset
         30  eof
         30  write-fails BrokenPipe
         30  quiet",
    );
}

#[test]
fn a_reset_out_of_place_must_prove_itself() {
    server(
        &linux(),
        "0   >  SYN+ACK 0 ack 1
         10  <  ACK 1 ack 1
         20  <  RST 9
         20  >  ACK 1 ack 1
         20  state Established
         30  <  RST 200000
         30  nothing
         40  <  SYN 3
         40  >  ACK 1 ack 1
         40  state Established
         50  <  RST 1
         50  state Closed",
    );
}

#[test]
fn a_reset_of_a_half_closed_connection_breaks_the_pipe() {
    server(
        &linux(),
        "0   >  SYN+ACK 0 ack 1
         10  <  ACK 1 ack 1
         20  <  FIN+ACK 1 ack 1
         20  >  ACK 1 ack 2
         20  write late
         20  >  PSH+ACK 1 ack 2 'late'
         30  <  RST 2
         30  write-fails BrokenPipe",
    );
}

#[test]
fn silence_is_probed_where_asked() {
    let config = linux().keep_alive(Some(KeepAlive {
        idle: Duration::from_secs(10),
        interval: Duration::from_secs(1),
        probes: 2,
    }));
    client(
        &config,
        "0     >  SYN 0
         100   <  SYN+ACK 0 ack 1
         100   >  ACK 1 ack 1
         10100 >  ACK 0 ack 1
         10200 <  ACK 1 ack 1
         20200 >  ACK 0 ack 1
         21200 >  ACK 0 ack 1
         22199 state Established
         22200 read-fails TimedOut",
    );
}

#[test]
fn an_orphan_does_not_wait_for_ever() {
    client(
        &linux(),
        "0     >  SYN 0
         100   <  SYN+ACK 0 ack 1
         100   >  ACK 1 ack 1
         200   close
         200   >  FIN+ACK 1 ack 1
         300   <  ACK 1 ack 2
         300   state FinWait2
         60299 state FinWait2
         60300 state Closed",
    );
}

#[test]
fn a_lost_fin_is_sent_again() {
    client(
        &linux(),
        "0     >  SYN 0
         100   <  SYN+ACK 0 ack 1
         100   >  ACK 1 ack 1
         200   close
         200   >  FIN+ACK 1 ack 1
         500   >  FIN+ACK 1 ack 1
         1100  >  FIN+ACK 1 ack 1
         1200  <  FIN+ACK 1 ack 2
         1200  >  ACK 2 ack 2
         1200  state TimeWait
         2000  <  FIN+ACK 1 ack 2
         2000  >  ACK 2 ack 2
         61999 state TimeWait
         62000 state Closed",
    );
}

#[test]
fn both_ends_may_close_at_once() {
    client(
        &linux(),
        "0     >  SYN 0
         100   <  SYN+ACK 0 ack 1
         100   >  ACK 1 ack 1
         200   close
         200   >  FIN+ACK 1 ack 1
         210   <  FIN+ACK 1 ack 1
         210   >  ACK 2 ack 2
         210   state Closing
         300   <  ACK 2 ack 2
         300   state TimeWait",
    );
}

#[test]
fn a_reset_ends_every_state() {
    let closed = "0 > SYN 0
         100 < SYN+ACK 0 ack 1
         100 > ACK 1 ack 1
         100 close
         100 > FIN+ACK 1 ack 1";
    client(&linux(), &format!("{closed}\n 150 < RST 1\n 150 state Closed"));
    client(
        &linux(),
        &format!(
            "{closed}\n 120 < ACK 1 ack 2\n 120 state FinWait2\n 150 < RST 1\n 150 state Closed"
        ),
    );
    client(
        &linux(),
        &format!(
            "{closed}
             120 < FIN+ACK 1 ack 1
             120 > ACK 2 ack 2
             120 state Closing
             150 < RST 2
             150 state Closed"
        ),
    );
    client(
        &linux(),
        &format!(
            "{closed}
             120 < FIN+ACK 1 ack 2
             120 > ACK 2 ack 2
             120 state TimeWait
             150 < RST 2
             150 state Closed"
        ),
    );
    server(
        &linux(),
        "0   >  SYN+ACK 0 ack 1
         10  <  FIN+ACK 1 ack 1
         10  >  ACK 1 ack 2
         10  close
         10  >  FIN+ACK 1 ack 2
         10  state LastAck
         20  <  RST 2
         20  state Closed",
    );
}

/// Also where the program has shut its own half before.
#[test]
fn unread_bytes_make_a_close_a_reset_in_last_ack_too() {
    server(
        &linux(),
        "0   >  SYN+ACK 0 ack 1
         10  <  ACK 1 ack 1
         20  <  PSH+ACK 1 ack 1 'ping'
         30  <  FIN+ACK 5 ack 1
         30  >  ACK 1 ack 6
         40  shutdown
         40  >  FIN+ACK 1 ack 6
         40  state LastAck
         50  close
         50  >  RST+ACK 2 ack 6
         50  state Closed",
    );
}

/// Though its probes are answered: nobody is left who could wait.
#[test]
fn an_orphan_does_not_wait_for_a_reader_for_ever() {
    client(
        &linux().rto(Duration::from_secs(1), Duration::from_millis(200), Duration::from_secs(1)),
        "0    >  SYN 0
         100  <  SYN+ACK 0 ack 1
         100  >  ACK 1 ack 1
         100  write *1500
         100  >  ACK 1 ack 1 len 1000
         100  >  PSH+ACK 1001 ack 1 len 500
         200  <  ACK 1 ack 1501 win 0
         200  write abc
         250  close
         500  >  ACK 1500 ack 1
         550  <  ACK 1 ack 1501 win 0
         1100 >  ACK 1500 ack 1
         1150 <  ACK 1 ack 1501 win 0
         2099 state FinWait1
         2100 state Closed
         2100 quiet",
    );
}

#[test]
fn what_is_closed_before_it_is_open_ends_by_a_fin_behind_the_syn() {
    client(
        &linux(),
        "0    >  SYN 0
         10   <  SYN 0
         10   >  SYN+ACK 0 ack 1
         60   close
         60   >  FIN+ACK 1 ack 1
         70   <  SYN+ACK 0 ack 1
         70   >  ACK 2 ack 1
         70   state FinWait1
         80   <  ACK 1 ack 2
         80   state FinWait2
         90   <  FIN+ACK 1 ack 2
         90   >  ACK 2 ack 2
         90   state TimeWait",
    );
}

#[test]
fn a_syn_with_a_fin_behind_it_is_sent_again_and_then_the_fin() {
    client(
        &linux(),
        "0    >  SYN 0
         10   <  SYN 0
         10   >  SYN+ACK 0 ack 1
         60   close
         60   >  FIN+ACK 1 ack 1
         1000 >  SYN+ACK 0 ack 1
         1100 <  SYN 0
         1100 >  SYN+ACK 0 ack 1
         1200 <  ACK 1 ack 1
         1200 state FinWait1
         4200 >  FIN+ACK 1 ack 1
         4300 <  ACK 1 ack 2
         4300 state FinWait2",
    );
}

#[test]
fn a_syn_with_a_fin_behind_it_is_given_up() {
    client(
        &linux(),
        "0    >  SYN 0
         10   <  SYN 0
         10   >  SYN+ACK 0 ack 1
         60   close
         60   >  FIN+ACK 1 ack 1
         70   <  ACK 1 ack 7
         70   >  RST 7
         70   state FinWait1
         1000 >  SYN+ACK 0 ack 1
         3000 >  SYN+ACK 0 ack 1
         7000 >  SYN+ACK 0 ack 1
         15000 >  SYN+ACK 0 ack 1
         31000 >  SYN+ACK 0 ack 1
         63000 >  SYN+ACK 0 ack 1
         200000 state Closed",
    );
}
