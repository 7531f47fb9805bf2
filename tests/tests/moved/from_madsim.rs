//! A service on TCP. Its test was written for madsim.

use std::io;

use simmach::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// Gives each visitor the next number.
async fn serve() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:7000").await?;
    let mut next = 0;
    loop {
        let (mut visitor, _) = listener.accept().await?;
        next += 1;
        visitor.write_u64(next).await?;
        visitor.flush().await?;
    }
}

async fn take(server: &str) -> io::Result<u64> {
    TcpStream::connect(server).await?.read_u64().await
}

#[sim_test(machines("server" => serve), client = "client")]
async fn numbers_begin_again_after_a_crash(sim: Sim) -> Result {
    sleep(1.secs()).await;
    assert_eq!(take("server:7000").await?, 1);
    assert_eq!(take("server:7000").await?, 2);
    sim.kill("server")?;
    assert!(take("server:7000").await.is_err());
    sim.start("server")?;
    sleep(1.secs()).await;
    assert_eq!(take("server:7000").await?, 1);
    Ok(())
}
