//! Compares the descriptors of a guest with Linux's. The same random calls on pipes, eventfds,
//! socket pairs and epoll instances must have the same results in a run and outside a run.

#![cfg(target_os = "linux")]

use std::ffi::c_int;

use simmach::interpose::allow_threads;
use simmach::sim_test;

/// Number of calls in one sequence.
const CALLS: usize = 60;
/// Maximum number of open descriptors in a sequence.
const MOST: usize = 12;

/// A small random number generator, with which both sides make the same calls.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// Returns the result of a call: the value that it returned, or its negated error number.
fn result(returned: isize) -> isize {
    match returned {
        -1 => {
            -(std::io::Error::last_os_error().raw_os_error().expect("it is the system's") as isize)
        }
        returned => returned,
    }
}

/// The descriptors of a sequence, in the order in which they were opened. The value of a closed one
/// is -1.
#[derive(Default)]
struct Table(Vec<c_int>, Vec<c_int>);

impl Table {
    fn add(&mut self, descriptors: &[c_int], returned: c_int) -> String {
        if returned >= 0 {
            self.0.extend(descriptors);
        }
        format!("{}", result(returned.min(0) as isize))
    }
}

/// Makes the calls of a seed, and returns what each did.
fn calls(seed: u64) -> Vec<String> {
    let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut table = Table::default();
    let mut did = Vec::new();
    for nth in 0..CALLS {
        let kind = if nth < 4 { numbers.below(5) } else { numbers.below(20) };
        let count = table.0.len().max(1);
        let (at, other) = (numbers.below(count), numbers.below(count));
        let (flags, length) = (numbers.below(32), numbers.below(3_000) + 1);
        let own = table.0.get(at).copied().unwrap_or(-1);
        let text = match kind {
            0..=4 if table.0.len() >= MOST => continue,
            0..=4 => format!("open {kind}: {}", open(&mut table, kind, flags, own)),
            5..=8 => format!("control {at} {other}: {}", control(&table, at, other, flags)),
            9..=11 => format!("wait {at}: {}", wait(own)),
            12..=14 => format!("read {at}: {}", read(own, length)),
            15..=17 => format!("write {at}: {}", write(own, length, table.1.contains(&own))),
            18 => format!("poll: {}", poll(&table)),
            // SAFETY: the sequence owns the descriptor or has already closed it.
            _ if flags < 8 => {
                // SAFETY: the sequence owns the descriptor.
                let closed = result(unsafe { libc::close(own) } as isize);
                if closed == 0 {
                    table.0[at] = -1;
                    // Linux uses its number again.
                    table.1.retain(|counter| *counter != own);
                }
                format!("close {at}: {closed}")
            }
            _ => continue,
        };
        did.push(text);
    }
    for descriptor in table.0.into_iter().filter(|descriptor| *descriptor >= 0) {
        // SAFETY: the sequence owns the descriptor.
        unsafe { libc::close(descriptor) };
    }
    did
}

fn open(table: &mut Table, kind: usize, flags: usize, own: c_int) -> String {
    let mut ends = [0; 2];
    // SAFETY: the array has room for two descriptors.
    unsafe {
        match kind {
            0 => {
                let returned = libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK);
                table.add(&ends, returned)
            }
            1 => {
                let semaphore = if flags & 1 != 0 { libc::EFD_SEMAPHORE } else { 0 };
                let returned = libc::eventfd(flags as u32 & 3, libc::EFD_NONBLOCK | semaphore);
                // Older versions of Linux take longer writes to a counter than others.
                table.1.push(returned);
                table.add(&[returned], returned)
            }
            2 => {
                let returned = libc::epoll_create1(0);
                table.add(&[returned], returned)
            }
            3 => {
                let of = [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_SEQPACKET][flags % 3];
                let of = of | libc::SOCK_NONBLOCK;
                let returned = libc::socketpair(libc::AF_UNIX, of, 0, ends.as_mut_ptr());
                table.add(&ends, returned)
            }
            _ => {
                let returned = libc::dup(own);
                if table.1.contains(&own) {
                    table.1.push(returned);
                }
                table.add(&[returned], returned)
            }
        }
    }
}

fn control(table: &Table, at: usize, other: usize, flags: usize) -> String {
    let (Some(epoll), Some(watched)) = (table.0.get(at), table.0.get(other)) else {
        return String::new();
    };
    // Nested instances make no loops: each watches what was opened later.
    if other <= at {
        return "skipped".to_owned();
    }
    let operation =
        [libc::EPOLL_CTL_ADD, libc::EPOLL_CTL_ADD, libc::EPOLL_CTL_MOD, libc::EPOLL_CTL_DEL];
    let events = [libc::EPOLLIN, libc::EPOLLOUT, libc::EPOLLIN | libc::EPOLLOUT][flags % 3];
    let how = [0, libc::EPOLLET, libc::EPOLLONESHOT, libc::EPOLLET | libc::EPOLLONESHOT];
    let how = how[flags / 3 % 4];
    // In a run an edge of one direction is also reported to who watches the other.
    let events = if how & libc::EPOLLET != 0 { libc::EPOLLIN | libc::EPOLLOUT } else { events };
    let events = events | how | libc::EPOLLRDHUP;
    let mut event = libc::epoll_event { events: events as u32, u64: other as u64 };
    // SAFETY: `event` is a valid event.
    let returned = unsafe { libc::epoll_ctl(*epoll, operation[flags % 4], *watched, &mut event) };
    format!("{events:x} {} -> {}", operation[flags % 4], result(returned as isize))
}

/// The order of a batch is drawn in a run.
fn wait(own: c_int) -> String {
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 2 * MOST];
    // SAFETY: the array has room for this length.
    let count = unsafe { libc::epoll_wait(own, events.as_mut_ptr(), events.len() as c_int, 0) };
    let found = events.iter().take(count.max(0) as usize);
    let mut found: Vec<_> = found.map(|event| (event.u64, event.events)).collect();
    found.sort_unstable();
    format!("{} {found:x?}", result(count as isize))
}

fn read(own: c_int, length: usize) -> String {
    let mut bytes = vec![0_u8; length];
    // SAFETY: the array has room for this length.
    let read = result(unsafe { libc::read(own, bytes.as_mut_ptr().cast(), length) });
    let sum: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
    format!("{read} {sum}")
}

fn write(own: c_int, length: usize, is_counter: bool) -> String {
    // Of a counter: a small number now and then, and one that overflows it.
    let mut bytes = vec![0_u8; length];
    bytes[0] = (length % 7) as u8;
    if is_counter {
        bytes.resize(8, 0);
        if length > 2_000 {
            bytes.fill(0xff);
            bytes[0] = 0xfd + (length % 3) as u8;
        }
    }
    // SAFETY: the array has this length.
    format!("{}", result(unsafe { libc::write(own, bytes.as_ptr().cast(), bytes.len()) }))
}

fn poll(table: &Table) -> String {
    let events = libc::POLLIN | libc::POLLOUT;
    let entry = |descriptor: &c_int| libc::pollfd { fd: *descriptor, events, revents: 0 };
    let mut entries: Vec<_> = table.0.iter().map(entry).collect();
    // SAFETY: the array has this length.
    let count = unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, 0) };
    let found: Vec<_> = entries.iter().map(|entry| entry.revents).collect();
    format!("{} {found:x?}", result(count as isize))
}

#[sim_test(seeds = 20, check = true)]
async fn random_calls_do_what_linux_does() {
    let first: u64 = rand_start();
    for seed in first..first + 200 {
        let real = allow_threads(|| std::thread::spawn(move || calls(seed)).join());
        let real = real.expect("no panic");
        let own = calls(seed);
        let differs = real.iter().zip(&own).position(|(real, own)| real != own);
        if let Some(at) = differs {
            let so_far = own[..at].join("\n  ");
            panic!("seed {seed} after\n  {so_far}\nLinux: {}\nrun:   {}", real[at], own[at]);
        }
    }
}

/// Each seed of the run makes other calls.
fn rand_start() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) % 1_000_000
}
