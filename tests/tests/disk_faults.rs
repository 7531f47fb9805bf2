//! Faults of disks in a test of their own: the README's example, which finds that a failed fsync must not be tried again.

use std::fs;
use std::path::Path;

mod example {
    use simmach::prelude::*;
    use std::{cell::Cell, fs, io::Write};

    /// Appends records to a log, and counts those that are synced. A sync that fails is tried again.
    async fn appends() -> Result {
        let mut log = fs::File::create("log")?;
        loop {
            log.write_all(b"record\n")?;
            while log.sync_all().is_err() {}
            Sim::current().state::<Cell<usize>>().update(|synced| synced + 1);
            tokio::time::sleep(100.millis()).await;
        }
    }

    async fn sync_fails_once(sim: Sim) -> Result {
        simmach::time::sleep(sim.random_range(0..3_000u64).millis()).await;
        sim.fail_sync("log.zone")?;
        Ok(())
    }

    #[sim_test(seeds = 100, machines("log.zone" => appends), chaos = sync_fails_once)]
    #[should_panic(expected = "a synced record is lost")] // The loop in `appends` is wrong.
    async fn synced_records_are_kept(sim: Sim) -> Result {
        tokio::time::sleep(3.secs()).await;
        sim.power_off("log.zone")?;
        let log = sim.run_on("log.zone", async { fs::read_to_string("log") }).await??;
        let synced = sim.state::<Cell<usize>>().get();
        assert!(log.matches("record\n").count() >= synced, "a synced record is lost");
        Ok(())
    }
}

/// The README shows the module above.
#[test]
fn readme_shows_the_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let readme = fs::read_to_string(root.join("README.md")).expect("it is there");
    let own = fs::read_to_string(root.join("tests/tests/disk_faults.rs")).expect("it is there");
    let (_, module) = own.split_once("mod example {\n").expect("the module");
    let (module, _) = module.split_once("\n}\n").expect("its end");
    let lines = module.lines().map(|line| line.strip_prefix("    ").unwrap_or(line));
    let code = lines.collect::<Vec<_>>().join("\n");
    assert!(readme.contains(&code), "the README does not contain:\n{code}");
}
