use simmach::sim_test;

#[sim_test(expect_failure(fault <= 2))]
async fn not_bounded() {}

#[sim_test(expect_failure(faults < 2))]
async fn no_bound() {}

#[sim_test(expect_failure(steps <= "three"))]
async fn no_number() {}

#[sim_test(expect_failure = 3)]
async fn no_value() {}

#[sim_test(expect_failure)]
#[should_panic]
async fn said_twice() {}

#[sim_test(expect_failure(fault <= 2, faults < 2, steps <= "three", machines <= "one", faults 3))]
async fn all_at_once() {}

fn main() {}
