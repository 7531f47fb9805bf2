//! Tests that `Sim` changes the network and shows its state.

use crate::net::{Protocol, SocketState, TcpListener, UdpSocket};
use crate::run::tests::*;
use crate::sim::ControlError;
use crate::time::timeout;

/// Echoes each datagram.
async fn answers() -> Result {
    let socket = UdpSocket::bind("0.0.0.0:9").await?;
    let mut word = [0; 8];
    loop {
        let (length, from) = socket.recv_from(&mut word).await?;
        socket.send_to(&word[..length], from).await?;
    }
}

/// Returns the machines that answer.
async fn who_answers() -> Result<Vec<&'static str>> {
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    let mut found = Vec::new();
    for name in ["a1.east", "a2.east", "b.west"] {
        socket.send_to(name.as_bytes(), (name, 9)).await?;
        if timeout(1.secs(), socket.recv(&mut [0; 8])).await.is_ok() {
            found.push(name);
        }
    }
    Ok(found)
}

fn cluster() -> SpecBuilder {
    let machines = Topology::new().machine("a{1..=2}.east", answers).machine("b.west", answers);
    SpecBuilder::new().topology(machines)
}

const ALL: [&str; 3] = ["a1.east", "a2.east", "b.west"];

#[test]
fn partitions_name_machines_globs_and_zones() {
    pass(|| {
        cluster().body(async |sim: Sim| {
            assert_eq!(who_answers().await?, ALL);
            for (cut, left) in [
                ("a1.east", &["a2.east", "b.west"][..]),
                ("a*", &["b.west"]),
                ("*.east", &["b.west"]),
                ("east", &["b.west"]),
                ("*st", &[]),
            ] {
                sim.partition("client", cut)?;
                assert_eq!(who_answers().await?, left, "{cut}");
                sim.heal("client", cut)?;
                assert_eq!(who_answers().await?, ALL, "{cut}");
                for way in [("client", cut), (cut, "client")] {
                    sim.partition_one_way(way.0, way.1)?;
                    assert_eq!(who_answers().await?, left, "{way:?}");
                    sim.heal_all();
                }
            }
            let nobody = sim.partition("client", ["east", "north"]);
            assert!(
                matches!(nobody, Err(ControlError::NoMatch { selector, .. }) if selector == "north")
            );
            Ok::<_, BoxError>(())
        })
    });
}

#[test]
fn clog_of_a_zone_holds_and_releases_packets() {
    pass(|| {
        cluster().body(async |sim: Sim| {
            sim.clog("client", "east")?;
            let socket = UdpSocket::bind("0.0.0.0:0").await?;
            for n in 0..3 {
                socket.send_to(&[n], "a1.east:9").await?;
            }
            let mut byte = [0];
            assert!(timeout(5.secs(), socket.recv(&mut byte)).await.is_err());
            sim.unclog("client", "east")?;
            for n in 0..3 {
                socket.recv(&mut byte).await?;
                assert_eq!(byte, [n]);
            }
            Ok::<_, BoxError>(())
        })
    });
}

#[test]
fn machine_shows_its_sockets_and_ports() {
    pass(|| {
        cluster().body(async |sim: Sim| {
            let own = sim.machine("client");
            assert_eq!((own.name().as_str(), own.has_power()), ("client", true));
            assert!(own.sockets().is_empty() && own.ports().is_empty());
            let listener = TcpListener::bind("0.0.0.0:443").await?;
            let [socket] = &own.sockets()[..] else { panic!("{:?}", own.sockets()) };
            assert_eq!(socket.state, SocketState::Listen);
            assert_eq!(socket.to_string(), "tcp LISTEN          0   1024 0.0.0.0:443 *");
            assert_eq!(own.ports(), [(Protocol::Tcp, 443)]);
            assert_eq!(sim.machine("b.west").ports(), [(Protocol::Udp, 9)]);
            drop(listener);
            assert!(own.sockets().is_empty() && own.ports().is_empty());
            assert_eq!(sim.timers(), 0);
            let waits = spawn(sleep(5.secs()));
            sleep(1.secs()).await;
            assert_eq!(sim.timers(), 1);
            waits.abort();
            sleep(1.secs()).await;
            assert_eq!(sim.timers(), 0);
            Ok::<_, BoxError>(())
        })
    });
}

#[test]
fn selector_without_a_machine_is_an_error() {
    for (name, words) in [
        ("a3.east", "known machines: "),
        ("a*", "needs exactly one machine, but `a*` matches a1.east, a2.east"),
    ] {
        let failure = fail(move || {
            cluster().body(async move |sim: Sim| {
                sim.machine(name);
            })
        });
        assert_eq!(failure.kind, FailureKind::Panic);
        assert!(failure.message.contains(words), "{}", failure.message);
    }
}

/// Each packet fault is described by what happened to that packet, not to the next one.
#[test]
fn packet_faults_are_distinguished() {
    use crate::engine::draws::family::Family;
    use crate::engine::record::deviations::{DeviationKind, RecordLevel};
    let spec = || {
        let bad = NetworkProfile::fixed(5.millis()).reorder(0.2, 50.millis()).loss(0.2);
        let machines = Topology::new().host("a.east").host("b.west").link("east", "west", bad);
        SpecBuilder::new().topology(machines).client("a.east").body(async |_| {
            let socket = UdpSocket::bind("0.0.0.0:0").await?;
            for _ in 0..200 {
                socket.send_to(b"x", "b.west:9").await?;
                sleep(1.millis()).await;
            }
            Result::<()>::Ok(())
        })
    };
    let keep = Keep { deviations: RecordLevel::All, ..Keep::default() };
    let outcome = run_spec(spec, 0, Overlay::default(), keep, Arc::default());
    let mut told = [0, 0];
    for deviation in
        outcome.deviations.iter().filter(|deviation| deviation.kind == DeviationKind::PacketFault)
    {
        let (nth, words) = match deviation.family {
            Family::Reorder => (0, "is held back"),
            Family::Loss => (1, "is lost"),
            _ => continue,
        };
        assert!(deviation.text.contains(words), "{deviation:?}");
        told[nth] += 1;
    }
    assert!(told.iter().all(|count| (20..80).contains(count)), "{told:?}");
}

/// A real listener, and a check that nothing has connected to it.
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod reality {
    use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
    use std::os::unix::net::{UnixDatagram, UnixListener};
    use std::{fs, io};

    use super::*;

    /// Calls that must not reach anything outside the run.
    type Call = fn(SocketAddr) -> io::Result<()>;

    const CALLS: [Call; 5] = [
        |address| TcpStream::connect(address).map(drop),
        |_| TcpListener::bind("127.0.0.1:0").map(drop),
        |_| UdpSocket::bind("127.0.0.1:0").map(drop),
        |_| ("server", 80).to_socket_addrs().map(drop),
        |_| UnixListener::bind("/tmp/simmach-plan.sock").map(drop),
    ];

    fn with_real_listener(f: impl FnOnce(SocketAddr)) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        listener.set_nonblocking(true).expect("it is open");
        f(listener.local_addr().expect("it is bound"));
        let error = listener.accept().expect_err("nothing has connected");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(fs::metadata("/tmp/simmach-plan.sock").is_err());
    }

    #[test]
    fn plan_that_uses_a_socket_breaks_the_run() {
        with_real_listener(|address| {
            for call in CALLS {
                let ran = outcome(0, move || {
                    let plan = move |_: Sim| async move {
                        sleep(1.secs()).await;
                        call(address).expect_err("it has no machine");
                    };
                    let spec = SpecBuilder::new().machine("server", obeys).plan(plan);
                    spec.body(async |_| sleep(1.mins()).await)
                });
                let Verdict::Broken(said) = ran.verdict else { panic!("{:?}", ran.verdict) };
                assert!(said.contains("a plan does not run on a machine"), "{said}");
                assert!(said.contains("sim.run_on(machine, …)"), "{said}");
            }
        });
    }

    #[test]
    fn native_process_reaches_nothing_real() {
        with_real_listener(|address| {
            let ran = outcome(0, move || {
                SpecBuilder::new().native().body(async move |_| {
                    // What needs no waiting works.
                    TcpListener::bind("127.0.0.1:0").expect("the port is free");
                    UdpSocket::bind("127.0.0.1:0").expect("the port is free");
                    UnixDatagram::bind("/tmp/simmach-plan.sock").expect("the name is free");
                    ("localhost", 80).to_socket_addrs().expect("it is known");
                    ("example.com", 80).to_socket_addrs().expect_err("it is not known");
                    TcpStream::connect(address).expect_err("it would wait");
                })
            });
            let Verdict::Failed(failure) = ran.verdict else { panic!("{:?}", ran.verdict) };
            assert!(failure.message.contains("block"), "{}", failure.message);
        });
    }

    #[test]
    fn spec_reaches_nothing_real() {
        with_real_listener(|address| {
            for call in CALLS {
                let ran = outcome(0, move || {
                    call(address).expect_err("there is no network yet");
                    SpecBuilder::new().body(async |_| sleep(1.secs()).await)
                });
                assert!(!matches!(ran.verdict, Verdict::Failed(_)), "{:?}", ran.verdict);
            }
        });
    }
}
