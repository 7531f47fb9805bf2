//! Measures the parts of a run separately: `cargo bench --bench engine`. A word after `--` selects
//! the benchmarks whose names contain it.
//!
//! Each benchmark executes runs that mostly consist of many repetitions of one operation. `item/s`
//! is the number of operations per second. The cost of the run itself is small in comparison (see
//! `run`).

mod sweep {
    //! A test binary, to measure the cost of workers.

    use std::process::ExitCode;

    use simmach::prelude::*;

    simmach::main!();

    pub(crate) fn run() -> ExitCode {
        main()
    }

    #[sim_test(seeds = 2)]
    async fn nothing(_: Sim) {}
}

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::{Command, ExitCode};
use std::task::Context;

use divan::Bencher;
use divan::counter::ItemsCount;
use futures::channel::mpsc;
use futures::task::noop_waker_ref;
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, StreamExt};
use simmach::net::{TcpListener, TcpStream, UdpSocket};
use simmach::prelude::*;
use simmach::program::{Program, Scenario, Spec};
use simmach::storage::types::{Bytes, Str};
use simmach::task::{spawn, yield_now};
use simmach::time::sleep;
use simmach::{rand, storage};

/// If set, this program acts as a test binary.
const ROLE: &str = "SIMMACH_ENGINE_ROLE";
const MANY: usize = 20_000;
const STORES: usize = 20;
const MESSAGE: usize = 64;

fn main() -> ExitCode {
    if std::env::var_os(ROLE).is_some() {
        return sweep::run();
    }
    divan::main();
    ExitCode::SUCCESS
}

/// A task that yields: it wakes itself and is polled again.
#[divan::bench]
fn poll(bencher: Bencher<'_, '_>) {
    measure(bencher, MANY, async || {
        for _ in 0..MANY {
            yield_now().await;
        }
    });
}

/// Two tasks that wake each other in turn.
#[divan::bench]
fn wake(bencher: Bencher<'_, '_>) {
    measure(bencher, MANY, async || {
        let ((mut to, mut here), (mut back, mut there)) = (mpsc::channel(1), mpsc::channel(1));
        let other = spawn(async move {
            while there.next().await.is_some() {
                let _ = to.try_send(());
            }
        });
        for _ in 0..MANY / 2 {
            let _ = back.try_send(());
            here.next().await;
        }
        drop(back);
        let _ = other.await;
    });
}

/// Tasks that are spawned and awaited one after the other.
#[divan::bench]
fn spawn_and_join(bencher: Bencher<'_, '_>) {
    measure(bencher, MANY, async || {
        for n in 0..MANY {
            let _ = black_box(spawn(async move { n }).await);
        }
    });
}

/// A timer that is set and cancelled, among a hundred others.
#[divan::bench]
fn timer_set_and_cancel(bencher: Bencher<'_, '_>) {
    measure(bencher, MANY, async || {
        let mut others: Vec<_> = (1..=100).map(|n| Box::pin(sleep(n.secs()))).collect();
        let mut nothing = Context::from_waker(noop_waker_ref());
        for other in &mut others {
            let _ = other.poll_unpin(&mut nothing);
        }
        for _ in 0..MANY {
            let _ = Box::pin(sleep(1.secs())).poll_unpin(&mut nothing);
        }
    });
}

/// A timer that is set and fires, and the task that it wakes.
#[divan::bench]
fn timer_set_and_fire(bencher: Bencher<'_, '_>) {
    measure(bencher, MANY, async || {
        for _ in 0..MANY {
            sleep(Duration::from_micros(1)).await;
        }
    });
}

/// A random number of the code under test.
#[divan::bench]
fn draw(bencher: Bencher<'_, '_>) {
    measure(bencher, MANY, async || {
        for _ in 0..MANY {
            black_box(rand::random());
        }
    });
}

/// A datagram, from its send to the receiving task: half a round trip. One at a time, since a socket whose queue is full drops
/// datagrams.
#[divan::bench]
fn datagram_send_to_deliver(bencher: Bencher<'_, '_>) {
    let spec = || {
        let cluster = Topology::new().machine("peer.zone", answer);
        Scenario::new().native().topology(cluster).client("own.zone").body(async |_: Sim| {
            let socket = UdpSocket::bind("0.0.0.0:7").await?;
            let mut message = [1; MESSAGE];
            for _ in 0..MANY / 2 {
                socket.send_to(&message, "peer.zone:7").await?;
                socket.recv_from(&mut message).await?;
            }
            std::io::Result::Ok(())
        })
    };
    measure_spec(bencher, MANY, spec);
}

async fn answer() -> Result {
    let socket = UdpSocket::bind("0.0.0.0:7").await?;
    let mut message = [0; MESSAGE];
    loop {
        let (_, from) = socket.recv_from(&mut message).await?;
        socket.send_to(&message, from).await?;
    }
}

/// A segment of TCP, from its write to the task that reads it: half a round trip.
#[divan::bench]
fn segment_send_to_deliver(bencher: Bencher<'_, '_>) {
    let spec = || {
        let cluster = Topology::new().machine("peer.zone", echo);
        Scenario::new().native().topology(cluster).client("own.zone").body(async |_: Sim| {
            let mut stream = TcpStream::connect("peer.zone:7").await?;
            let mut message = [1; MESSAGE];
            for _ in 0..MANY / 2 {
                stream.write_all(&message).await?;
                stream.read_exact(&mut message).await?;
            }
            std::io::Result::Ok(())
        })
    };
    measure_spec(bencher, MANY, spec);
}

async fn echo() -> Result {
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    let (mut stream, _) = listener.accept().await?;
    let mut message = [0; MESSAGE];
    loop {
        stream.read_exact(&mut message).await?;
        stream.write_all(&message).await?;
    }
}

/// LMDB environments, opened in one run and closed at its end.
#[divan::bench]
fn lmdb_open_and_close(bencher: Bencher<'_, '_>) {
    measure(bencher, STORES, async || {
        for n in 0..STORES {
            storage::open(&format!("db{n}")).await.expect("there is room");
        }
    });
}

/// Durable transactions of one small value each.
#[divan::bench]
fn lmdb_commit(bencher: Bencher<'_, '_>) {
    measure(bencher, MANY / 10, async || {
        let db = storage::open("db").await.expect("there is room");
        for n in 0..MANY as u32 / 10 {
            let written = db.write(move |txn| {
                let table = txn.table::<Str, Bytes>("table")?;
                Ok(table.put(txn, "key", &n.to_le_bytes())?)
            });
            written.await.expect("there is room");
        }
    });
}

/// Creates, closes and deletes files.
#[divan::bench]
fn file_create_close_unlink(bencher: Bencher<'_, '_>) {
    measure(bencher, MANY, async || {
        for _ in 0..MANY {
            drop(File::create("file").expect("there is room"));
            fs::remove_file("file").expect("it exists");
        }
    });
}

/// Reads 100 bytes at different positions of a file.
#[divan::bench]
fn file_pread(bencher: Bencher<'_, '_>) {
    measure(bencher, MANY, async || {
        fs::write("file", [1; 1 << 16]).expect("there is room");
        let file = File::open("file").expect("it exists");
        let mut read = [0; 100];
        for n in 0..MANY as u64 {
            file.read_exact_at(&mut read, n * 37 % 60_000).expect("it is long enough");
        }
    });
}

/// Appends 100 bytes to a file and syncs it.
#[divan::bench]
fn file_append_fsync(bencher: Bencher<'_, '_>) {
    measure(bencher, MANY, async || {
        let mut file = File::create("file").expect("there is room");
        for _ in 0..MANY {
            file.write_all(&[1; 100]).expect("there is room");
            file.sync_all().expect("the disk works");
        }
    });
}

/// An empty run: its thread, its machine and its teardown.
#[divan::bench]
fn run(bencher: Bencher<'_, '_>) {
    measure(bencher, 1, async || {});
}

/// A process of a test binary that makes two empty runs itself.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn process_alone(bencher: Bencher<'_, '_>) {
    bencher.bench(|| sweep_with(1));
}

/// The same with two worker processes: the difference is the cost of starting them.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn process_with_workers(bencher: Bencher<'_, '_>) {
    bencher.bench(|| sweep_with(2));
}

fn sweep_with(jobs: u32) {
    let own = std::env::current_exe().expect("a program has a file");
    let mut command = Command::new(own);
    command.env(ROLE, "sweep").env("SIMMACH_JOBS", jobs.to_string()).env("SIMMACH_CHECK", "0");
    let ran = command.env("SIMMACH_REGRESSIONS", "off").output().expect("it is here");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
}

/// Measures runs of this body, each of which has `items` operations.
fn measure<F>(bencher: Bencher<'_, '_>, items: usize, body: F)
where
    F: AsyncFn() + Copy + Send + Sync + 'static,
{
    measure_spec(bencher, items, move || {
        Scenario::new().native().topology(Topology::new()).body(async move |_: Sim| body().await)
    });
}

fn measure_spec(
    bencher: Bencher<'_, '_>,
    items: usize,
    spec: impl Fn() -> Spec + Send + Sync + 'static,
) {
    let program = Program::new(spec).log(false);
    bencher.counter(ItemsCount::new(items)).bench_local(|| {
        let report = program.run(1);
        assert!(report.passed(), "{report}");
    });
}
