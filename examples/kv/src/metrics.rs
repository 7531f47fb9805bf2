//! The counters of a node, for Prometheus.

use prometheus::{IntCounter, IntGauge, Registry, TextEncoder};

/// The counters of one node, with their own registry. The registry that the crate `prometheus`
/// keeps for the process would reject a second node's counters.
pub(crate) struct Metrics {
    registry: Registry,
    /// Values read.
    pub(crate) reads: IntCounter,
    /// Changes made.
    pub(crate) writes: IntCounter,
    /// Requests redirected to the leader.
    pub(crate) redirects: IntCounter,
    /// The index of the last applied entry.
    pub(crate) applied: IntGauge,
}

impl Metrics {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name, help| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let reads = counter("kv_reads_total", "Values read")?;
        let writes = counter("kv_writes_total", "Changes made")?;
        let redirects = counter("kv_redirects_total", "Requests sent on to the leader")?;
        let applied = IntGauge::new("kv_applied_index", "Index of the last applied entry")?;
        registry.register(Box::new(applied.clone()))?;
        Ok(Self { registry, reads, writes, redirects, applied })
    }

    /// Returns all counters as text.
    pub(crate) fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}
