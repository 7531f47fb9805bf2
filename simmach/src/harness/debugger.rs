//! Whether a debugger is at work on this process: then nothing may be ended because it takes long.

use std::fs;

/// Whether a debugger is attached. Always false where there is no `/proc`.
pub(crate) fn is_attached() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        let tracers = status.lines().filter_map(|line| line.strip_prefix("TracerPid:"));
        tracers.map(str::trim).any(|pid| pid != "0")
    })
}
