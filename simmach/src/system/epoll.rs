//! Epoll instances: which descriptors an instance watches, and which of them may be ready.
//!
//! As on Linux, an event on a file queues the file's descriptor, once, at each instance that
//! watches the file. A wait examines the queued descriptors in order. A level-triggered descriptor
//! is queued again after it was returned, since it may still be ready; an edge-triggered descriptor
//! is not.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::c_int;
use std::task::Waker;
use std::time::Duration;

use crate::engine::context;
use crate::engine::draws::address::Address;
use crate::engine::tasks::numbering::Numbered;
use crate::interpose::system::{Answer, EpollEvent, Errno, is_simulated};
use crate::system::descriptors::{FileId, FileKind, open, with, with_file};
use crate::system::threads::{self, Deadline};
use crate::system::{file_events, slice};

/// The events that are reported even if they were not requested.
const ALWAYS: u32 = (libc::EPOLLERR | libc::EPOLLHUP) as u32;

/// An epoll instance.
#[derive(Debug, Default)]
pub(crate) struct Epoll {
    watched: BTreeMap<c_int, Watch>,
    /// Descriptors that may be ready, in the order of their events.
    queue: VecDeque<c_int>,
    /// The runtime or thread that waits for this instance.
    pub(super) waiter: Option<Waker>,
}

#[derive(Clone, Copy, Debug)]
struct Watch {
    file: FileId,
    event: EpollEvent,
    is_queued: bool,
    /// Whether the descriptor was reported with `EPOLLONESHOT`. It is then not watched until it is
    /// modified.
    is_disabled: bool,
}

impl Epoll {
    /// Queues a watched descriptor. Returns false if it was queued already or is not watched.
    pub(super) fn queue(&mut self, descriptor: c_int) -> bool {
        let Some(watch) = self.watched.get_mut(&descriptor) else { return false };
        let is_new = !watch.is_queued && !watch.is_disabled;
        if is_new {
            watch.is_queued = true;
            self.queue.push_back(descriptor);
        }
        is_new
    }

    /// Stops watching a descriptor.
    pub(super) fn forget(&mut self, descriptor: c_int) -> Option<FileId> {
        let watch = self.watched.remove(&descriptor)?;
        if watch.is_queued {
            self.queue.retain(|queued| *queued != descriptor);
        }
        Some(watch.file)
    }

    fn pop(&mut self) -> Option<(c_int, Watch)> {
        let descriptor = self.queue.pop_front()?;
        let watch = self.watched.get_mut(&descriptor)?;
        watch.is_queued = false;
        Some((descriptor, *watch))
    }
}

pub(super) fn create() -> Answer<c_int> {
    open(FileKind::Epoll(Epoll::default()), false)
}

/// Adds, changes or removes a descriptor.
pub(super) fn control(
    epoll: c_int,
    operation: c_int,
    descriptor: c_int,
    event: Option<EpollEvent>,
) -> Answer<()> {
    // tokio watches a real socket pair for signals, which a run does not raise.
    if !is_simulated(descriptor) {
        if descriptor < 0 {
            return Err(Errno(libc::EBADF));
        }
        return with_file(epoll, |_, file| match file.kind {
            FileKind::Epoll(_) => Ok(()),
            _ => Err(Errno(libc::EINVAL)),
        });
    }
    let watched = with(|descriptors| {
        let (epoll_id, id) = (descriptors.id_of(epoll)?, descriptors.id_of(descriptor)?);
        let FileKind::Epoll(own) = &mut descriptors.file(epoll_id)?.kind else {
            return Err(Errno(libc::EINVAL));
        };
        if epoll_id == id {
            return Err(Errno(libc::EINVAL));
        }
        let is_watched = own.watched.contains_key(&descriptor);
        match operation {
            libc::EPOLL_CTL_DEL => {
                own.forget(descriptor).ok_or(Errno(libc::ENOENT))?;
                let watchers = &mut descriptors.file(id)?.watchers;
                watchers.retain(|watcher| *watcher != (epoll_id, descriptor));
                return Ok(None);
            }
            libc::EPOLL_CTL_ADD if is_watched => return Err(Errno(libc::EEXIST)),
            libc::EPOLL_CTL_MOD if !is_watched => return Err(Errno(libc::ENOENT)),
            libc::EPOLL_CTL_ADD | libc::EPOLL_CTL_MOD => {}
            _ => return Err(Errno(libc::EINVAL)),
        }
        let event = event.ok_or(Errno(libc::EFAULT))?;
        let is_queued = own.watched.get(&descriptor).is_some_and(|watch| watch.is_queued);
        let watch = Watch { file: id, event, is_queued, is_disabled: false };
        own.watched.insert(descriptor, watch);
        if !is_watched {
            descriptors.file(id)?.watchers.push((epoll_id, descriptor));
        }
        Ok(Some((id, epoll_id, event.events | ALWAYS)))
    })?;
    let Some((file, epoll, events)) = watched else { return Ok(()) };
    file_events::watch(file);
    if file_events::of(file) & events != 0 {
        let woken = with(|descriptors| Ok(descriptors.queue(epoll, descriptor)))?;
        woken.into_iter().for_each(Waker::wake);
    }
    Ok(())
}

/// Returns the descriptors that an instance watches.
pub(super) fn watched(epoll: c_int) -> Answer<Vec<c_int>> {
    with_file(epoll, |_, file| match &file.kind {
        FileKind::Epoll(own) => Ok(own.watched.keys().copied().collect()),
        _ => Err(Errno(libc::EINVAL)),
    })
}

/// Waits for events, and passes at most `most` of them to `found`.
pub(super) fn wait(
    epoll: c_int,
    most: usize,
    timeout: Option<Duration>,
    found: &mut dyn FnMut(EpollEvent),
) -> Answer<usize> {
    if most == 0 {
        return Err(Errno(libc::EINVAL));
    }
    let id = with_file(epoll, |id, file| match file.kind {
        FileKind::Epoll(_) => Ok(id),
        _ => Err(Errno(libc::EINVAL)),
    })?;
    let deadline = Deadline::after(timeout);
    loop {
        let count = collect(id, most, found)?;
        if count > 0 || deadline.has_passed() {
            return Ok(count);
        }
        let wait = |waker: &Waker| {
            with(|descriptors| {
                if let FileKind::Epoll(own) = &mut descriptors.file(id)?.kind {
                    own.waiter = Some(waker.clone());
                }
                Ok(())
            })
        };
        if slice::end(epoll, deadline, wait)? {
            return Ok(0);
        }
        // tokio's workers abort the process on any other error.
        let waited = threads::wait(deadline, "events of an epoll instance", wait);
        waited.map_err(|error| match error {
            Errno(libc::EBADF) => Errno(libc::EINTR),
            error => error,
        })?;
    }
}

/// Passes the events that are ready to `found`.
fn collect(id: FileId, most: usize, found: &mut dyn FnMut(EpollEvent)) -> Answer<usize> {
    shuffle(id)?;
    let (mut count, mut level_triggered) = (0, Vec::new());
    while count < most {
        let next = with(|descriptors| match &mut descriptors.file(id)?.kind {
            FileKind::Epoll(own) => Ok(own.pop()),
            _ => Ok(None),
        })?;
        let Some((descriptor, watch)) = next else { break };
        let EpollEvent { events, data } = watch.event;
        let ready = file_events::of(watch.file) & (events | ALWAYS);
        // The descriptor leaves the queue before it is returned, so that a later event queues it again.
        file_events::watch(watch.file);
        if ready == 0 {
            continue;
        }
        found(EpollEvent { events: ready, data });
        count += 1;
        if events & libc::EPOLLONESHOT as u32 != 0 {
            with(|descriptors| {
                if let FileKind::Epoll(own) = &mut descriptors.file(id)?.kind
                    && let Some(watch) = own.watched.get_mut(&descriptor)
                {
                    watch.is_disabled = true;
                }
                Ok(())
            })?;
        } else if events & libc::EPOLLET as u32 == 0 {
            level_triggered.push(descriptor);
        }
    }
    if !level_triggered.is_empty() {
        with(|descriptors| {
            if let FileKind::Epoll(own) = &mut descriptors.file(id)?.kind {
                level_triggered.into_iter().for_each(|descriptor| _ = own.queue(descriptor));
            }
            Ok(())
        })?;
    }
    Ok(count)
}

/// Draws the order of a batch, if more than one descriptor is queued. The calm order is first in, first out.
fn shuffle(id: FileId) -> Answer<()> {
    with(|descriptors| {
        let FileKind::Epoll(own) = &mut descriptors.file(id)?.kind else { return Ok(()) };
        if own.queue.len() > 1 {
            let queued = own.queue.make_contiguous();
            context::try_with(|engine| {
                let Numbered { source, nth } = engine.next_draw();
                engine.shuffle(queued, |position| Address::epoll(source, nth, position));
            });
        }
        Ok(())
    })
}

/// Whether a descriptor of the instance is ready.
pub(super) fn has_events(id: FileId) -> bool {
    let queued = with(|descriptors| match &descriptors.file(id)?.kind {
        FileKind::Epoll(own) => Ok(own
            .queue
            .iter()
            .filter_map(|descriptor| own.watched.get(descriptor))
            .map(|watch| (watch.file, watch.event.events))
            .collect::<Vec<_>>()),
        _ => Ok(Vec::new()),
    });
    queued
        .into_iter()
        .flatten()
        .any(|(file, events)| file_events::of(file) & (events | ALWAYS) != 0)
}
