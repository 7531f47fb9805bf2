//! A server: it receives messages, stores its state, and sends messages.

use simmach::Result;
use simmach::net::UdpSocket;
use simmach::time::timeout_at;

use super::bug::Bug;
use super::disk::Disk;
use super::message::Message;
use super::node::{Node, Role, To};

pub(super) const PORT: u16 = 1;

/// The name of a server's machine.
pub(super) fn name(id: u64) -> String {
    format!("raft{id}")
}

pub(super) async fn serve(id: u64, servers: u64, bug: Option<Bug>, says_role: bool) -> Result {
    let disk = Disk::open().await?;
    let mut node = Node::new(id, servers, bug, disk.load().await?);
    node.show_log(1);
    let socket = UdpSocket::bind(("0.0.0.0", PORT)).await?;
    let mut bytes = [0; 256];
    loop {
        match timeout_at(node.deadline(), socket.recv_from(&mut bytes)).await {
            Ok(Ok((length, sender))) => {
                if let Some(message) = Message::decode(&bytes[..length]) {
                    node.receive(sender, message);
                }
            }
            // A datagram that was sent earlier did not reach its server.
            Ok(Err(_)) => {}
            Err(_) => node.tick(),
        }
        if says_role {
            say_role(&node);
        }
        if node.has(Bug::AnswersBeforeStored) {
            send(&socket, &mut node).await;
        }
        disk.save(&mut node).await?;
        send(&socket, &mut node).await;
    }
}

/// Sends what the node has to send. What does not arrive is sent again later.
async fn send(socket: &UdpSocket, node: &mut Node) {
    for (to, message) in node.take_messages() {
        let bytes = message.encode();
        let _ = match to {
            To::Server(id) => socket.send_to(&bytes, (name(id).as_str(), PORT)).await,
            To::Client(address) => socket.send_to(&bytes, address).await,
        };
    }
}

/// Says whether the server leads, so that plans can aim at the leader.
fn say_role(node: &Node) {
    match node.role {
        Role::Leader(_) => simmach::role::enter("leader"),
        Role::Follower { .. } | Role::Candidate { .. } => simmach::role::leave("leader"),
    }
}
