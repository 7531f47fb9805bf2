use simmach::sim_test;

async fn service() {}

#[sim_test(
    machines(
        "my machine" => service,
        "api*" => service,
        "a..b" => service,
        ".b" => service,
        "a/" => service,
        "a/b/c" => service,
    )
)]
async fn test() {}

fn main() {}
