//! Futures of handles that wait. Such a future tries an operation. If the operation has no result
//! yet, the future puts its waker into a waiter list, and tries again when it is woken.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use crate::engine::{RunId, Wait, Waiter};
use crate::net::simulated::kernel::wakers::{WaitSlot, Waiters};
use crate::net::simulated::kernel::{Kernel, try_with_own_kernel, with_own_kernel};
use crate::net::simulated::key::SocketKey;

/// A waiter list of a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WaitList {
    Accept,
    Read,
    Write,
    Datagram,
}

/// What a task waits for, and the list that it waits in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketWait<'a> {
    pub(crate) run: RunId,
    pub(crate) key: SocketKey,
    pub(crate) list: WaitList,
    /// What the task waits for, in the report of a deadlock.
    pub(crate) what: &'static str,
    pub(crate) address: &'a SocketAddr,
}

impl<'a> SocketWait<'a> {
    /// Tries `attempt`. If it returns nothing, puts the task of `cx` into the waiter list.
    #[inline]
    pub(crate) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        slot: WaitSlot,
        mut attempt: impl FnMut(&mut Kernel) -> Option<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        enum Found<T> {
            Result(io::Result<T>),
            /// The previous waiter of the slot, to be dropped outside.
            Waiting(Option<Waiter>),
            Nothing,
        }
        let first = with_own_kernel(self.run, |kernel| {
            if let Some(result) = attempt(kernel) {
                return Found::Result(result);
            }
            let (ip, port) = (self.address.ip(), self.address.port());
            kernel.engine().record_wait(Wait::Peer { what: self.what, ip, port });
            let task = kernel.engine().own_task(cx.waker());
            let Some(waiters) = self.waiters(kernel) else { return Found::Nothing };
            match task {
                Some(task) => Found::Waiting(waiters.add(slot, Waiter::Task(task))),
                None if waiters.contains(slot, cx.waker()) => Found::Waiting(None),
                None => Found::Nothing,
            }
        });
        match first {
            Ok(Found::Result(result)) => Poll::Ready(result),
            Ok(Found::Waiting(old)) => {
                drop(old);
                Poll::Pending
            }
            Ok(Found::Nothing) => match self.wait(cx, slot) {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            },
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// A wait with its own slot, which is freed when it is dropped.
    pub(crate) fn in_own_slot(self) -> SlotWait<'a> {
        SlotWait { wait: self, slot: new_slot() }
    }

    /// Waits until `attempt` finds something, in a slot of its own that is freed when the future is dropped.
    pub(crate) async fn until<T>(
        self,
        mut attempt: impl FnMut(&mut Kernel) -> Option<io::Result<T>>,
    ) -> io::Result<T> {
        let slot_wait = self.in_own_slot();
        poll_fn(|cx| slot_wait.poll(cx, &mut attempt)).await
    }

    /// Puts a foreign waker into the list. It is cloned and dropped outside the kernel, since either may run anything.
    #[cold]
    fn wait(self, cx: &Context<'_>, slot: WaitSlot) -> Option<io::Error> {
        let waiter = Waiter::of(cx.waker());
        let old = with_own_kernel(self.run, |kernel| match self.waiters(kernel) {
            Some(own) => own.add(slot, waiter),
            None => Some(waiter),
        });
        old.err()
    }

    #[inline]
    fn waiters(self, kernel: &mut Kernel) -> Option<&mut Waiters> {
        let key = self.key;
        match self.list {
            WaitList::Accept => kernel.listener(key).ok().map(|listener| &mut listener.accepting),
            WaitList::Read => kernel.socket(key).ok().map(|socket| &mut socket.reading),
            WaitList::Write => kernel.socket(key).ok().map(|socket| &mut socket.writing),
            WaitList::Datagram => kernel.datagrams(key).ok().map(|socket| &mut socket.reading),
        }
    }
}

/// A wait in the slot of one future.
pub(crate) struct SlotWait<'a> {
    wait: SocketWait<'a>,
    slot: WaitSlot,
}

impl SlotWait<'_> {
    pub(crate) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        attempt: impl FnMut(&mut Kernel) -> Option<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.wait.poll(cx, self.slot, attempt)
    }
}

impl Drop for SlotWait<'_> {
    fn drop(&mut self) {
        let left = try_with_own_kernel(self.wait.run, |kernel| {
            self.wait.waiters(kernel).and_then(|own| own.remove(self.slot))
        });
        drop(left);
    }
}

/// Returns a slot that no other future of this thread has. Its number is only compared, and never drawn or traced.
fn new_slot() -> WaitSlot {
    use std::cell::Cell;
    thread_local! {
        static NEXT: Cell<u64> = const { Cell::new(0) };
    }
    NEXT.with(|next| {
        next.set(next.get() + 1);
        WaitSlot::Future(next.get())
    })
}
