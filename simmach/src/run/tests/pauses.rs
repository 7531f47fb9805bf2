//! Tests that a paused process does not run, while its sockets stay open and time passes.

use futures::io::{AsyncReadExt, AsyncWriteExt};

use crate::net::{TcpListener, TcpStream};
use crate::run::tests::*;

async fn ticks() {
    loop {
        sleep(100.millis()).await;
        note("tick");
    }
}

fn count() -> usize {
    notes().borrow().len()
}

async fn echo() -> Result {
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        spawn_local(async move {
            let mut buffer = [0; 64];
            while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                if stream.write_all(&buffer[..length]).await.is_err() {
                    break;
                }
            }
        });
    }
}

/// A timer of a paused process fires only once, when the process resumes.
#[test]
fn paused_process_does_not_run() {
    let ran = pass(|| {
        SpecBuilder::new().machine("a", ticks).body(async |sim: Sim| {
            sleep(1_050.millis()).await;
            assert_eq!(count(), 10);
            sim.pause("a")?;
            sim.pause("a")?;
            sleep(5.secs()).await;
            assert_eq!(count(), 10);
            sim.resume("a")?;
            sleep(1.millis()).await;
            assert_eq!(count(), 11);
            sleep(1.secs()).await;
            assert_eq!(count(), 21);
            sim.resume("a")
        })
    });
    assert_eq!(ran.effects.count(Effect::Pause), 1);
}

/// The machine's kernel accepts and acknowledges meanwhile.
#[test]
fn paused_process_keeps_its_sockets() {
    pass(|| {
        SpecBuilder::new().machine("server", echo).body(async |sim: Sim| {
            let mut stream = TcpStream::connect("server:7").await?;
            sim.pause("server")?;
            stream.write_all(b"ping").await?;
            let mut second = TcpStream::connect("server:7").await?;
            second.write_all(b"pong").await?;
            sleep(20.secs()).await;
            let mut answer = [0; 4];
            let early = crate::time::timeout(1.secs(), stream.read_exact(&mut answer)).await;
            assert!(early.is_err(), "{answer:?}");
            sim.resume("server")?;
            stream.read_exact(&mut answer).await?;
            assert_eq!(&answer, b"ping");
            second.read_exact(&mut answer).await?;
            assert_eq!(&answer, b"pong");
            Result::<()>::Ok(())
        })
    });
}

#[test]
fn paused_process_can_be_killed_and_powered_off() {
    pass(|| {
        SpecBuilder::new().machine("a", ticks).body(async |sim: Sim| {
            for way in 0..3 {
                let before = count();
                sim.pause("a")?;
                sleep(1.secs()).await;
                match way {
                    0 => sim.kill("a")?,
                    1 => sim.power_off("a")?,
                    _ => sim.stop("a", 1.secs()).await?,
                }
                assert_eq!(count(), before);
                sim.start("a")?;
                sleep(1_050.millis()).await;
                assert_eq!(count(), before + 10);
            }
            Result::<()>::Ok(())
        })
    });
}

#[test]
fn settle_ends_pauses() {
    pass(|| {
        SpecBuilder::new().machine("a", ticks).body(async |sim: Sim| {
            sim.pause("a")?;
            sim.settle().await?;
            sleep(1.secs()).await;
            assert!(count() >= 10);
            Result::<()>::Ok(())
        })
    });
}

/// The body is not paused, clients on its machine are.
#[test]
fn body_is_not_paused() {
    pass(|| {
        SpecBuilder::new().body(async |sim: Sim| {
            let ticks = sim.run_on("client", ticks());
            sleep(1_050.millis()).await;
            sim.pause("*")?;
            sleep(1.secs()).await;
            assert_eq!(count(), 10);
            sim.resume("client")?;
            sleep(1.secs()).await;
            assert!(count() > 18);
            drop(ticks);
            assert!(matches!(sim.pause("nobody"), Err(crate::ControlError::NoMatch { .. })));
            Result::<()>::Ok(())
        })
    });
}

/// The same in a guest, whose runtime and threads are tasks of its process.
#[cfg(all(
    feature = "tokio",
    target_os = "linux",
    target_env = "gnu",
    target_pointer_width = "64"
))]
#[test]
fn paused_guest_does_not_run() {
    async fn ticks() {
        loop {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            note("tick");
        }
    }
    pass(|| {
        SpecBuilder::new().machine("a", ticks).body(async |sim: Sim| {
            sleep(1_050.millis()).await;
            let before = count();
            assert!((9..=10).contains(&before));
            sim.pause("a")?;
            sleep(5.secs()).await;
            assert_eq!(count(), before);
            sim.resume("a")?;
            sleep(1.secs()).await;
            assert!(count() > before + 8);
            Result::<()>::Ok(())
        })
    });
}
