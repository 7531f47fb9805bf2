use simmach::sim_test;

#[sim_test]
async unsafe fn one() {}

#[sim_test]
async extern "C" fn two() {}

fn main() {}
