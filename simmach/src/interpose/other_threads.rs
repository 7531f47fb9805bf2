//! Finds out whether another thread of this process may act without being woken: it runs, is ready
//! to run, waits for a disk, or sleeps with a timeout.
//!
//! The state of threads is read from `/proc`. The caller is a thread that waits, so the functions
//! here do not allocate or lock.

use std::ffi::{CStr, c_long};
use std::io::Write as _;
use std::mem::MaybeUninit;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{CWD, Mode, OFlags, RawDir, openat};
use rustix::io::read;

use crate::engine::context;

/// A thread, from its `stat` file.
struct Thread<'a> {
    number: &'a str,
    name: &'a str,
    state: char,
}

/// Whether another thread of this process may act without being woken. Returns false if `/proc`
/// cannot be read.
pub(super) fn can_another_act() -> bool {
    context::outside(is_any_active)
}

fn is_any_active() -> bool {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(folder) = openat(CWD, c"/proc/self/task", flags, Mode::empty()) else { return false };
    let mut buffer = [MaybeUninit::uninit(); 4 << 10];
    let mut entries = RawDir::new(folder.as_fd(), &mut buffer);
    while let Some(Ok(entry)) = entries.next() {
        if entry.file_name().to_bytes()[0] != b'.'
            && let Ok(number) = entry.file_name().to_str()
            && can_act(folder.as_fd(), number)
        {
            return true;
        }
    }
    false
}

/// Whether a thread may act without being woken. Returns false if the thread has ended.
fn can_act(folder: BorrowedFd<'_>, number: &str) -> bool {
    let own = rustix::thread::gettid().as_raw_nonzero().get();
    if number.parse() == Ok(own) {
        return false;
    }
    let mut text = [0; 512];
    let Some(thread) = contents(folder, number, "stat", &mut text).and_then(Thread::of) else {
        return false;
    };
    match thread.state {
        'R' | 'D' => true,
        // These threads of the harness wait, with timeouts, for the run itself.
        'S' if thread.name.starts_with("simmach-") || thread.is_main() => false,
        'S' => {
            let mut text = [0; 512];
            contents(folder, number, "syscall", &mut text).is_some_and(wakes_by_itself)
        }
        _ => false,
    }
}

impl<'a> Thread<'a> {
    /// Parses a `stat` file. The name is in parentheses, and may contain parentheses itself.
    fn of(stat: &'a str) -> Option<Self> {
        let (number, rest) = stat.split_once(" (")?;
        let (name, rest) = rest.rsplit_once(") ")?;
        Some(Self { number, name, state: rest.chars().next()? })
    }

    fn is_main(&self) -> bool {
        self.number.parse() == Ok(std::process::id())
    }
}

/// Whether a system call returns by itself, after a timeout or when its data is written. `call` is a thread's `syscall`
/// file.
fn wakes_by_itself(call: &str) -> bool {
    let mut words = call.split_ascii_whitespace();
    let Some(Ok(number)) = words.next().map(str::parse::<c_long>) else { return false };
    let argument = |nth| {
        let word = words.clone().nth(nth)?.strip_prefix("0x")?;
        u64::from_str_radix(word, 16).ok()
    };
    let is_timed = |nth| argument(nth) != Some(0);
    let has_limit = |nth| argument(nth).is_none_or(|limit| limit as i32 >= 0);
    match number {
        libc::SYS_futex => is_timed(3),
        libc::SYS_ppoll | libc::SYS_rt_sigtimedwait => is_timed(2),
        libc::SYS_pselect6 => is_timed(4),
        libc::SYS_epoll_pwait => has_limit(3),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_epoll_wait => has_limit(3),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_poll => has_limit(2),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_select => is_timed(4),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_pause => false,
        libc::SYS_read
        | libc::SYS_readv
        | libc::SYS_recvfrom
        | libc::SYS_recvmsg
        | libc::SYS_accept
        | libc::SYS_accept4
        | libc::SYS_wait4
        | libc::SYS_waitid
        | libc::SYS_rt_sigsuspend => false,
        _ => true,
    }
}

/// Reads a file of a thread, as much as fits into the buffer.
fn contents<'a>(
    folder: BorrowedFd<'_>,
    thread: &str,
    file: &str,
    text: &'a mut [u8; 512],
) -> Option<&'a str> {
    let mut path = [0; 64];
    write!(&mut path[..], "{thread}/{file}\0").ok()?;
    let path = CStr::from_bytes_until_nul(&path).ok()?;
    let file = openat(folder, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let length = read(&file, &mut text[..]).ok()?;
    str::from_utf8(&text[..length]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thread_name_may_contain_parentheses() {
        let thread = Thread::of("12 (a) R (b) S 1 2 3").expect("it is one");
        assert_eq!((thread.number, thread.name, thread.state), ("12", "a) R (b", 'S'));
        assert!(Thread::of("").is_none());
        assert!(Thread::of("12 (a").is_none());
    }

    #[test]
    fn call_with_a_time_out_wakes_by_itself() {
        let call = |number: c_long, arguments: [i32; 5]| {
            let [a, b, c, d, e] = arguments.map(i64::from);
            wakes_by_itself(&format!("{number} {a:#x} {b:#x} {c:#x} {d:#x} {e:#x} 0x0 0x7f 0x7f\n"))
        };
        assert!(call(libc::SYS_futex, [1, 0, 2, 3, 0]));
        assert!(!call(libc::SYS_futex, [1, 0, 2, 0, 0]));
        assert!(call(libc::SYS_clock_nanosleep, [1; 5]));
        assert!(call(libc::SYS_ppoll, [1, 2, 3, 0, 0]));
        assert!(!call(libc::SYS_ppoll, [1, 2, 0, 0, 0]));
        assert!(call(libc::SYS_epoll_pwait, [1, 2, 3, 100, 0]));
        assert!(call(libc::SYS_epoll_pwait, [1, 2, 3, 0, 0]));
        assert!(!call(libc::SYS_epoll_pwait, [1, 2, 3, -1, 0]));
        assert!(!call(libc::SYS_read, [1; 5]));
        // Its reader may be slow.
        assert!(call(libc::SYS_write, [1; 5]));
        // Not in a call: it waits for a page.
        assert!(wakes_by_itself("-1 0x7f 0x7f"));
        assert!(!wakes_by_itself("running"));
    }
}
