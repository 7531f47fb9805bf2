//! Tests of closing a connection: half-close, resets, keep-alive, orphans, and FINs that are lost
//! or simultaneous.

use std::time::Duration;

use crate::net::simulated::tcp::config::KeepAlive;
use crate::net::simulated::tcp::rig::{client, server};
use crate::net::simulated::tcp::tests::linux;

#[test]
fn shutdown_half_closes() {
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
fn close_with_unread_bytes_resets() {
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
fn data_for_a_closed_socket_is_answered_with_a_reset() {
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
fn linger_zero_resets_on_close() {
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
fn reset_is_reported_once_after_the_data_before_it() {
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
fn reset_with_an_unexpected_number_is_challenged() {
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
fn reset_in_close_wait_is_a_broken_pipe() {
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
fn keep_alive_probes_an_idle_connection() {
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
fn orphan_in_fin_wait_2_is_dropped() {
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
fn fin_lost_is_retransmitted() {
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
fn simultaneous_close() {
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
fn reset_ends_every_state() {
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

/// Also after the own write direction was shut down.
#[test]
fn close_with_unread_bytes_in_last_ack_resets() {
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

/// Answered probes do not keep an orphan: no process will read.
#[test]
fn orphan_with_a_closed_window_is_dropped() {
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
fn close_during_simultaneous_open_sends_a_fin_after_the_syn() {
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
fn syn_followed_by_a_fin_is_retransmitted_before_the_fin() {
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
fn syn_followed_by_a_fin_is_given_up() {
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
