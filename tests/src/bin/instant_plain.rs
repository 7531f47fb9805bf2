//! Says what `Instant::now()` costs in a program that does not use simmach.

#[path = "../fixture/instant.rs"]
mod instant;

fn main() {
    println!("{:.2}", instant::cost());
}
