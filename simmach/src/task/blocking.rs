//! Work that takes a machine's time rather than its network's.

use std::time::Duration;

#[cfg(feature = "sim")]
use crate::engine::draws::address::Address;
use crate::task::JoinHandle;

#[cfg(feature = "sim")]
use crate::engine::{self, context};
#[cfg(feature = "sim")]
use crate::task::simulated;
#[cfg(feature = "sim")]
use crate::time::sleep;

/// What a blocking call costs beside its work: between these, drawn, half of the range when calm.
#[cfg(feature = "sim")]
const BLOCKING_NANOS: (u64, u64) = (20_000, 200_000);

/// Runs `f` off the async code.
///
/// In a run that is at one point in virtual time, a little later: it costs 20 to 200 µs, as a hand-over to a thread pool and
/// back does; what `f` itself would take is not modelled, say it with [`work`].
///
/// # Panics
///
/// As [`spawn`](super::spawn).
#[track_caller]
pub fn spawn_blocking<F, R>(f: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    here! {
        simulated => simulated::spawn(async move {
            let scope = engine::scope().map_or(0, |scope| scope.task);
            let nth = context::try_with(|engine| engine.next_draw()).unwrap_or(0);
            let (least, most) = BLOCKING_NANOS;
            let part = engine::unit(Address::blocking(scope, nth));
            sleep(Duration::from_nanos(least + ((most - least) as f64 * part) as u64)).await;
            f()
        }),
        real => JoinHandle::real(tokio::task::spawn_blocking(f)),
    }
}

/// Simulated work of the processor: takes so much virtual time.
///
/// Work of several tasks goes on side by side: a machine's number of cores is not modelled. Outside a run it is nothing: there
/// the work itself takes the time.
pub async fn work(duration: Duration) {
    here! {
        simulated => sleep(duration).await,
        real => {
            let _ = duration;
        }
    }
}
