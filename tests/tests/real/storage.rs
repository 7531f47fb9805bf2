//! Tests storage in a real folder.

use std::time::Duration;

use simmach::storage::types::{Bytes, Str};
use simmach::storage::{self, Durability, Error, Options, Store};
use simmach::task::JoinSet;

use crate::{folder, run_for_real};

pub(crate) async fn put(
    store: &Store,
    key: &'static str,
    value: &'static str,
) -> storage::Result<()> {
    store
        .write(move |txn| {
            let table = txn.table::<Str, Bytes>("t")?;
            Ok(table.put(txn, key, value.as_bytes())?)
        })
        .await
}

pub(crate) async fn found(store: &Store, key: &'static str) -> storage::Result<Option<String>> {
    store
        .read(move |txn| {
            let Some(table) = txn.table::<Str, Bytes>("t")? else { return Ok(None) };
            Ok(table.get(txn, key)?.map(|value| String::from_utf8_lossy(value).into_owned()))
        })
        .await
}

#[test]
fn write_is_read_back() {
    folder();
    run_for_real(async {
        let store = storage::open("read").await.expect("it opens");
        assert_eq!(found(&store, "k").await.expect("readable"), None);
        put(&store, "k", "v").await.expect("the disk has room");
        assert_eq!(found(&store, "k").await.expect("readable").as_deref(), Some("v"));
        let again = storage::open("read").await.expect("it is the same");
        assert_eq!(found(&again, "k").await.expect("readable").as_deref(), Some("v"));
        let other = Options::new().map_size(1 << 20).open("read").await;
        assert!(matches!(other, Err(Error::Options(_))));
        assert!(matches!(storage::open("no/file").await, Err(Error::Name(_))));
    });
    run_for_real(async {
        let store = storage::open("read").await.expect("on another runtime too");
        assert_eq!(found(&store, "k").await.expect("readable").as_deref(), Some("v"));
    });
}

#[test]
fn transaction_that_fails_changes_nothing() {
    folder();
    run_for_real(async {
        let store = Options::new().map_size(1 << 18).open("fails").await.expect("it opens");
        let failed = store.write(|txn| {
            let table = txn.table::<Str, Bytes>("t")?;
            table.put(txn, "k", b"v")?;
            Err::<(), _>(Error::user("no"))
        });
        assert_eq!(failed.await.expect_err("its own").to_string(), "no");
        let full = store.write(|txn| {
            let table = txn.table::<Str, Bytes>("t")?;
            (0..10_000).try_for_each(|n| Ok(table.put(txn, &n.to_string(), &[0; 400])?))
        });
        let full = full.await.expect_err("there is no room");
        assert!(full.to_string().starts_with("the store \"fails\" is full (256 KiB): "), "{full}");
        assert_eq!(found(&store, "k").await.expect("readable"), None);
        let panicked = simmach::task::spawn({
            let store = store.clone();
            async move { store.write(|_| -> storage::Result<()> { panic!("inside") }).await }
        });
        let panicked = panicked.await.expect_err("the caller's");
        assert!(panicked.to_string().ends_with("inside"));
        put(&store, "k", "v").await.expect("nothing is poisoned");
    });
}

/// Closures run on threads that may block; writes run one after the other, in the order of their calls.
#[test]
fn writers_take_turns_off_the_async_thread() {
    folder();
    run_for_real(async {
        let here = std::thread::current().id();
        let store = storage::open("turns").await.expect("it opens");
        let mut writes = JoinSet::new();
        for nth in 0..20_u8 {
            let store = store.clone();
            writes.spawn(async move {
                store
                    .write(move |txn| {
                        assert_ne!(std::thread::current().id(), here);
                        std::thread::sleep(Duration::from_millis(u64::from(20 - nth) / 4));
                        let table = txn.table::<Str, Bytes>("t")?;
                        let mut order =
                            table.get(txn, "order")?.map_or(Vec::new(), |bytes| bytes.to_vec());
                        order.push(nth);
                        Ok(table.put(txn, "order", &order)?)
                    })
                    .await
            });
        }
        while let Some(written) = writes.join_next().await {
            written.expect("the task does not panic").expect("the disk has room");
        }
        let order = store.read(|txn| {
            let table = txn.table::<Str, Bytes>("t")?.expect("it was made");
            Ok(table.get(txn, "order")?.expect("it was put").to_vec())
        });
        assert_eq!(order.await.expect("readable"), (0..20).collect::<Vec<_>>());
    });
}

#[test]
fn periodic_store_is_read_back() {
    folder();
    run_for_real(async {
        let options = Options::new().durability(Durability::Periodic(Duration::from_millis(20)));
        let store = options.open("periodic").await.expect("it opens");
        for value in ["one", "two", "three"] {
            put(&store, "k", value).await.expect("the disk has room");
            simmach::time::sleep(Duration::from_millis(15)).await;
        }
        assert_eq!(found(&store, "k").await.expect("readable").as_deref(), Some("three"));
    });
}

/// Blocks inside a closure.
fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Handle::current().block_on(future)
}

/// A closure that used its own store would deadlock.
#[test]
fn nested_transaction_is_an_error() {
    folder();
    run_for_real(async {
        let store = storage::open("nested").await.expect("it opens");
        let other = storage::open("beside").await.expect("it opens");
        let own = store.clone();
        let nested = store.write(move |_| {
            assert!(matches!(block_on(put(&own, "k", "v")), Err(Error::Nested)));
            assert!(matches!(block_on(found(&own, "k")), Err(Error::Nested)));
            block_on(own.read(|_| Ok(())))
        });
        assert!(matches!(nested.await, Err(Error::Nested)));
        let own = store.clone();
        let nested = store.read(move |_| block_on(put(&own, "k", "v")));
        assert!(matches!(nested.await, Err(Error::Nested)));
        // Another store may be used; a panic in its closure leaves no lock behind.
        let beside = other.clone();
        let written = store.write(move |_| block_on(put(&beside, "k", "v")));
        written.await.expect("room in the other");
        for _ in 0..20 {
            let store = store.clone();
            let panics =
                async move { store.write(|_| -> storage::Result<()> { panic!("inside") }).await };
            simmach::task::spawn(panics).await.expect_err("the caller's");
        }
        put(&store, "k", "v").await.expect("the disk has room");
        assert_eq!(found(&store, "k").await.expect("readable").as_deref(), Some("v"));
    });
}
