//! Programs with tasks, time and randomness within one process.

#![allow(clippy::disallowed_types, reason = "the order of a HashMap enters the traces")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use futures::channel::{mpsc, oneshot};
use futures::{SinkExt, StreamExt};
use simmach::net::UdpSocket;
use simmach::prelude::*;
use simmach::program::{Scenario, Spec};
use simmach::task::{JoinSet, spawn, spawn_local};
use simmach::time::{interval, sleep, timeout};

use super::Golden;

pub(super) const ALL: &[Golden] = &[
    Golden { name: "tasks that race", seeds: 8, spec: tasks_that_race },
    Golden { name: "tasks that end", seeds: 4, spec: tasks_that_end },
    Golden { name: "randomness", seeds: 6, spec: randomness },
];

/// Puts bytes into the trace by sending them: the payloads of packets are hashed.
async fn record(bytes: &[u8]) -> Result {
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    socket.send_to(bytes, "127.0.0.1:9").await?;
    Ok(())
}

fn tasks_that_race() -> Spec {
    Scenario::new().body(async |sim: Sim| -> Result {
        let order = Rc::new(RefCell::new(Vec::new()));
        let mut tasks = JoinSet::new();
        for n in 0..20u8 {
            let order = Rc::clone(&order);
            let pause = u64::from(n % 3).millis();
            tasks.spawn_local(async move {
                for _ in 0..5 {
                    sleep(pause).await;
                    order.borrow_mut().push(n);
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended?;
        }
        let (mut fast, mut slow) = (interval(3.millis()), interval(5.millis()));
        for step in sim.steps(30) {
            simmach::select! {
                _ = fast.tick() => order.borrow_mut().push(100),
                _ = slow.tick() => order.borrow_mut().push(101),
                () = sleep(step.random_range(1..6u64).millis()) => order.borrow_mut().push(102),
            }
        }
        let order = order.take();
        assert!(order.len() == 130);
        record(&order).await
    })
}

fn tasks_that_end() -> Spec {
    Scenario::new().body(async |_: Sim| -> Result {
        let (mut questions, mut asked) = mpsc::channel::<(u8, oneshot::Sender<u8>)>(2);
        let server = spawn(async move {
            while let Some((number, answer)) = asked.next().await {
                sleep(1.millis()).await;
                let _ = answer.send(number + 1);
            }
        });
        for number in 0..10 {
            let (answer, answered) = oneshot::channel();
            questions.send((number, answer)).await?;
            assert_eq!(answered.await?, number + 1);
        }
        let sleeper = spawn_local(sleep(1_000.secs()));
        assert!(
            timeout(10.millis(), async {
                while !sleeper.is_finished() {
                    sleep(3.millis()).await
                }
            })
            .await
            .is_err()
        );
        sleeper.abort();
        assert!(sleeper.await.is_err());
        drop(questions);
        Ok(server.await?)
    })
}

fn randomness() -> Spec {
    Scenario::new().machine("other", std::future::pending::<()>).body(async |sim: Sim| -> Result {
        let map: HashMap<u32, u32> = (0..50).map(|n| (n, n * n)).collect();
        let mut bytes: Vec<u8> = map.keys().map(|key| *key as u8).collect();
        bytes.extend(rand::random::<[u8; 16]>());
        bytes.extend(fastrand::u64(..).to_le_bytes());
        let other = sim.run_on("other", async { rand::random::<[u8; 16]>() });
        bytes.extend(other.await?);
        bytes.extend(uuid::Uuid::new_v4().into_bytes());
        record(&bytes).await
    })
}
