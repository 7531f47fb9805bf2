//! Tests processes that end while they have threads.

use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::task::Waker;
use std::thread;
use std::time::Duration;

use simmach::prelude::*;
use simmach::program::{Program, Scenario};
use tokio::task::spawn_blocking;

fn millis(time: u64) -> Duration {
    Duration::from_millis(time)
}

/// Starts threads that wait in every way, and one thread that holds two locks during these waits.
async fn waits_in_every_way() {
    let lock = Arc::new(Mutex::new(0));
    let fair = Arc::new(parking_lot::Mutex::new(0));
    let held = (Arc::clone(&lock), Arc::clone(&fair));
    thread::spawn(move || {
        let (lock, fair) = (held.0.lock(), held.1.lock());
        thread::sleep(Duration::from_secs(1_000));
        drop((lock, fair));
    });
    tokio::time::sleep(millis(1)).await;
    thread::spawn({
        let lock = Arc::clone(&lock);
        move || *lock.lock().unwrap_or_else(PoisonError::into_inner) += 1
    });
    spawn_blocking(move || *fair.lock() += 1);
    let (sender, receiver) = mpsc::channel::<()>();
    thread::spawn(move || receiver.recv());
    spawn_blocking(|| TcpListener::bind("0.0.0.0:7")?.accept());
    spawn_blocking(|| UdpSocket::bind("0.0.0.0:8")?.recv_from(&mut [0; 8]));
    spawn_blocking(|| {
        let mut stream = std::net::TcpStream::connect("silent.zone:9")?;
        stream.read(&mut [0; 8])
    });
    thread::spawn(|| thread::spawn(|| thread::sleep(Duration::from_secs(1_000))).join());
    std::future::pending::<()>().await;
    drop(sender);
}

async fn silent() {
    let listener = tokio::net::TcpListener::bind("0.0.0.0:9").await.expect("the port is free");
    let mut accepted = Vec::new();
    while let Ok(stream) = listener.accept().await {
        accepted.push(stream);
    }
}

/// Kills, powers off, stops and restarts a machine whose threads wait.
#[sim_test(
    seeds = 100,
    check = true,
    machines("victim.zone" => waits_in_every_way, "silent.zone" => silent)
)]
async fn machine_goes_down_while_its_threads_wait(sim: Sim) -> Result<(), simmach::ControlError> {
    for turn in 0..4 {
        tokio::time::sleep(millis(20 + turn)).await;
        match turn {
            0 => sim.kill("victim.zone")?,
            1 => sim.power_off("victim.zone")?,
            _ => sim.stop("victim.zone", millis(10)).await?,
        }
        tokio::time::sleep(millis(5)).await;
        sim.start("victim.zone")?;
    }
    Ok(())
}

/// The process ends in the middle of a thread's work, which locks what another waits for.
async fn hands_locks_on() {
    let shared = Arc::new((Mutex::new(0u32), Condvar::new()));
    for number in 0..4 {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            let (count, changed) = &*shared;
            for _ in 0..1_000 {
                let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
                thread::sleep(millis(1 + number));
                *count += 1;
                changed.notify_one();
            }
        });
    }
    let waited = spawn_blocking(move || {
        let (count, changed) = &*shared;
        let count = count.lock().unwrap_or_else(PoisonError::into_inner);
        drop(changed.wait_while(count, |count| *count < 4_000));
    });
    waited.await.expect("it does not panic");
}

#[sim_test(seeds = 100, check = true, machines("victim.zone" => hands_locks_on))]
async fn machine_goes_down_while_its_threads_contend(
    sim: Sim,
) -> Result<(), simmach::ControlError> {
    for turn in 0..3 {
        tokio::time::sleep(millis(50 + 7 * turn)).await;
        sim.kill("victim.zone")?;
        tokio::time::sleep(millis(5)).await;
        sim.start("victim.zone")?;
    }
    Ok(())
}

/// Wakers of a guest that is gone are woken by those who kept them.
#[sim_test(seeds = 50, check = true)]
async fn wakers_outlive_their_runtime(sim: Sim) {
    use std::future::poll_fn;
    use std::task::Poll;

    let kept: Arc<Mutex<Vec<Waker>>> = Arc::default();
    let keeps = Arc::clone(&kept);
    sim.run_on("client", async move {
        let task = tokio::spawn({
            let keeps = Arc::clone(&keeps);
            poll_fn(move |cx| {
                keeps.lock().expect("no panic").push(cx.waker().clone());
                Poll::<()>::Pending
            })
        });
        tokio::task::yield_now().await;
        let mut polled = false;
        poll_fn(|cx| {
            keeps.lock().expect("no panic").push(cx.waker().clone());
            if std::mem::replace(&mut polled, true) {
                Poll::Ready(())
            } else {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await;
        drop(task);
    })
    .await
    .expect("it returns");
    let kept = std::mem::take(&mut *kept.lock().expect("no panic"));
    for waker in kept {
        waker.wake_by_ref();
        tokio::time::sleep(millis(1)).await;
        spawn_blocking(|| waker.wake()).await.expect("it returns");
    }
}

/// It would not leave outside a run either.
async fn waits_for_ever() {
    spawn_blocking(|| {
        tokio::runtime::Handle::current().block_on(std::future::pending::<()>());
    });
    std::future::pending::<()>().await;
}

/// After a run that left a thread behind, a worker does not execute further runs.
#[sim_test(seeds = 8, check = true, machines("server.zone" => waits_for_ever))]
async fn worker_with_a_left_thread_is_replaced(sim: Sim) -> Result<(), simmach::ControlError> {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let runs = RUNS.fetch_add(1, Ordering::SeqCst);
    // The first run of a process is a warm-up.
    assert!(std::env::var_os("SIMMACH_WORKER").is_none() || runs < 2, "{runs} runs");
    tokio::time::sleep(millis(5)).await;
    sim.kill("server.zone")?;
    tokio::time::sleep(millis(5)).await;
    Ok(())
}

#[test]
fn left_threads_do_not_hang_a_program() {
    let program = Program::new(|| {
        Scenario::new()
            .topology(Topology::new().machine("server.zone", waits_for_ever))
            .body(async |_: Sim| tokio::time::sleep(millis(5)).await)
    });
    for seed in 0..5 {
        assert!(program.run(seed).passed());
    }
}

/// Threads of this process.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Resident memory of this process, in KiB.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Child of [`runs_leave_nothing_behind`]: alone in its process.
#[test]
#[ignore = "run by runs_leave_nothing_behind"]
fn many_runs_with_threads() {
    let program = Program::new(|| {
        Scenario::new()
            .topology(
                Topology::new()
                    .machine("victim.zone", waits_in_every_way)
                    .machine("silent.zone", silent),
            )
            .body(async |_: Sim| {
                let slept = spawn_blocking(|| thread::sleep(millis(20)));
                slept.await.expect("it returns");
            })
    })
    .log(false);
    for seed in 0..100 {
        assert!(program.run(seed).passed());
    }
    let before = (threads(), descriptors(), memory());
    for seed in 100..10_100 {
        assert!(program.run(seed).passed());
    }
    let after = (threads(), descriptors(), memory());
    assert_eq!((before.0, before.1), (after.0, after.1));
    assert!(after.2 < before.2 + 4_096, "{before:?} {after:?}");
}

#[test]
fn runs_leave_nothing_behind() {
    let child = std::process::Command::new(std::env::current_exe().expect("there is one"))
        .args(["--ignored", "--exact", "going_down::many_runs_with_threads"])
        .output()
        .expect("it can be started");
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && output.contains("1 passed"), "{output}");
}

/// A C thread that uses the stack of the thread that joins it.
extern "C" fn sleeps_and_counts(count: *mut libc::c_void) -> *mut libc::c_void {
    thread::sleep(millis(1_000));
    // SAFETY: the counter exists until this thread was joined.
    unsafe { &*count.cast::<AtomicU32>() }.fetch_add(1, Ordering::Relaxed);
    std::ptr::null_mut()
}

/// Starts two threads, also after the process has ended, and joins them. Returns how often they counted.
fn joins_threads_that_use_its_stack(is_late: bool) -> u32 {
    let count = AtomicU32::new(0);
    if is_late {
        thread::sleep(millis(1_000));
    }
    let threads = [(); 2].map(|()| {
        let mut handle = 0;
        let argument = (&raw const count).cast_mut().cast();
        // SAFETY: the arguments are valid, and the thread is joined before `count` is dropped.
        let answer = unsafe {
            libc::pthread_create(&raw mut handle, std::ptr::null(), sleeps_and_counts, argument)
        };
        assert_eq!(answer, 0);
        handle
    });
    for handle in threads {
        // SAFETY: the handle is that of a thread that is joined once.
        assert_eq!(unsafe { libc::pthread_join(handle, std::ptr::null_mut()) }, 0);
    }
    count.load(Ordering::Relaxed)
}

/// The joins of a process that ended return when the joined threads have ended, and not before.
#[test]
fn joins_do_not_return_early_when_their_process_ends() {
    let joined: Arc<Mutex<Vec<u32>>> = Arc::default();
    let noted = Arc::clone(&joined);
    let program = Program::new(move || {
        let joined = Arc::clone(&noted);
        let service = move || {
            let joined = Arc::clone(&joined);
            async move {
                for is_late in [false, true] {
                    let joined = Arc::clone(&joined);
                    thread::spawn(move || {
                        let count = joins_threads_that_use_its_stack(is_late);
                        joined.lock().unwrap_or_else(PoisonError::into_inner).push(count);
                    });
                }
                std::future::pending::<()>().await;
            }
        };
        Scenario::new().machine("victim.zone", service).body(async |sim: Sim| {
            tokio::time::sleep(millis(200)).await;
            sim.kill("victim.zone")?;
            simmach::Result::<()>::Ok(())
        })
    });
    for seed in 0..20 {
        let verdict = program.run(seed);
        assert!(verdict.passed(), "seed {seed}: {verdict:?}");
    }
    assert_eq!(*joined.lock().expect("no panic"), [2; 40]);
}

extern "C" fn returns_its_argument(argument: *mut libc::c_void) -> *mut libc::c_void {
    argument
}

/// A thread that has ended keeps its handle until it is joined, so no later thread is joined in its place.
#[sim_test(seeds = 20, check = true)]
async fn ended_threads_keep_their_handles(_sim: Sim) {
    let joined = spawn_blocking(|| {
        let handles = [1_usize, 2, 3].map(|number| {
            let mut handle = 0;
            let argument = std::ptr::without_provenance_mut(number);
            // SAFETY: the arguments are valid.
            let answer = unsafe {
                libc::pthread_create(
                    &raw mut handle,
                    std::ptr::null(),
                    returns_its_argument,
                    argument,
                )
            };
            assert_eq!(answer, 0);
            thread::sleep(millis(1));
            handle
        });
        handles.map(|handle| {
            let mut result = std::ptr::null_mut();
            // SAFETY: each handle is that of a thread that is joined once.
            assert_eq!(unsafe { libc::pthread_join(handle, &raw mut result) }, 0);
            result.addr()
        })
    });
    assert_eq!(joined.await.expect("it does not panic"), [1, 2, 3]);
}

extern "C" fn returns_null(_: *mut libc::c_void) -> *mut libc::c_void {
    std::ptr::null_mut()
}

extern "C" fn parks_for_ever(_: *mut libc::c_void) -> *mut libc::c_void {
    loop {
        thread::park();
    }
}

/// Starts a detached thread, which ends, and then a thread that never ends. Returns whether the C
/// library gave both the same handle.
fn starts_detached_and_parked() -> bool {
    let [mut detached, mut parked] = [0; 2];
    let null = std::ptr::null_mut();
    // SAFETY: the attributes are initialized before they are used, and all arguments are valid.
    unsafe {
        let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
        libc::pthread_attr_init(&raw mut attributes);
        libc::pthread_attr_setdetachstate(&raw mut attributes, libc::PTHREAD_CREATE_DETACHED);
        let created =
            libc::pthread_create(&raw mut detached, &raw const attributes, returns_null, null);
        assert_eq!(created, 0);
        libc::pthread_attr_destroy(&raw mut attributes);
        thread::sleep(millis(1));
        // The thread has left the run, and exits in real time.
        (0..1_000_000).for_each(|_| std::hint::spin_loop());
        let created = libc::pthread_create(&raw mut parked, std::ptr::null(), parks_for_ever, null);
        assert_eq!(created, 0);
    }
    detached == parked
}

/// The C library frees a thread that is created detached, and gives its handle to the next one. So
/// the run must not join it: it would wait for the other one.
#[test]
fn threads_that_are_created_detached_are_not_joined() {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let program = Program::new(move || {
            let sender = sender.clone();
            Scenario::new().body(async move |_: Sim| {
                // The C library chooses the handle.
                let is_reused = || (0..50).any(|_| starts_detached_and_parked());
                let is_reused = spawn_blocking(is_reused).await;
                let _ = sender.send(is_reused.expect("it does not panic"));
                tokio::time::sleep(millis(5)).await;
            })
        });
        assert!(program.run(0).passed());
    });
    let wait = || receiver.recv_timeout(Duration::from_secs(30));
    assert_eq!(wait(), Ok(true), "a handle is used again");
    // The channel closes when the run has ended.
    assert_eq!(wait(), Err(mpsc::RecvTimeoutError::Disconnected));
}
