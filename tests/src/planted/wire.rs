//! The protocol of the programs with a planted bug (`simmach_tests::planted`): questions and answers
//! of two numbers each, with one connection per question.

use std::future::Future;
use std::io;
use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use simmach::net::{TcpListener, TcpStream};
use simmach::time::timeout;

/// A question or an answer: usually a command and its argument.
pub(super) type Words = [u64; 2];

/// Answers one question after another, until `answer` fails.
pub(super) async fn serve<E, F>(answer: impl Fn(Words) -> F) -> Result<(), E>
where
    E: From<io::Error>,
    F: Future<Output = Result<Words, E>>,
{
    let listener = TcpListener::bind("0.0.0.0:1").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        // A connection that breaks gets no answer.
        if let Ok(question) = read(&mut stream).await {
            let words = answer(question).await?;
            let _ = write(&mut stream, words).await;
        }
    }
}

/// Asks a machine a question, with a timeout.
pub(super) async fn ask(machine: &str, question: Words) -> io::Result<Words> {
    let asked = async {
        let mut stream = TcpStream::connect(format!("{machine}:1")).await?;
        write(&mut stream, question).await?;
        read(&mut stream).await
    };
    timeout(Duration::from_millis(500), asked).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
}

async fn read(stream: &mut TcpStream) -> io::Result<Words> {
    let mut bytes = [0; 16];
    stream.read_exact(&mut bytes).await?;
    let [low, high] = [0, 8].map(|at| bytes[at..at + 8].try_into().expect("eight bytes"));
    Ok([u64::from_le_bytes(low), u64::from_le_bytes(high)])
}

async fn write(stream: &mut TcpStream, words: Words) -> io::Result<()> {
    stream.write_all(&words.map(u64::to_le_bytes).concat()).await
}
