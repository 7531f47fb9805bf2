//! What several sockets have, said once.

/// What a stream and a socket of datagrams tell of being ready.
macro_rules! readiness {
    ($socket:ty) => {
        impl $socket {
            /// Its own address, with its port.
            ///
            /// # Errors
            ///
            /// Outside its run.
            pub fn local_addr(&self) -> io::Result<SocketAddr> {
                either!(Kind of &self.0, socket => socket.local_addr())
            }

            /// Waits until there is something to read: bytes or a datagram, the end of the stream, an error.
            ///
            /// # Errors
            ///
            /// Outside its run.
            pub async fn readable(&self) -> io::Result<()> {
                either!(Kind of &self.0, socket => socket.readable().await)
            }

            /// Waits for room to write, or an error. A socket of datagrams always has room.
            ///
            /// # Errors
            ///
            /// Outside its run.
            pub async fn writable(&self) -> io::Result<()> {
                either!(Kind of &self.0, socket => socket.writable().await)
            }

            /// Waits until it is ready for one thing of `interest`, and tells for what of it.
            ///
            /// # Errors
            ///
            /// Outside its run.
            pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
                either!(Kind of &self.0,
                    simulated socket => socket.ready(interest).await,
                    real socket => Ok(socket.ready(interest.into()).await?.into()))
            }

            /// Does `f` if it is ready for `interest`. If `f` says `WouldBlock`, the socket counts as not ready until
            /// something happens to it.
            ///
            /// # Errors
            ///
            /// `WouldBlock` when it is not ready; else what `f` says.
            pub fn try_io<R>(
                &self,
                interest: Interest,
                f: impl FnOnce() -> io::Result<R>,
            ) -> io::Result<R> {
                either!(Kind of &self.0,
                    simulated socket => socket.try_io(interest, f),
                    real socket => socket.try_io(interest.into(), f))
            }

            /// Does `f` once it is ready for `interest`, and again as long as `f` says `WouldBlock`, whenever something
            /// has happened to the socket.
            ///
            /// # Errors
            ///
            /// Any other that `f` says; outside its run.
            pub async fn async_io<R>(
                &self,
                interest: Interest,
                f: impl FnMut() -> io::Result<R>,
            ) -> io::Result<R> {
                either!(Kind of &self.0,
                    simulated socket => socket.async_io(interest, f).await,
                    real socket => socket.async_io(interest.into(), f).await)
            }

            /// What it failed with, if that was not yet told; it is told with this (`SO_ERROR`).
            ///
            /// # Errors
            ///
            /// Outside its run.
            pub fn take_error(&self) -> io::Result<Option<io::Error>> {
                either!(Kind of &self.0, socket => socket.take_error())
            }
        }
    };
}

/// The hops that a socket's packets may take.
macro_rules! time_to_live {
    ($socket:ty) => {
        impl $socket {
            /// How many routers its packets may pass (`IP_TTL`): 64, or what was set.
            ///
            /// # Errors
            ///
            /// Outside its run.
            pub fn ttl(&self) -> io::Result<u32> {
                either!(Kind of &self.0, socket => socket.ttl())
            }

            /// Sets how many routers its packets may pass. In a run there are none: it is kept, and has no effect.
            ///
            /// # Errors
            ///
            /// `InvalidInput` but for 1 to 255; outside its run.
            pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
                either!(Kind of &self.0, socket => socket.set_ttl(ttl))
            }
        }
    };
}

/// How urgent a socket's packets are.
macro_rules! traffic_class {
    ($socket:ty) => {
        #[cfg(any(
            target_os = "android",
            target_os = "freebsd",
            target_os = "linux",
            target_os = "macos"
        ))]
        impl $socket {
            /// The type of service of its IPv4 packets (`IP_TOS`): 0, or what was set.
            ///
            /// # Errors
            ///
            /// Outside its run.
            pub fn tos_v4(&self) -> io::Result<u32> {
                either!(Kind of &self.0, socket => socket.tos_v4())
            }

            /// Sets the type of service of its IPv4 packets. In a run there are no routers: it is kept, and has no
            /// effect.
            ///
            /// # Errors
            ///
            /// Outside its run.
            pub fn set_tos_v4(&self, tos: u32) -> io::Result<()> {
                either!(Kind of &self.0, socket => socket.set_tos_v4(tos))
            }

            /// The traffic class of its IPv6 packets (`IPV6_TCLASS`): 0, or what was set.
            ///
            /// # Errors
            ///
            /// For a socket of IPv4; outside its run.
            pub fn tclass_v6(&self) -> io::Result<u32> {
                either!(Kind of &self.0, socket => socket.tclass_v6())
            }

            /// Sets the traffic class of its IPv6 packets; as [`set_tos_v4`](Self::set_tos_v4).
            ///
            /// # Errors
            ///
            /// As [`tclass_v6`](Self::tclass_v6); `InvalidInput` beyond 255.
            pub fn set_tclass_v6(&self, tclass: u32) -> io::Result<()> {
                either!(Kind of &self.0, socket => socket.set_tclass_v6(tclass))
            }
        }
    };
}

/// What a connection is told of how to send and how to end, before there is one too.
macro_rules! connection_options {
    ($socket:ty) => {
        impl $socket {
            /// Whether small writes go out at once (`TCP_NODELAY`).
            ///
            /// # Errors
            ///
            /// Outside its run.
            pub fn nodelay(&self) -> io::Result<bool> {
                either!(Kind of &self.0, socket => socket.nodelay())
            }

            /// Lets small writes go out at once, or gathers them by Nagle's rule.
            ///
            /// # Errors
            ///
            /// Outside its run.
            pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
                either!(Kind of &self.0, socket => socket.set_nodelay(nodelay))
            }

            /// What was set by [`set_linger`](Self::set_linger), in whole seconds.
            ///
            /// # Errors
            ///
            /// Outside its run.
            pub fn linger(&self) -> io::Result<Option<Duration>> {
                either!(Kind of &self.0, socket => socket.linger())
            }

            /// How it closes (`SO_LINGER`): with less than a second, by a reset that drops what was not yet acknowledged, since the
            /// kernel takes whole seconds. In a run any other value closes as usual, in the background; for real a drop blocks, and so tokio advises against it.
            ///
            /// # Errors
            ///
            /// Outside its run.
            pub fn set_linger(&self, dur: Option<Duration>) -> io::Result<()> {
                #[allow(deprecated, reason = "tokio warns of a drop that blocks")]
                {
                    either!(Kind of &self.0, socket => socket.set_linger(dur))
                }
            }

            /// Closes by a reset that drops what was not yet acknowledged, in place of the usual end.
            ///
            /// # Errors
            ///
            /// Outside its run.
            pub fn set_zero_linger(&self) -> io::Result<()> {
                either!(Kind of &self.0, socket => socket.set_zero_linger())
            }
        }
    };
}
