//! The parts of a run, each for itself: `cargo bench --bench engine`; a word behind `--` is a part of a name.
//!
//! What happens inside a run is measured by runs in which little else happens: `item/s` counts what each is named for, and
//! the run that it is in (see `run`) comes to little among so many. Of a thing's own time, that is the reciprocal.

mod sweep {
    //! A test's binary, for what workers cost.

    use std::process::ExitCode;

    use simmach::prelude::*;

    simmach::main!();

    pub(crate) fn run() -> ExitCode {
        main()
    }

    #[sim_test(seeds = 2)]
    async fn nothing(_: Sim) {}
}

use std::hint::black_box;
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

/// Set where this program is to be a test's binary.
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

/// Tasks, one after another, each awaited.
#[divan::bench]
fn spawn_and_join(bencher: Bencher<'_, '_>) {
    measure(bencher, MANY, async || {
        for n in 0..MANY {
            let _ = black_box(spawn(async move { n }).await);
        }
    });
}

/// A timer that is set and taken back, among a hundred others.
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

/// A number of the user's.
#[divan::bench]
fn draw(bencher: Bencher<'_, '_>) {
    measure(bencher, MANY, async || {
        for _ in 0..MANY {
            black_box(rand::random());
        }
    });
}

/// A datagram, from its send to the task that gets it: half a round trip. One at a time, for a socket that nobody reads from
/// drops what it has no room for.
#[divan::bench]
fn datagram_send_to_deliver(bencher: Bencher<'_, '_>) {
    let spec = || {
        let cluster = Topology::new().machine("peer.zone", answer);
        Scenario::new().topology(cluster).client("own.zone").body(async |_: Sim| {
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
        Scenario::new().topology(cluster).client("own.zone").body(async |_: Sim| {
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

/// Environments of LMDB, opened in one run and closed at its end.
#[divan::bench]
fn lmdb_open_and_close(bencher: Bencher<'_, '_>) {
    measure(bencher, STORES, async || {
        for n in 0..STORES {
            storage::open(&format!("db{n}")).await.expect("there is room");
        }
    });
}

/// Transactions of one small value each, durable.
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

/// A run of nothing: its thread, its machine, its end.
#[divan::bench]
fn run(bencher: Bencher<'_, '_>) {
    measure(bencher, 1, async || {});
}

/// A process of a test's binary that makes two runs of nothing, itself.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn process_alone(bencher: Bencher<'_, '_>) {
    bencher.bench(|| sweep_with(1));
}

/// The same with two workers, each a process of its own: what is above the other is their start.
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

/// Runs of this body, in each of which so many things happen.
fn measure<F>(bencher: Bencher<'_, '_>, items: usize, body: F)
where
    F: AsyncFn() + Copy + Send + Sync + 'static,
{
    measure_spec(bencher, items, move || {
        Scenario::new().topology(Topology::new()).body(async move |_: Sim| body().await)
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
