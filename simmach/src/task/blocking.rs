//! Blocking calls and simulated computation.

use std::time::Duration;

#[cfg(feature = "sim")]
use crate::engine::draws::address::Address;
#[cfg(feature = "sim")]
use crate::engine::tasks::numbering::Numbered;
use crate::task::JoinHandle;

#[cfg(feature = "sim")]
use crate::engine::{self, context};
#[cfg(feature = "sim")]
use crate::task::simulated;
#[cfg(feature = "sim")]
use crate::time::sleep;

/// Range of the latency of a blocking call in nanoseconds. The calm value is the middle of the
/// range.
#[cfg(feature = "sim")]
const BLOCKING_NANOS: (u64, u64) = (20_000, 200_000);

/// Runs `f` where blocking is allowed.
///
/// In a run, `f` runs at one point in virtual time, after a latency of 20 to 200 µs, which models the handover to a thread pool.
/// The time that `f` itself takes is not modelled; use [`work`] for that.
///
/// # Panics
///
/// In the same cases as [`spawn`](super::spawn).
#[track_caller]
pub fn spawn_blocking<F, R>(f: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    here! {
        simulated => simulated::spawn(async move {
            let Numbered { source, nth } =
                context::try_with(|engine| engine.next_draw()).unwrap_or_default();
            let (least, most) = BLOCKING_NANOS;
            let part = engine::unit(Address::blocking(source, nth));
            sleep(Duration::from_nanos(least + ((most - least) as f64 * part) as u64)).await;
            f()
        }),
        real => JoinHandle::real(tokio::task::spawn_blocking(f)),
    }
}

/// Simulates computation that takes `duration` of virtual time.
///
/// Several tasks can work at the same time, since the number of cores is not modelled. Outside a run, this function returns
/// at once, since the real computation takes its own time.
pub async fn work(duration: Duration) {
    here! {
        simulated => sleep(duration).await,
        real => {
            let _ = duration;
        }
    }
}
