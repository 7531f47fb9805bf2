use simmach::sim_test;

#[sim_test]
async fn one<T>() {}

#[sim_test]
async fn two<'a, const N: usize>()
where
    [u8; N]: Copy,
{
}

fn main() {}
