//! Compiles the signatures against tokio's sockets.

use tokio::{
    io::{Interest, Ready},
    net::{
        TcpListener, TcpSocket, TcpStream, UdpSocket,
        tcp::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf},
    },
};

#[expect(dead_code, reason = "it has only to compile")]
#[allow(clippy::duplicate_mod, reason = "that is what it is for")]
#[path = "signatures.rs"]
mod signatures;
