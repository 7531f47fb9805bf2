//! A program that has no use for the simulation, as production has none: built without the feature `sim`, it defines
//! nothing of the C library's.

fn main() -> simmach::Result {
    Ok(())
}
