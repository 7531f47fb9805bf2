//! Tests of what survives on a disk after kills, power loss and wipes.

use crate::storage::tests::*;

#[test]
fn kill_during_a_write_commits_nothing_and_passes_on_the_turn() {
    pass(&steady(), async || {
        on(5, 2, async {
            let db = open("db").await.expect("the store opens");
            put(&db, "before", "1").await.expect("the write succeeds");
            let waits = db.clone();
            spawn(async move { put(&waits, "waits", "1").await });
            put(&db, "dies", "1").await.expect("it never gets here");
            unreachable!("killed");
        });
        sleep_ms(25).await;
        kill(2);
        sleep_ms(100).await;
        let next = on(5, 3, async {
            let db = open("db").await.expect("the store opens");
            let begun = Instant::now();
            assert_eq!(value(&db, "before").await.as_deref(), Some("1"));
            assert_eq!((value(&db, "dies").await, value(&db, "waits").await), (None, None));
            put(&db, "after", "1").await.expect("the write succeeds");
            assert_eq!(begun.elapsed(), 20.millis());
        });
        next.await.expect("the task does not panic");
    });
}

#[test]
fn power_loss_before_the_acknowledgement_keeps_the_commit() {
    pass(&steady(), async || {
        let written = Arc::new(AtomicU64::new(0));
        let acknowledged = Arc::clone(&written);
        on(5, 2, async move {
            let db = open("db").await.expect("the store opens");
            put(&db, "k", "v").await.expect("the write succeeds");
            acknowledged.store(1, Ordering::Relaxed);
        });
        sleep_ms(15).await;
        assert_eq!(power_off_with(5, 2), 0);
        sleep_ms(100).await;
        assert_eq!(written.load(Ordering::Relaxed), 0);
        let next = on(5, 3, async {
            let db = open("db").await.expect("the store opens");
            assert_eq!(value(&db, "k").await.as_deref(), Some("v"));
        });
        next.await.expect("the task does not panic");
    });
}

#[test]
fn power_loss_before_the_commit_stores_nothing() {
    pass(&steady(), async || {
        on(5, 2, async {
            let db = open("db").await.expect("the store opens");
            let _ = put(&db, "k", "v").await;
        });
        sleep_ms(5).await;
        assert_eq!(power_off_with(5, 2), 0);
        let next = on(5, 3, async {
            let db = open("db").await.expect("the store opens");
            assert_eq!(value(&db, "k").await, None);
        });
        next.await.expect("the task does not panic");
    });
}

#[test]
fn periodic_store_loses_commits_since_the_last_flush() {
    pass(&DiskProfile::ideal(), async || {
        on(5, 2, async {
            let db = periodic(500).open("db").await.expect("the store opens");
            sleep_ms(100).await;
            put(&db, "at 100", "v").await.expect("the write succeeds");
            sleep_ms(400).await;
            put(&db, "at 500", "v").await.expect("the write succeeds");
            // The flush is due at 600; the next at 700 + 500.
            sleep_ms(200).await;
            put(&db, "at 700", "v").await.expect("the write succeeds");
            sleep_ms(400).await;
            put(&db, "at 1100", "v").await.expect("the write succeeds");
            sleep_ms(10_000).await;
        });
        sleep_ms(1_150).await;
        assert_eq!(power_off_with(5, 2), 2);
        assert_eq!(count(Effect::CommitLost), 2);
        let next = on(5, 3, async {
            let db = periodic(500).open("db").await.expect("the store opens");
            for (key, kept) in
                [("at 100", true), ("at 500", true), ("at 700", false), ("at 1100", false)]
            {
                assert_eq!(value(&db, key).await.is_some(), kept, "{key}");
            }
            put(&db, "at 700", "again").await.expect("the write succeeds");
        });
        next.await.expect("the task does not panic");
        sleep_ms(600).await;
        assert_eq!(power_off_with(5, 3), 0);
    });
}

#[test]
fn kill_loses_no_commit_and_the_kernel_still_flushes() {
    pass(&DiskProfile::ideal(), async || {
        for (process, waits, lost) in [(2, 400, 1), (3, 600, 0)] {
            let killed = on(5, process, async {
                let db = periodic(500).open("db").await.expect("the store opens");
                put(&db, "k", "v").await.expect("the write succeeds");
            });
            killed.await.expect("the task does not panic");
            kill(process);
            let next = on(5, process + 10, async {
                let db = periodic(500).open("db").await.expect("the store opens");
                assert_eq!(value(&db, "k").await.as_deref(), Some("v"));
            });
            next.await.expect("the task does not panic");
            sleep_ms(waits).await;
            assert_eq!(power_off_with(5, process + 10), lost);
        }
    });
}

#[test]
fn wipe_empties_the_store_and_closes_handles() {
    pass(&steady(), async || {
        let other = on(6, 3, async {
            let db = open("db").await.expect("the store opens");
            put(&db, "k", "of another machine").await.expect("the write succeeds");
            sleep_ms(100).await;
            assert!(value(&db, "k").await.is_some());
        });
        let wiped = on(5, 2, async {
            let db = open("db").await.expect("the store opens");
            put(&db, "k", "v").await.expect("the write succeeds");
            // One waits for the disk and one for the turn.
            let (one, two) = futures::join!(put(&db, "a", "v"), put(&db, "b", "v"));
            assert!(matches!((&one, &two), (Err(Error::Closed), Err(Error::Closed))));
            assert!(matches!(db.read(|_| Ok(())).await, Err(Error::Closed)));
            let db = open("db").await.expect("the store opens");
            assert_eq!(value(&db, "k").await, None);
            put(&db, "k", "w").await.expect("the write succeeds");
        });
        sleep_ms(25).await;
        wipe(MachineId(5)).expect("wiped");
        wiped.await.expect("the task does not panic");
        other.await.expect("the task does not panic");
    });
}

#[test]
fn destructors_of_a_dead_process_write_nothing() {
    struct Writes(Store);

    impl Drop for Writes {
        fn drop(&mut self) {
            let done = put(&self.0, "from the grave", "v").now_or_never();
            assert!(matches!(done, Some(Err(Error::Closed))));
            assert!(matches!(open("new").now_or_never(), Some(Err(Error::Closed))));
        }
    }

    pass(&DiskProfile::ideal(), async || {
        on(5, 2, async {
            let _writes = Writes(open("db").await.expect("the store opens"));
            futures::future::pending::<()>().await;
        });
        sleep_ms(1).await;
        kill(2);
        let next = on(5, 3, async {
            let db = open("db").await.expect("the store opens");
            assert_eq!(value(&db, "from the grave").await, None);
        });
        next.await.expect("the task does not panic");
    });
}

#[test]
fn power_loss_or_wipe_inside_a_closure_aborts_the_transaction() {
    pass(&DiskProfile::ideal(), async || {
        for wiped in [false, true] {
            let process = 2 + u32::from(wiped);
            let done = on(5, process, async move {
                let db = periodic(500).open("db").await.expect("the store opens");
                put(&db, "cached", "v").await.expect("the write succeeds");
                let done = db.write(move |txn| {
                    txn.table::<Str, Bytes>("t")?.put(txn, "k", b"v")?;
                    match wiped {
                        false => assert_eq!(power_off(MachineId(5)), 1),
                        true => wipe(MachineId(5))?,
                    }
                    Ok(())
                });
                assert!(matches!(done.await, Err(Error::Closed)));
                let db = open("db").await.expect("the store opens");
                assert_eq!((value(&db, "k").await, value(&db, "cached").await), (None, None));
            });
            done.await.expect("the task does not panic");
        }
    });
}
