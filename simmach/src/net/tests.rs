//! Behaviour of the sockets that users hold, through the whole fabric.

mod basics;
