//! A program without the simulation, as in production. Without the feature `sim`, simmach defines
//! none of the C library's functions. With the feature `real`, this program uses a real connection,
//! a real store and real tasks.

#[cfg(not(feature = "real"))]
fn main() -> simmach::Result {
    Ok(())
}

#[cfg(feature = "real")]
fn main() -> simmach::Result {
    let folder = std::env::temp_dir().join(format!("simmach-without-sim-{}", std::process::id()));
    simmach::storage::set_folder(&folder);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let kept = runtime.block_on(real::there_and_back())?;
    std::fs::remove_dir_all(&folder)?;
    println!("{} bytes went over a real socket and into a real folder", kept.len());
    Ok(())
}

#[cfg(feature = "real")]
mod real {
    use std::time::Duration;

    use futures::{AsyncReadExt, AsyncWriteExt};
    use simmach::net::{TcpListener, TcpStream};
    use simmach::storage::{self, types::Bytes};
    use simmach::time::{Instant, sleep, timeout};
    use simmach::{rand, select, signal, task};

    /// Sends a word over a connection, stores it, and reads it again.
    pub(crate) async fn there_and_back() -> simmach::Result<Vec<u8>> {
        let began = Instant::now();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let word = rand::random().to_be_bytes();
        let says = task::spawn(async move {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(&word).await?;
            stream.close().await
        });
        let (mut stream, _) = select! {
            accepted = listener.accept() => accepted?,
            () = signal::stopped() => return Err("stopped by the stop signal".into()),
        };
        let mut heard = Vec::new();
        timeout(Duration::from_secs(10), stream.read_to_end(&mut heard)).await??;
        says.await??;
        sleep(Duration::from_millis(1)).await;
        assert!(began.elapsed() >= Duration::from_millis(1));
        let store = storage::open("words").await?;
        store
            .write(move |txn| {
                let words = txn.table::<Bytes, Bytes>("words")?;
                Ok(words.put(txn, b"word", &heard)?)
            })
            .await?;
        let kept = store.read(|txn| {
            let Some(words) = txn.table::<Bytes, Bytes>("words")? else { return Ok(Vec::new()) };
            Ok(words.get(txn, b"word")?.unwrap_or_default().to_vec())
        });
        let kept = kept.await?;
        assert_eq!(kept, word);
        Ok(kept)
    }
}
