//! Tests that a failure describes the call that caused its error. An `io::Error` with an OS code
//! cannot store a description.

use crate::net::{TcpListener, TcpStream, UdpSocket};
use crate::run::tests::*;

const REFUSED: &str = "connecting to web.zone:80 (10.0.0.1:80)";

async fn connect() -> std::io::Result<TcpStream> {
    TcpStream::connect("web.zone:80").await
}

fn spec() -> SpecBuilder {
    SpecBuilder::new().topology(Topology::new().host("web.zone"))
}

#[test]
fn cause_of_an_error_of_the_body() {
    let failure = fail(|| spec().body(async |_| connect().await.map(drop)));
    assert_eq!(failure.message, "Connection refused (os error 111)");
    assert_eq!(failure.cause.as_deref(), Some(REFUSED));
}

#[test]
fn cause_of_a_panic() {
    let unwraps = async |_| drop(connect().await.unwrap());
    assert_eq!(fail(move || spec().body(unwraps)).cause.as_deref(), Some(REFUSED));
    let in_a_task = async |_| {
        spawn(async { drop(connect().await.unwrap()) }).await.ok();
        sleep(1.secs()).await;
        connect().await.expect("it listens");
    };
    assert_eq!(fail(move || spec().body(in_a_task)).cause.as_deref(), Some(REFUSED));
}

#[test]
fn cause_of_a_panic_in_a_destructor() {
    struct Flushes(UdpSocket);
    impl Drop for Flushes {
        fn drop(&mut self) {
            let nowhere = "8.8.8.8:53".parse().expect("an address");
            self.0.try_send_to(b"last words", nowhere).unwrap();
        }
    }
    let failure = fail(|| {
        spec().body(async |_| drop(Flushes(UdpSocket::bind("0.0.0.0:0").await.expect("a port"))))
    });
    let cause = "sending to 8.8.8.8:53: no machine has this address";
    assert_eq!(failure.cause.as_deref(), Some(cause));
}

#[test]
fn cause_of_an_error_of_a_service() {
    async fn twice() -> std::io::Result<()> {
        let _one = TcpListener::bind("0.0.0.0:80").await?;
        TcpListener::bind("0.0.0.0:80").await.map(drop)
    }
    let failure = fail(|| {
        SpecBuilder::new().machine("web.zone", twice).body(async |_| sleep(1.hours()).await)
    });
    let said = "the service web.zone ended with an error: Address already in use (os error 98)";
    assert_eq!(failure.message, said);
    let cause = failure.cause.expect("it was noted");
    assert!(cause.contains("0.0.0.0:80") && cause.contains("use port 0 for a free one"), "{cause}");
}

/// A client on another machine passes its error to the body.
#[test]
fn cause_of_an_error_that_is_passed_on() {
    let failure = fail(|| {
        let machines = Topology::new().host("web.zone").host("other.zone");
        SpecBuilder::new().topology(machines).body(async |sim: Sim| {
            sim.run_on("other.zone", async { connect().await.map(drop) }).await.expect("it ends")
        })
    });
    assert_eq!(failure.cause.as_deref(), Some(REFUSED));
}

#[test]
fn cause_is_unknown_for_a_custom_error() {
    let failure = fail(|| {
        spec().body(async |_| {
            connect().await.expect_err("nobody listens");
            Err::<(), _>("wrong total")
        })
    });
    assert_eq!(failure.cause, None);
}

/// The cause, such as the host that refused, is not part of the fingerprint.
#[test]
fn cause_is_not_in_the_fingerprint() {
    let refused = |name: &'static str| {
        let spec = move || {
            let machines = Topology::new().host("a.zone").host("b.zone");
            SpecBuilder::new()
                .topology(machines)
                .body(async move |_| TcpStream::connect((name, 80)).await.map(drop))
        };
        fail(spec)
    };
    let (one, two) = (refused("a.zone"), refused("b.zone"));
    assert_ne!(one.cause, two.cause);
    assert_eq!(one.fingerprint(), two.fingerprint());
}
