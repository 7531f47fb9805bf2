//! Helpers for the tests of protocols: the network, contents, and a check that no socket, port or
//! timer is left.

use simmach::prelude::*;
use simmach::time::sleep;

/// A phone on a 3G link with a higher loss than `mobile_3g()`.
pub(crate) fn mobile() -> Topology {
    Topology::new().host("phone.mobile").link(
        "mobile",
        "public",
        NetworkProfile::mobile_3g().loss(0.05),
    )
}

/// Returns pseudorandom bytes, so that no two parts are alike.
pub(crate) fn content(length: usize, salt: u64) -> Vec<u8> {
    let mut state = salt | 1;
    let byte = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(byte).collect()
}

/// Stops the services, waits until the kernels have closed all connections, and checks that no
/// socket, port or timer is left.
pub(crate) async fn nothing_is_left(sim: Sim) -> Result {
    sim.stop("server.public", GRACE).await?;
    sleep(10.mins()).await;
    for name in sim.machines("*") {
        let machine = sim.machine(&name);
        let (sockets, ports) = (machine.sockets(), machine.ports());
        assert!(sockets.is_empty() && ports.is_empty(), "{name} has {sockets:#?} {ports:?}");
    }
    assert_eq!(sim.timers(), 0, "timers");
    Ok(())
}
