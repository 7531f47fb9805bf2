//! Tests of data transfer: retransmission, order, acknowledgements, windows and buffers.

use std::time::Duration;

use crate::net::simulated::tcp::rig::{client, server};
use crate::net::simulated::tcp::tests::linux;

#[test]
fn lost_data_is_retransmitted_with_back_off() {
    client(
        &linux(),
        "0    >  SYN 0
         100  <  SYN+ACK 0 ack 1
         100  >  ACK 1 ack 1
         100  write data
         100  >  PSH+ACK 1 ack 1 'data'
         400  >  PSH+ACK 1 ack 1 'data'
         1000 >  PSH+ACK 1 ack 1 'data'
         2200 >  PSH+ACK 1 ack 1 'data'
         2300 <  ACK 1 ack 5
         2300 quiet",
    );
}

/// Karn's algorithm: the acknowledgement of a retransmitted segment is ambiguous. The timeout still
/// follows from the 100 ms of the handshake. The 1.3 s until this acknowledgement do not change it.
#[test]
fn retransmitted_segments_are_not_measured() {
    client(
        &linux(),
        "0    >  SYN 0
         100  <  SYN+ACK 0 ack 1
         100  >  ACK 1 ack 1
         100  write data
         100  >  PSH+ACK 1 ack 1 'data'
         400  >  PSH+ACK 1 ack 1 'data'
         1000 >  PSH+ACK 1 ack 1 'data'
         1400 <  ACK 1 ack 5
         1400 write more
         1400 >  PSH+ACK 5 ack 1 'more'
         1700 >  PSH+ACK 5 ack 1 'more'",
    );
}

#[test]
fn rto_after_a_repeated_handshake_is_long() {
    client(
        &linux(),
        "0    >  SYN 0
         1000 >  SYN 0
         1100 <  SYN+ACK 0 ack 1
         1100 >  ACK 1 ack 1
         1100 write data
         1100 >  PSH+ACK 1 ack 1 'data'
         4100 >  PSH+ACK 1 ack 1 'data'",
    );
}

#[test]
fn duplicate_acks_cause_a_fast_retransmit() {
    client(
        &linux(),
        "0    >  SYN 0
         100  <  SYN+ACK 0 ack 1
         100  >  ACK 1 ack 1
         100  write *5000
         100  >  ACK 1 ack 1 len 1000
         100  >  ACK 1001 ack 1 len 1000
         100  >  ACK 2001 ack 1 len 1000
         100  >  ACK 3001 ack 1 len 1000
         100  >  PSH+ACK 4001 ack 1 len 1000
         200  <  ACK 1 ack 1001
         201  <  ACK 1 ack 1001
         202  <  ACK 1 ack 1001
         202  nothing
         203  <  ACK 1 ack 1001
         203  >  ACK 1001 ack 1 len 1000
         204  <  ACK 1 ack 1001
         204  nothing
         303  <  ACK 1 ack 3001
         303  >  ACK 3001 ack 1 len 1000
         403  <  ACK 1 ack 5001
         403  quiet",
    );
}

#[test]
fn timeout_retransmits_everything_in_flight() {
    client(
        &linux(),
        "0    >  SYN 0
         100  <  SYN+ACK 0 ack 1
         100  >  ACK 1 ack 1
         100  write *4000
         100  >  ACK 1 ack 1 len 1000
         100  >  ACK 1001 ack 1 len 1000
         100  >  ACK 2001 ack 1 len 1000
         100  >  PSH+ACK 3001 ack 1 len 1000
         400  >  ACK 1 ack 1 len 1000
         500  <  ACK 1 ack 1001
         500  >  ACK 1001 ack 1 len 1000
         500  >  ACK 2001 ack 1 len 1000
         600  <  ACK 1 ack 3001
         600  >  PSH+ACK 3001 ack 1 len 1000
         700  <  ACK 1 ack 4001
         700  quiet",
    );
}

#[test]
fn unacknowledged_data_times_out_after_15_minutes_as_on_linux() {
    let config = linux().data_retries(3).rto(
        Duration::from_secs(1),
        Duration::from_millis(200),
        Duration::from_secs(120),
    );
    // 0.2 + 0.4 + 0.8 + 1.6 s after the first timeout, at the next one after that.
    client(
        &config,
        "0    >  SYN 0
         100  <  SYN+ACK 0 ack 1
         100  >  ACK 1 ack 1
         100  write data
         100  >  PSH+ACK 1 ack 1 'data'
         400  >  PSH+ACK 1 ack 1 'data'
         1000 >  PSH+ACK 1 ack 1 'data'
         2200 >  PSH+ACK 1 ack 1 'data'
         4599 state Established
         4600 state Closed
         4600 read-fails TimedOut
         4600 write-fails BrokenPipe",
    );
}

#[test]
fn retransmission_off_sends_nothing_twice() {
    let config = linux().retransmit(false);
    client(
        &config,
        "0    >  SYN 0
         4999 state SynSent
         5000 state Closed
         5000 write-fails TimedOut",
    );
    client(
        &config,
        "0    >  SYN 0
         100  <  SYN+ACK 0 ack 1
         100  >  ACK 1 ack 1
         100  write data
         100  >  PSH+ACK 1 ack 1 'data'
         900000 state Established
         900000 close
         900000 >  FIN+ACK 5 ack 1
         959999 state FinWait1
         960000 state Closed",
    );
}

#[test]
fn out_of_order_segments_are_reassembled_and_duplicates_dropped() {
    server(
        &linux(),
        "0   >  SYN+ACK 0 ack 1
         10  <  ACK 1 ack 1
         20  <  ACK 4 ack 1 'def'
         20  >  ACK 1 ack 1
         20  wait
         21  <  ACK 4 ack 1 'def'
         21  >  ACK 1 ack 1
         30  <  ACK 1 ack 1 'abc'
         30  >  ACK 1 ack 7
         30  read abcdef
         31  <  ACK 1 ack 1 'abc'
         31  >  ACK 1 ack 7
         31  wait
         40  <  ACK 5 ack 1 'efgh'
         40  read gh
         80  >  ACK 1 ack 9",
    );
}

#[test]
fn fin_ahead_of_a_gap_waits_for_the_data() {
    server(
        &linux(),
        "0   >  SYN+ACK 0 ack 1
         10  <  ACK 1 ack 1
         20  <  FIN+ACK 4 ack 1 'def'
         20  >  ACK 1 ack 1
         20  state Established
         30  <  ACK 1 ack 1 'abc'
         30  >  ACK 1 ack 8
         30  state CloseWait
         30  read abcdef
         30  eof",
    );
}

#[test]
fn delayed_ack_is_sent_for_every_second_full_segment() {
    server(
        &linux(),
        "0   >  SYN+ACK 0 ack 1
         10  <  ACK 1 ack 1
         20  <  ACK 1 ack 1 len 1000
         20  nothing
         21  <  ACK 1001 ack 1 len 1000
         21  >  ACK 1 ack 2001
         22  <  ACK 2001 ack 1 len 1000
         61  nothing
         62  >  ACK 1 ack 3001
         62  quiet",
    );
}

#[test]
fn delayed_ack_is_sent_with_data() {
    server(
        &linux(),
        "0   >  SYN+ACK 0 ack 1
         10  <  ACK 1 ack 1
         20  <  PSH+ACK 1 ack 1 'ping'
         30  write pong
         30  >  PSH+ACK 1 ack 5 'pong'
         40  <  ACK 5 ack 5
         40  quiet",
    );
}

#[test]
fn nagle_gathers_small_writes_behind_one_in_flight() {
    let handshake = "0   >  SYN 0
         100 <  SYN+ACK 0 ack 1
         100 >  ACK 1 ack 1
         110 write a
         110 >  PSH+ACK 1 ack 1 'a'
         120 write b
         130 write c";
    client(
        &linux(),
        &format!(
            "{handshake}
             130 nothing
             210 <  ACK 1 ack 2
             210 >  PSH+ACK 2 ack 1 'bc'"
        ),
    );
    client(
        &linux(),
        &format!(
            "{handshake}
             140 nodelay
             140 >  PSH+ACK 2 ack 1 'bc'
             150 write d
             150 >  PSH+ACK 4 ack 1 'd'"
        ),
    );
    client(
        &linux(),
        &format!(
            "{handshake}
             140 shutdown
             140 >  FIN+ACK 2 ack 1 'bc'"
        ),
    );
}

#[test]
fn window_closes_and_opens_with_a_slow_reader() {
    server(
        &linux().receive_buffer(4000),
        "0   >  SYN+ACK 0 ack 1 win 4000
         10  <  ACK 1 ack 1
         20  <  ACK 1 ack 1 len 1000
         20  <  ACK 1001 ack 1 len 1000
         20  >  ACK 1 ack 2001 win 2000
         21  <  ACK 2001 ack 1 len 1000
         21  <  ACK 3001 ack 1 len 1000
         21  >  ACK 1 ack 4001 win 0
         30  <  ACK 4001 ack 1 'x'
         30  >  ACK 1 ack 4001 win 0
         40  read *500
         40  nothing
         50  read *500
         50  >  ACK 1 ack 4001 win 1000
         60  <  ACK 4001 ack 1 len 1000
         100 >  ACK 1 ack 5001 win 0",
    );
}

#[test]
fn zero_window_is_probed() {
    client(
        &linux(),
        "0    >  SYN 0
         100  <  SYN+ACK 0 ack 1
         100  >  ACK 1 ack 1
         100  write *1500
         100  >  ACK 1 ack 1 len 1000
         100  >  PSH+ACK 1001 ack 1 len 500
         200  <  ACK 1 ack 1501 win 0
         200  write abc
         200  nothing
         500  >  ACK 1500 ack 1
         550  <  ACK 1 ack 1501 win 0
         1100 >  ACK 1500 ack 1
         1100 <  ACK 1 ack 1501 win 2000
         1100 >  PSH+ACK 1501 ack 1 'abc'
         1200 <  ACK 1 ack 1504 win 2000
         1200 quiet",
    );
}

#[test]
fn small_window_is_used_after_a_wait() {
    client(
        &linux(),
        "0    >  SYN 0
         100  <  SYN+ACK 0 ack 1 win 2000
         100  >  ACK 1 ack 1
         100  write *2500
         100  >  ACK 1 ack 1 len 1000
         100  >  ACK 1001 ack 1 len 1000
         200  <  ACK 1 ack 2001 win 100
         200  nothing
         500  >  ACK 2001 ack 1 len 100
         600  <  ACK 1 ack 2101 win 2000
         600  >  PSH+ACK 2101 ack 1 len 400",
    );
}

#[test]
fn full_send_buffer_blocks_the_writer() {
    client(
        &linux().send_buffer(1500),
        "0    >  SYN 0
         100  <  SYN+ACK 0 ack 1
         100  writable
         100  >  ACK 1 ack 1
         100  write *1500
         100  >  ACK 1 ack 1 len 1000
         100  >  PSH+ACK 1001 ack 1 len 500
         100  full
         200  <  ACK 1 ack 1001
         200  writable
         200  write x
         200  nothing
         210  <  ACK 1 ack 1501
         210  >  PSH+ACK 1501 ack 1 'x'",
    );
}

#[test]
fn ack_of_unsent_data_is_answered() {
    server(
        &linux(),
        "0   >  SYN+ACK 0 ack 1
         5   <  ACK 1 ack 9
         5   >  RST 9
         10  <  ACK 1 ack 1
         20  <  PSH+ACK 1 ack 99 'evil'
         20  >  ACK 1 ack 1
         20  wait",
    );
}

#[test]
fn quick_ack_acknowledges_at_once() {
    client(
        &linux(),
        "0   >  SYN 0
         100 <  SYN+ACK 0 ack 1
         100 >  ACK 1 ack 1
         200 <  PSH+ACK 1 ack 1 'one'
         200 nothing
         210 quickack
         210 >  ACK 1 ack 4
         300 <  PSH+ACK 4 ack 1 'two'
         300 >  ACK 1 ack 7
         400 quickack-off
         500 <  PSH+ACK 7 ack 1 'six'
         539 nothing
         540 >  ACK 1 ack 10",
    );
}
