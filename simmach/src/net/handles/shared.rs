//! Methods that several socket types share.

/// Methods of streams and UDP sockets: local address, readiness, pending error.
macro_rules! readiness {
    ($socket:ty) => {
        impl $socket {
            /// Returns the local address and port.
            ///
            /// # Errors
            ///
            /// If called outside the socket's run.
            pub fn local_addr(&self) -> io::Result<SocketAddr> {
                either!(Inner of &self.0, socket => socket.local_addr())
            }

            /// Waits until the socket is readable: there are bytes or a datagram, the stream has ended, or there is an
            /// error.
            ///
            /// # Errors
            ///
            /// If called outside the socket's run.
            pub async fn readable(&self) -> io::Result<()> {
                either!(Inner of &self.0, socket => socket.readable().await)
            }

            /// Waits until the socket is writable: there is room in the send buffer, or there is an error. A UDP socket
            /// is always writable.
            ///
            /// # Errors
            ///
            /// If called outside the socket's run.
            pub async fn writable(&self) -> io::Result<()> {
                either!(Inner of &self.0, socket => socket.writable().await)
            }

            /// Waits until the socket is ready for at least one part of `interest`, and returns its
            /// readiness.
            ///
            /// # Errors
            ///
            /// If called outside the socket's run.
            pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
                either!(Inner of &self.0,
                    simulated socket => socket.ready(interest).await,
                    real socket => Ok(socket.ready(interest.into()).await?.into()))
            }

            /// Calls `f` if the socket is ready for `interest`. If `f` returns `WouldBlock`, the socket counts as not
            /// ready until the next event on it.
            ///
            /// # Errors
            ///
            /// `WouldBlock` if the socket is not ready; otherwise the error of `f`.
            pub fn try_io<R>(
                &self,
                interest: Interest,
                f: impl FnOnce() -> io::Result<R>,
            ) -> io::Result<R> {
                either!(Inner of &self.0,
                    simulated socket => socket.try_io(interest, f),
                    real socket => socket.try_io(interest.into(), f))
            }

            /// Waits until the socket is ready for `interest`, then calls `f`. Repeats this as long as `f` returns
            /// `WouldBlock`.
            ///
            /// # Errors
            ///
            /// Any other error of `f`, or if called outside the socket's run.
            pub async fn async_io<R>(
                &self,
                interest: Interest,
                f: impl FnMut() -> io::Result<R>,
            ) -> io::Result<R> {
                either!(Inner of &self.0,
                    simulated socket => socket.async_io(interest, f).await,
                    real socket => socket.async_io(interest.into(), f).await)
            }

            /// Returns and clears the socket's pending error (`SO_ERROR`).
            ///
            /// # Errors
            ///
            /// If called outside the socket's run.
            pub fn take_error(&self) -> io::Result<Option<io::Error>> {
                either!(Inner of &self.0, socket => socket.take_error())
            }
        }
    };
}

/// `IP_TTL`.
macro_rules! time_to_live {
    ($socket:ty) => {
        impl $socket {
            /// Returns the time to live of sent packets (`IP_TTL`). Default: 64.
            ///
            /// # Errors
            ///
            /// If called outside the socket's run.
            pub fn ttl(&self) -> io::Result<u32> {
                either!(Inner of &self.0, socket => socket.ttl())
            }

            /// Sets the time to live of sent packets, 1 to 255. It has no effect in a run, which has no routers.
            ///
            /// # Errors
            ///
            /// `InvalidInput` if `ttl` is 0 or above 255; if called outside the socket's run.
            pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
                either!(Inner of &self.0, socket => socket.set_ttl(ttl))
            }
        }
    };
}

/// `IP_TOS` and `IPV6_TCLASS`.
macro_rules! traffic_class {
    ($socket:ty) => {
        #[cfg(any(
            target_os = "android",
            target_os = "freebsd",
            target_os = "linux",
            target_os = "macos"
        ))]
        impl $socket {
            /// Returns the type of service of sent IPv4 packets (`IP_TOS`). Default: 0.
            ///
            /// # Errors
            ///
            /// If called outside the socket's run.
            pub fn tos_v4(&self) -> io::Result<u32> {
                either!(Inner of &self.0, socket => socket.tos_v4())
            }

            /// Sets the type of service of sent IPv4 packets. It has no effect in a run, which has no routers.
            ///
            /// # Errors
            ///
            /// If called outside the socket's run.
            pub fn set_tos_v4(&self, tos: u32) -> io::Result<()> {
                either!(Inner of &self.0, socket => socket.set_tos_v4(tos))
            }

            /// Returns the traffic class of sent IPv6 packets (`IPV6_TCLASS`). Default: 0.
            ///
            /// # Errors
            ///
            /// If the socket is an IPv4 socket, or if called outside its run.
            pub fn tclass_v6(&self) -> io::Result<u32> {
                either!(Inner of &self.0, socket => socket.tclass_v6())
            }

            /// Sets the traffic class of sent IPv6 packets, 0 to 255. It has no effect in a run, which has no routers.
            ///
            /// # Errors
            ///
            /// `InvalidInput` if `tclass` is above 255; if the socket is an IPv4 socket, or if called outside its run.
            pub fn set_tclass_v6(&self, tclass: u32) -> io::Result<()> {
                either!(Inner of &self.0, socket => socket.set_tclass_v6(tclass))
            }
        }
    };
}

/// `TCP_NODELAY` and `SO_LINGER`, for connections and for sockets that will become one.
macro_rules! connection_options {
    ($socket:ty) => {
        impl $socket {
            /// Returns whether Nagle's algorithm is off (`TCP_NODELAY`).
            ///
            /// # Errors
            ///
            /// If called outside the socket's run.
            pub fn nodelay(&self) -> io::Result<bool> {
                either!(Inner of &self.0, socket => socket.nodelay())
            }

            /// Sets `TCP_NODELAY`: if true, small writes are sent at once; if false, Nagle's algorithm gathers them.
            ///
            /// # Errors
            ///
            /// If called outside the socket's run.
            pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
                either!(Inner of &self.0, socket => socket.set_nodelay(nodelay))
            }

            /// Returns the duration set by [`set_linger`](Self::set_linger), rounded down to whole seconds.
            ///
            /// # Errors
            ///
            /// If called outside the socket's run.
            pub fn linger(&self) -> io::Result<Option<Duration>> {
                either!(Inner of &self.0, socket => socket.linger())
            }

            /// Sets how a drop closes the connection (`SO_LINGER`). The kernel uses whole seconds, so less than one second
            /// counts as zero: the connection is reset, and unacknowledged data is discarded. With any other value, a
            /// simulated stream closes in the background, as without the option. A real stream blocks in its drop, which is
            /// why tokio advises against the option.
            ///
            /// # Errors
            ///
            /// If called outside the socket's run.
            pub fn set_linger(&self, dur: Option<Duration>) -> io::Result<()> {
                #[allow(deprecated, reason = "tokio warns of a drop that blocks")]
                {
                    either!(Inner of &self.0, socket => socket.set_linger(dur))
                }
            }

            /// Makes a drop reset the connection and discard unacknowledged data, instead of closing it with a FIN.
            ///
            /// # Errors
            ///
            /// If called outside the socket's run.
            pub fn set_zero_linger(&self) -> io::Result<()> {
                either!(Inner of &self.0, socket => socket.set_zero_linger())
            }
        }
    };
}
