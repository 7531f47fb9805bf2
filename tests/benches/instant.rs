//! Measures the cost of `Instant::now()` outside a run, in a binary with simmach's definition and
//! in one without. Fails if the two differ by more than 5 ns:
//! `cargo bench -p simmach-tests --bench instant`.

#[path = "../src/fixture/instant.rs"]
mod instant;

use std::process::{Command, ExitCode};

use simmach::prelude::*;
use simmach::program::{Program, Scenario};

/// Maximum difference in nanoseconds.
const MAX_DIFFERENCE: f64 = 5.0;

/// Returns the cost in a program without simmach. The program measures it itself.
fn plain() -> f64 {
    let ran = Command::new(env!("CARGO_BIN_EXE_instant_plain")).output().expect("it is built");
    String::from_utf8_lossy(&ran.stdout).trim().parse().expect("it prints a number")
}

fn main() -> ExitCode {
    // The linker drops definitions that nothing refers to. This run makes it keep those of simmach.
    let program = Program::new(|| {
        Scenario::new().native().body(async |_: Sim| simmach::time::sleep(1.secs()).await)
    });
    assert!(program.run(0).passed());
    #[cfg(target_os = "linux")]
    assert_ne!(object_of(libc::clock_gettime as *const _), object_of(libc::getpid as *const _));
    let (mut with, mut without) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..5 {
        with = with.min(instant::cost());
        without = without.min(plain());
    }
    println!(
        "Instant::now() outside a run: {with:.2} ns with simmach in the binary, {without:.2} ns without"
    );
    if with - without <= MAX_DIFFERENCE {
        ExitCode::SUCCESS
    } else {
        println!("that is more than {MAX_DIFFERENCE} ns apart");
        ExitCode::FAILURE
    }
}

/// The file that the code at an address was loaded from.
#[cfg(target_os = "linux")]
fn object_of(address: *const libc::c_void) -> String {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: the pointer has room for the result. A name in the result lives as long as its object
    // is loaded.
    unsafe {
        assert_ne!(libc::dladdr(address, info.as_mut_ptr()), 0);
        let name = info.assume_init().dli_fname;
        std::ffi::CStr::from_ptr(name).to_string_lossy().into_owned()
    }
}
