//! How the futures of handles wait: try, put the waker into a waiter list if there is nothing, try again when woken.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use crate::engine::{RunId, Wait, Waiter};
use crate::net::simulated::kernel::wakers::{Seat, Waiters};
use crate::net::simulated::kernel::{Kernel, enter, try_enter};
use crate::net::simulated::key::Key;

/// A waiter list of a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Accept,
    Read,
    Write,
    Datagram,
}

/// What a task waits for, and in which list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waited<'a> {
    pub(crate) run: RunId,
    pub(crate) key: Key,
    pub(crate) place: Place,
    /// For the report of a deadlocked run.
    pub(crate) what: &'static str,
    pub(crate) address: &'a SocketAddr,
}

impl<'a> Waited<'a> {
    /// Tries `attempt`. If it finds nothing, puts the task of `cx` into the waiter list.
    #[inline]
    pub(crate) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        seat: Seat,
        mut attempt: impl FnMut(&mut Kernel) -> Option<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        enum Found<T> {
            Result(io::Result<T>),
            /// The previous waiter of the slot, to be dropped outside.
            Waiting(Option<Waiter>),
            Nothing,
        }
        let first = enter(self.run, |kernel| {
            if let Some(result) = attempt(kernel) {
                return Found::Result(result);
            }
            let (ip, port) = (self.address.ip(), self.address.port());
            kernel.engine().waits(Wait::Peer { what: self.what, ip, port });
            let task = kernel.engine().own_task(cx.waker());
            let Some(waiters) = self.waiters(kernel) else { return Found::Nothing };
            match task {
                Some(task) => Found::Waiting(waiters.wait(seat, Waiter::Task(task))),
                None if waiters.has(seat, cx.waker()) => Found::Waiting(None),
                None => Found::Nothing,
            }
        });
        match first {
            Ok(Found::Result(result)) => Poll::Ready(result),
            Ok(Found::Waiting(old)) => {
                drop(old);
                Poll::Pending
            }
            Ok(Found::Nothing) => match self.wait(cx, seat) {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            },
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// A wait with its own slot, which is freed when it is dropped.
    pub(crate) fn seated(self) -> Seated<'a> {
        Seated { waited: self, seat: new_seat() }
    }

    /// Waits until `attempt` finds something, in a slot of its own that is freed when the future is dropped.
    pub(crate) async fn until<T>(
        self,
        mut attempt: impl FnMut(&mut Kernel) -> Option<io::Result<T>>,
    ) -> io::Result<T> {
        let seated = self.seated();
        poll_fn(|cx| seated.poll(cx, &mut attempt)).await
    }

    /// Puts a foreign waker into the list. It is cloned and dropped outside the kernel, since either may run anything.
    #[cold]
    fn wait(self, cx: &Context<'_>, seat: Seat) -> Option<io::Error> {
        let waiter = Waiter::of(cx.waker());
        let old = enter(self.run, |kernel| match self.waiters(kernel) {
            Some(own) => own.wait(seat, waiter),
            None => Some(waiter),
        });
        old.err()
    }

    #[inline]
    fn waiters(self, kernel: &mut Kernel) -> Option<&mut Waiters> {
        let key = self.key;
        match self.place {
            Place::Accept => kernel.listener(key).ok().map(|listener| &mut listener.accepting),
            Place::Read => kernel.socket(key).ok().map(|socket| &mut socket.reading),
            Place::Write => kernel.socket(key).ok().map(|socket| &mut socket.writing),
            Place::Datagram => kernel.datagrams(key).ok().map(|socket| &mut socket.reading),
        }
    }
}

/// A wait in the slot of one future.
pub(crate) struct Seated<'a> {
    waited: Waited<'a>,
    seat: Seat,
}

impl Seated<'_> {
    pub(crate) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        attempt: impl FnMut(&mut Kernel) -> Option<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.waited.poll(cx, self.seat, attempt)
    }
}

impl Drop for Seated<'_> {
    fn drop(&mut self) {
        let left = try_enter(self.waited.run, |kernel| {
            self.waited.waiters(kernel).and_then(|own| own.leave(self.seat))
        });
        drop(left);
    }
}

/// A slot that no other future of this thread has. Its number is only compared: it is never drawn or traced.
fn new_seat() -> Seat {
    use std::cell::Cell;
    thread_local! {
        static NEXT: Cell<u64> = const { Cell::new(0) };
    }
    NEXT.with(|next| {
        next.set(next.get() + 1);
        Seat::Future(next.get())
    })
}
