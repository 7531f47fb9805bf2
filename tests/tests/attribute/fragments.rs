//! Tests that a user's `macro_rules!` generates: the attribute receives macro fragments as
//! invisible groups.

use simmach::prelude::*;

use super::{named, service};

macro_rules! with_expr {
    (
        $name:ident, $seeds:expr, $machine:expr, $service:expr, $from:expr, $to:expr, $profile:expr, $client:expr,
        $plan:expr, $limit:expr, $steps:expr, $epoch:expr, $check:expr
    ) => {
        #[sim_test(
                                                            seeds = $seeds,
                                                            base_seed = $seeds,
                                                            machines($machine => $service),
                                                            links($from <-> $to => $profile),
                                                            client = $client,
                                                            chaos = $plan,
                                                            time_limit = $limit,
                                                            stall_limit = $limit,
                                                            poll_limit = $steps,
                                                            epoch = $epoch,
                                                            check = $check,
                                                        )]
        async fn $name(sim: Sim) {
            assert!(sim.seed() > 0, "the base seed is {}", $seeds);
            simmach::time::sleep(1.secs()).await;
        }
    };
}

with_expr!(
    expr,
    2,
    "a{1..=2}.z",
    service,
    "z",
    "y",
    NetworkProfile::lan(),
    "b.y",
    [PowerOffs::new(), PowerOffs::new().every(1.secs())],
    "10m",
    10_000,
    "2030-01-01T00:00:00Z",
    true
);
with_expr!(
    expr_with_calls,
    1 + 1,
    "a.z",
    || named("x"),
    "z",
    "y",
    NetworkProfile::lan().loss(0.1),
    "b.y",
    async |_: Sim| {},
    5.secs() * 12,
    5 * 5_000,
    std::time::SystemTime::UNIX_EPOCH + 1.secs(),
    1 < 2
);

macro_rules! with_profile {
    ($name:ident, $p:expr) => {
        #[sim_test(
                                                    seeds = 2,
                                                    machines("a.z" => service, "other" => service),
                                                    links("z" <-> "y" => $p, "other" <-> "y" => $p),
                                                    client = "b.y"
                                                )]
        async fn $name() {
            simmach::task::yield_now().await;
        }
    };
}

with_profile!(profile, NetworkProfile::lan());
with_profile!(profile_in_a_block, {
    let lan = NetworkProfile::lan();
    lan.loss(0.1)
});

macro_rules! with_literal {
    (
        $(#[$meta:meta])*
        $visibility:vis $name:ident, $seeds:literal, $machine:literal, $from:literal, $to:literal, $client:literal,
        $limit:literal, $epoch:literal, $check:literal, $most:literal
    ) => {
        $(#[$meta])*
        #[sim_test(
            seeds = $seeds,
            base_seed = $seeds,
            machines($machine => service, "other.z" => service),
            links($from -> $to => NetworkProfile::lan(), $to -> $from => NetworkProfile::lan()),
            client = $client,
            time_limit = $limit,
            poll_limit = $seeds,
            epoch = $epoch,
            check = $check,
            expect_failure(faults <= $most, steps <= $most),
        )]
        $visibility async fn $name() {
            panic!("as it is expected to");
        }
    };
}

with_literal!(literal, 100, "a{1..=2}.z", "z", "y", "b.y", "10m", "2030-01-01T00:00:00Z", true, 0);
with_literal!(
    /// With its own attributes.
    #[allow(clippy::panic)]
    pub(crate) literal_with_meta, 100, "a.z", "z", "y", "b.y", "10m", "2030-01-01T00:00:00Z", false, 3
);

macro_rules! with_paths {
    (
        $name:ident, $argument:ident, $what:ident, $service:path, $plan:ty, $sim:ty, $output:ty, $simmach:path, $reason:literal,
        $body:block
    ) => {
        #[sim_test(
            $argument = 2,
            machines("a.z" => $service, "b.z" => || $service()),
            chaos = [<$plan>::new(), <$plan>::new().machines("a.z")],
            expect_failure($what <= 0),
            crate = $simmach,
        )]
        #[ignore = $reason]
        async fn $name(_sim: $sim) -> $output $body
    };
}

with_paths!(
    path,
    seeds,
    steps,
    std::future::pending::<()>,
    PowerOffs,
    Sim,
    Result<()>,
    ::simmach,
    "run by nobody",
    { Err("on purpose".into()) }
);

macro_rules! in_turn {
    ($name:ident, $profile:expr, $limit:literal, $block:block) => {
        with_profile!($name, $profile);
        mod $name {
            use simmach::prelude::*;

            #[sim_test(seeds = 1, time_limit = $limit)]
            async fn inner() $block
        }
    };
}

in_turn!(handed_on, NetworkProfile::lan(), "5s", { simmach::task::yield_now().await });

macro_rules! whole {
    ($($argument:tt)*) => {
        #[sim_test($($argument)*)]
        async fn tokens() {
            simmach::task::yield_now().await;
        }
    };
}

whole!(seeds = 2, machines("a.z" => service), links("z" <-> "y" => NetworkProfile::lan()), client = "b.y");

macro_rules! item {
    ($item:item) => {
        #[sim_test(seeds = 2)]
        $item
    };
}

item! {
    async fn item(_sim: Sim) -> Result<()> {
        Ok(())
    }
}
