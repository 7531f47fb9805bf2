//! Tests std's threads, locks and channels.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Barrier, Condvar, Mutex, Once, OnceLock, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use simmach::prelude::*;

/// The numbers of threads, in the order in which the threads acted.
type Order = Arc<Mutex<Vec<u32>>>;

fn millis(time: u64) -> Duration {
    Duration::from_millis(time)
}

#[sim_test(seeds = 50, check = true)]
async fn results_are_joined(sim: Sim) {
    let threads: Vec<_> = (0..5u64)
        .map(|number| {
            thread::spawn(move || {
                thread::sleep(millis(number));
                number * number
            })
        })
        .collect();
    let squares = tokio::task::spawn_blocking(move || {
        threads.into_iter().map(|thread| thread.join().expect("it returns")).collect::<Vec<_>>()
    });
    let squares = squares.await.expect("it returns");
    assert_eq!(squares, [0, 1, 4, 9, 16]);
    sim.log("joined");
}

/// The threads do not wait for virtual time, so the run's own thread may wait for them.
#[sim_test(seeds = 50, check = true)]
async fn busy_threads_are_joined_by_an_async_function() {
    let order = Order::default();
    let threads: Vec<_> = (0..5)
        .map(|number| {
            let order = Arc::clone(&order);
            thread::spawn(move || {
                for _ in 0..3 {
                    order.lock().expect("no panic").push(number);
                    thread::yield_now();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("it returns");
    }
    assert_eq!(order.lock().expect("no panic").len(), 15);
}

#[sim_test(seeds = 50, check = true)]
async fn scoped_threads_borrow() {
    let sum = tokio::task::spawn_blocking(|| {
        let values = [1, 2, 3, 4];
        let sum = Mutex::new(0);
        thread::scope(|scope| {
            for value in &values {
                let sum = &sum;
                scope.spawn(move || {
                    thread::sleep(millis(*value));
                    *sum.lock().expect("no panic") += value;
                });
            }
        });
        sum.into_inner().expect("no panic")
    });
    assert_eq!(sum.await.expect("it returns"), 10);
}

#[sim_test(seeds = 50, check = true)]
async fn channels_pass_values(sim: Sim) {
    let (numbers, received) = mpsc::sync_channel(2);
    for producer in 0..3u32 {
        let numbers = numbers.clone();
        thread::spawn(move || {
            for number in 0..10 {
                numbers.send(producer * 10 + number).expect("there is a receiver");
            }
        });
    }
    drop(numbers);
    let (done, was_done) = tokio::sync::oneshot::channel();
    thread::spawn(move || {
        let received: Vec<u32> = received.iter().collect();
        done.send(received).expect("the test waits for it");
    });
    let received = was_done.await.expect("it is sent");
    sim.log(format!("{received:?}"));
    for producer in 0..3 {
        let of_it = received.iter().filter(|number| **number / 10 == producer);
        assert!(of_it.copied().eq(producer * 10..producer * 10 + 10));
    }
}

#[sim_test(seeds = 50, check = true)]
async fn waits_with_time_outs_take_virtual_time() {
    let waits = tokio::task::spawn_blocking(|| {
        let before = Instant::now();
        let (_sender, receiver) = mpsc::channel::<()>();
        let received = receiver.recv_timeout(millis(10_000));
        assert_eq!(received, Err(RecvTimeoutError::Timeout));
        thread::park_timeout(millis(10_000));
        let (lock, condition) = (Mutex::new(()), Condvar::new());
        let locked = lock.lock().expect("no panic");
        let (locked, waited) = condition.wait_timeout(locked, millis(10_000)).expect("no panic");
        assert!(waited.timed_out());
        drop(locked);
        thread::sleep(millis(10_000));
        before.elapsed()
    });
    let waits = waits.await.expect("it returns");
    assert!(waits >= millis(40_000) && waits < millis(40_010), "{waits:?}");
}

#[sim_test(seeds = 50, check = true)]
async fn waits_end_before_their_time_outs() {
    let (sender, receiver) = mpsc::channel();
    let waiting = tokio::task::spawn_blocking(move || {
        let before = Instant::now();
        let received = receiver.recv_timeout(millis(10_000));
        assert_eq!(received, Ok(7));
        thread::park_timeout(millis(10_000));
        before.elapsed()
    });
    let thread = thread::spawn(move || {
        thread::sleep(millis(100));
        sender.send(7).expect("there is a receiver");
    });
    let took = waiting.await.expect("it returns");
    // Nobody unparks it.
    assert!(took >= millis(10_100) && took < millis(10_110), "{took:?}");
    thread.join().expect("it returns");
}

#[sim_test(seeds = 50, check = true)]
async fn parked_thread_is_unparked() {
    let took = tokio::task::spawn_blocking(|| {
        let before = Instant::now();
        let is_done = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&is_done);
        let parked = thread::spawn(move || {
            while seen.load(Ordering::SeqCst) == 0 {
                thread::park();
            }
        });
        thread::sleep(millis(50));
        is_done.store(1, Ordering::SeqCst);
        parked.thread().unpark();
        parked.join().expect("it returns");
        before.elapsed()
    });
    let took = took.await.expect("it returns");
    assert!(took >= millis(50) && took < millis(51), "{took:?}");
}

#[sim_test(seeds = 50, check = true)]
async fn locks_exclude_and_conditions_wake() {
    let queue = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
    let consumers: Vec<_> = (0..3)
        .map(|_| {
            let queue = Arc::clone(&queue);
            tokio::task::spawn_blocking(move || {
                let (values, added) = &*queue;
                let mut taken = Vec::new();
                for _ in 0..4 {
                    let mut values = values.lock().expect("no panic");
                    while values.is_empty() {
                        values = added.wait(values).expect("no panic");
                    }
                    taken.extend(values.pop());
                    // While it has the lock.
                    thread::sleep(millis(1));
                }
                taken
            })
        })
        .collect();
    let producer = tokio::task::spawn_blocking(move || {
        let (values, added) = &*queue;
        for value in 0..12 {
            values.lock().expect("no panic").push(value);
            if value % 4 == 3 {
                added.notify_all()
            } else {
                added.notify_one()
            }
            thread::sleep(millis(2));
        }
        added.notify_all();
    });
    let mut taken = Vec::new();
    for consumer in consumers {
        taken.extend(consumer.await.expect("it returns"));
    }
    taken.sort_unstable();
    assert!(taken.into_iter().eq(0..12));
    producer.await.expect("it returns");
}

#[sim_test(seeds = 50, check = true)]
async fn readers_share_and_writers_do_not() {
    let lock = Arc::new(RwLock::new(0));
    let readers = Arc::new(AtomicU32::new(0));
    let most = Arc::new(AtomicU32::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8 {
        let (lock, readers, most) = (Arc::clone(&lock), Arc::clone(&readers), Arc::clone(&most));
        tasks.spawn_blocking(move || {
            for _ in 0..5 {
                if number % 4 == 0 {
                    let mut value = lock.write().expect("no panic");
                    assert_eq!(readers.load(Ordering::SeqCst), 0);
                    let before = *value;
                    thread::sleep(millis(1));
                    *value = before + 1;
                } else {
                    let value = lock.read().expect("no panic");
                    let now = readers.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    let before = *value;
                    thread::sleep(millis(1));
                    assert_eq!(before, *value);
                    readers.fetch_sub(1, Ordering::SeqCst);
                }
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("it returns");
    }
    assert_eq!(*lock.read().expect("no panic"), 10);
    assert!(most.load(Ordering::SeqCst) > 1);
}

#[sim_test(seeds = 50, check = true)]
async fn barrier_and_once_are_shared() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    CALLS.store(0, Ordering::SeqCst);
    let (barrier, once) = (Arc::new(Barrier::new(4)), Arc::new(Once::new()));
    let cell = Arc::new(OnceLock::new());
    let threads: Vec<_> = (0..4u64)
        .map(|number| {
            let (barrier, once, cell) =
                (Arc::clone(&barrier), Arc::clone(&once), Arc::clone(&cell));
            tokio::task::spawn_blocking(move || {
                thread::sleep(millis(number));
                let is_leader = barrier.wait().is_leader();
                once.call_once(|| {
                    thread::sleep(millis(10));
                    CALLS.fetch_add(1, Ordering::SeqCst);
                });
                assert_eq!(CALLS.load(Ordering::SeqCst), 1);
                cell.get_or_init(|| {
                    thread::sleep(millis(10));
                    number
                });
                is_leader
            })
        })
        .collect();
    let mut leaders = 0;
    for thread in threads {
        leaders += u32::from(thread.await.expect("it returns"));
    }
    assert_eq!(leaders, 1);
}

/// The seed decides who gets the lock next. A fair unlock hands it to a thread that has not run yet.
async fn contend(sim: Sim, is_fair: bool) {
    let lock = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let changed = Arc::new(parking_lot::Condvar::new());
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..6u32 {
        let (lock, changed) = (Arc::clone(&lock), Arc::clone(&changed));
        tasks.spawn_blocking(move || {
            for nth in 0..4 {
                let mut order = lock.lock();
                order.push(number);
                if nth % 2 == 1 {
                    thread::sleep(millis(1));
                }
                if is_fair {
                    parking_lot::MutexGuard::unlock_fair(order);
                } else {
                    drop(order);
                }
                changed.notify_one();
            }
        });
    }
    let (last, full) = (Arc::clone(&lock), changed);
    tasks.spawn_blocking(move || {
        let mut order = last.lock();
        while order.len() < 24 {
            full.wait_for(&mut order, millis(3));
        }
    });
    while let Some(ended) = tasks.join_next().await {
        ended.expect("it returns");
    }
    // Free: an async function may take it.
    let order = lock.lock();
    assert_eq!(order.len(), 24);
    sim.log(format!("{order:?}"));
}

#[sim_test(seeds = 200, check = true)]
async fn parking_lot_is_contended(sim: Sim) {
    contend(sim, false).await;
}

#[sim_test(seeds = 200, check = true)]
async fn parking_lot_is_contended_fairly(sim: Sim) {
    contend(sim, true).await;
}

/// A thread that takes a lock again at once does not keep it from others.
#[sim_test(seeds = 100, check = true)]
async fn greedy_thread_does_not_keep_a_lock() {
    let lock = Arc::new(Mutex::new(false));
    let fast = Arc::new(parking_lot::Mutex::new(()));
    let (greedy, greedy_fast) = (Arc::clone(&lock), Arc::clone(&fast));
    let greedy = thread::spawn(move || {
        for turn in 0..1_000 {
            let _fast = greedy_fast.lock();
            let is_done = greedy.lock().expect("no panic");
            if *is_done {
                return turn;
            }
            thread::sleep(millis(1));
        }
        1_000
    });
    let other = tokio::task::spawn_blocking(move || {
        thread::sleep(millis(5));
        drop(fast.lock());
        *lock.lock().expect("no panic") = true;
        greedy.join().expect("it returns")
    });
    let turns = other.await.expect("it returns");
    assert!(turns < 100, "{turns}");
}

/// An async function waits for a lock that threads hold, which do not sleep.
#[sim_test(seeds = 200, check = true)]
async fn async_function_contends_with_threads() {
    let lock = Arc::new(parking_lot::Mutex::new(0));
    let std_lock = Arc::new(Mutex::new(0));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (lock, std_lock) = (Arc::clone(&lock), Arc::clone(&std_lock));
            thread::spawn(move || {
                for _ in 0..10 {
                    *std_lock.lock().expect("no panic") += 1;
                    *lock.lock() += 1;
                    thread::yield_now();
                }
            })
        })
        .collect();
    for _ in 0..10 {
        *std_lock.lock().expect("no panic") += 1;
        *lock.lock() += 1;
        tokio::task::yield_now().await;
    }
    for thread in threads {
        thread.join().expect("it returns");
    }
    assert_eq!((*lock.lock(), *std_lock.lock().expect("no panic")), (50, 50));
}

/// The order of threads that could all run is drawn.
#[test]
fn order_of_threads_depends_on_the_seed() {
    use simmach::program::{Program, Scenario};
    use std::collections::BTreeSet;

    let orders = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = Arc::clone(&orders);
    let program = Program::new(move || {
        let seen = Arc::clone(&seen);
        Scenario::new().body(async move |_: Sim| {
            let order = Order::default();
            for number in 0..4 {
                let order = Arc::clone(&order);
                thread::spawn(move || order.lock().expect("no panic").push(number));
            }
            tokio::time::sleep(millis(1)).await;
            let order = order.lock().expect("no panic").clone();
            simmach::interpose::allow_threads(|| seen.lock().expect("no panic").insert(order));
        })
    });
    for seed in 0..100 {
        let report = program.run(seed);
        assert!(report.passed(), "{report}");
    }
    assert!(orders.lock().expect("no panic").len() > 5, "{orders:?}");
}

thread_local! {
    static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Makes calls when its thread ends.
struct Last {
    order: Order,
    sender: mpsc::Sender<Duration>,
}

impl Drop for Last {
    fn drop(&mut self) {
        let before = Instant::now();
        thread::sleep(millis(5));
        self.order.lock().expect("no panic").push(2);
        // Ignored: the receiver may be gone.
        let _ = self.sender.send(before.elapsed());
    }
}

#[sim_test(seeds = 50, check = true)]
async fn destructors_of_thread_locals_make_calls() {
    let order = Order::default();
    let pushed = Arc::clone(&order);
    let received = tokio::task::spawn_blocking(move || {
        let (sender, receiver) = mpsc::channel();
        let local = Last { order: Arc::clone(&pushed), sender };
        let thread = thread::spawn(move || {
            LAST.set(Some(local));
            DEPTH.set(DEPTH.get() + 1);
            pushed.lock().expect("no panic").push(1);
            DEPTH.get()
        });
        assert_eq!(thread.join().expect("it returns"), 1);
        receiver.recv().expect("the destructor has run")
    });
    let took = received.await.expect("it returns");
    assert!(took >= millis(5) && took < millis(6), "{took:?}");
    assert_eq!(*order.lock().expect("no panic"), [1, 2]);
}

#[sim_test(seeds = 20, check = true)]
async fn panic_of_a_thread_reaches_its_joiner() {
    let joined = tokio::task::spawn_blocking(|| {
        let panicking = thread::spawn(|| {
            thread::sleep(millis(1));
            std::panic::resume_unwind(Box::new("planned"))
        });
        let panicked: thread::Result<()> = panicking.join();
        panicked.expect_err("it panicked").downcast_ref::<&str>().copied()
    });
    assert_eq!(joined.await.expect("it returns"), Some("planned"));
}

/// Generators of threads are functions of the run: map keys, and fastrand's on a thread with a name, or after its first wait.
#[sim_test(seeds = 50, check = true)]
async fn generators_of_threads_are_drawn(sim: Sim) {
    let mut drawn = Vec::new();
    for _ in 0..3 {
        let in_pool = tokio::task::spawn_blocking(|| {
            use std::hash::BuildHasher;
            let keys = std::collections::hash_map::RandomState::new();
            (keys.hash_one(1), fastrand::u64(..))
        });
        drawn.push(in_pool.await.expect("it returns"));
        let (sender, receiver) = tokio::sync::oneshot::channel();
        thread::spawn(move || {
            thread::yield_now();
            thread::sleep(millis(1));
            sender.send((0, fastrand::u64(..))).expect("it is received");
        });
        drawn.push(receiver.await.expect("it is sent"));
    }
    sim.log(format!("{drawn:?}"));
    // The check compares times: let what was drawn decide one.
    let word = drawn.iter().fold(0, |sum, (_, word)| sum ^ word);
    tokio::time::sleep(millis(word >> 50)).await;
}

/// A thread's machine is that of whoever started it.
#[sim_test(seeds = 20, check = true, machines("other.zone" => std::future::pending::<()>))]
async fn clocks_of_threads_are_those_of_their_machine(sim: Sim) {
    let before = std::time::SystemTime::now();
    let later = tokio::task::spawn_blocking(|| {
        thread::sleep(millis(1_000));
        std::time::SystemTime::now()
    });
    let later = later.await.expect("it returns");
    let took = later.duration_since(before).expect("clocks go forward");
    assert!(took >= millis(990) && took < millis(1_010), "{took:?}");
    sim.log("done");
}

/// A report names a thread by its name, and says what it waits for.
#[test]
fn report_names_threads() {
    use simmach::program::{Program, Scenario, Verdict};

    let program = Program::new(|| {
        Scenario::new().body(async |_: Sim| {
            let named = thread::Builder::new().name("listener".to_owned());
            let waits = named.spawn(|| std::net::UdpSocket::bind("0.0.0.0:9")?.recv(&mut [0; 8]));
            drop(waits);
            std::future::pending::<()>().await;
        })
    });
    let report = program.run(1);
    let Verdict::Failed(failure) = report.verdict() else { panic!("{report}") };
    let named = "client: the thread `listener` waits for a datagram";
    assert!(failure.waiting.iter().any(|line| line == named), "{:?}", failure.waiting);
}
