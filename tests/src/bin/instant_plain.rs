//! Prints the cost of `Instant::now()` in a program without simmach.

#[path = "../fixture/instant.rs"]
mod instant;

fn main() {
    println!("{:.2}", instant::cost());
}
