//! Upgrades: another version of a service starts on the disk of the previous version.

use std::panic::Location;

use crate::engine::acts::Act;
use crate::machine::{self, Selector, Service, Termination};
use crate::sim::machines::no_match;
use crate::sim::{ControlError, Sim, acts};

impl Sim {
    /// Starts another version of a service on the matching machines: `service` runs instead of it, on
    /// the same disk. Later starts, including those by plans, also run this version.
    ///
    /// The services must be down. A test can use two versions of one crate as two dependencies with
    /// different names in `Cargo.toml`: `kv_v1 = { package = "kv", version = "1" }`.
    ///
    /// ```
    /// # use simmach::prelude::*;
    /// # use simmach::program::{Program, Scenario};
    /// mod v1 {
    ///     pub async fn serve() { /* … */ }
    /// }
    /// mod v2 {
    ///     pub async fn serve() { std::future::pending().await }
    /// }
    ///
    /// let program = Program::new(|| {
    ///     Scenario::new().machine("kv{1..=3}", v1::serve).body(async |sim: Sim| {
    ///         sim.stop("kv2", GRACE).await?;
    ///         sim.start_as("kv2", v2::serve)?;
    ///         assert!(sim.is_up("kv2"));
    ///         Result::<()>::Ok(())
    ///     })
    /// });
    /// assert!(program.run(7).passed());
    /// ```
    ///
    /// # Errors
    ///
    /// [`ControlError::NoMatch`] if no service matches, and [`ControlError::AlreadyRunning`] if one of
    /// the services is running.
    #[track_caller]
    pub fn start_as<F, R>(
        &self,
        selector: impl Into<Selector>,
        service: F,
    ) -> Result<(), ControlError>
    where
        F: AsyncFn() -> R + 'static,
        R: Termination,
    {
        let selector = selector.into();
        let services = machine::services(&selector);
        if services.is_empty() {
            return Err(no_match(&selector));
        }
        if let Some(running) = services.iter().find(|id| machine::process_of(**id).is_some()) {
            return Err(ControlError::AlreadyRunning(machine::name_of(*running)));
        }
        let (version, at) = (Service::new(service), Location::caller());
        for id in services {
            machine::set_version(id, &version, at);
            let act = Act::Start { machine: id.machine, services: vec![id.service as u32] };
            acts::perform(None, &act, || format!("{}, in another version", acts::describe(&act)));
        }
        Ok(())
    }
}
