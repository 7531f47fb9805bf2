//! Answers the call `poll`.

use std::time::Duration;

use crate::interpose::system::{Answer, PollEntry, is_simulated};
use crate::system::descriptors::{FileId, add_waiter, with};
use crate::system::file_events;
use crate::system::threads::{Deadline, wait};

/// The events that are reported even if they were not requested.
const ALWAYS: i16 = libc::POLLERR | libc::POLLHUP;

/// Waits until at least one descriptor has one of its requested events. Returns the number of such
/// descriptors.
pub(super) fn poll(entries: &mut [PollEntry], timeout: Option<Duration>) -> Answer<usize> {
    let deadline = Deadline::after(timeout);
    loop {
        entries.iter_mut().for_each(|entry| entry.returned = returned(entry));
        let ready = entries.iter().filter(|entry| entry.returned != 0).count();
        if ready > 0 || deadline.has_passed() {
            return Ok(ready);
        }
        wait(deadline, "one of several descriptors", |waker| {
            for entry in &*entries {
                if let Some(id) = file_of(entry) {
                    add_waiter(id, waker)?;
                    file_events::watch(id);
                }
            }
            Ok(())
        })?;
    }
}

fn file_of(entry: &PollEntry) -> Option<FileId> {
    with(|descriptors| descriptors.id_of(entry.descriptor)).ok()
}

/// Returns the events that a descriptor currently has. The events of `poll` have the same values as
/// those of epoll.
fn returned(entry: &PollEntry) -> i16 {
    if entry.descriptor < 0 || !is_simulated(entry.descriptor) {
        return 0;
    }
    match file_of(entry) {
        Some(id) => file_events::of(id) as i16 & (entry.events | ALWAYS),
        None => libc::POLLNVAL,
    }
}
