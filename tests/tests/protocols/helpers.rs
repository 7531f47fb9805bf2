//! What the tests share: the network, what travels, and what must be left.

use simmach::prelude::*;
use simmach::time::sleep;

/// A phone on Mobile 3G, where more than the usual is lost.
pub(crate) fn mobile() -> Topology {
    Topology::new().host("phone.mobile").link(
        "mobile",
        "public",
        NetworkProfile::mobile_3g().loss(0.05),
    )
}

/// So many bytes, of which no two parts are alike.
pub(crate) fn content(length: usize, salt: u64) -> Vec<u8> {
    let mut state = salt | 1;
    let byte = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(byte).collect()
}

/// Ends the services, waits until the kernels have finished what they left, and looks that nothing is there any more.
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
