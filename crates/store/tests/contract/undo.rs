//! A command is kept whole or not at all, and what is undone is never told.

use std::task::Poll;

use tertulia_store::{Failure, Sql};

use super::on_both_engines;
use crate::support::{Append, Bench, OpenRoom, Refused, append, command};

on_both_engines!(
    a_refusal_undoes_its_writes,
    a_caught_failure_is_not_kept,
    a_violated_constraint_is_a_conflict,
    a_panic_is_undone_and_answered,
    a_read_cannot_write,
    a_read_cannot_announce,
);

async fn a_refusal_undoes_its_writes(bench: &Bench) {
    bench.store.write(OpenRoom(1)).await.unwrap();
    bench.store.write(Append::new(1, "kept")).await.unwrap();
    let refused = command(|tx| {
        Box::pin(async move {
            append(tx, 1, "undone").await?;
            Err::<(), _>(Refused::No)
        })
    });
    let answer = bench.store.write(refused).await;
    assert!(matches!(answer, Err(Refused::No)), "{answer:?}");
    assert_eq!(bench.store.write(Append::new(1, "next")).await.unwrap(), 1);
    assert_eq!(bench.messages(1).await, [(0, "kept".into()), (1, "next".into())]);
    assert_eq!(bench.heard.news().len(), 2);
}

/// SQLite would go on after a failed statement, PostgreSQL would not. Neither may.
async fn a_caught_failure_is_not_kept(bench: &Bench) {
    bench.store.write(OpenRoom(1)).await.unwrap();
    bench.store.write(Append::new(1, "taken")).await.unwrap();
    let stubborn = command(|tx| {
        Box::pin(async move {
            let first = append(tx, 1, "taken").await;
            assert!(matches!(first, Err(Refused::Failed(Failure::Conflict { .. }))), "{first:?}");
            let second = append(tx, 1, "free").await;
            assert!(matches!(second, Err(Refused::Failed(Failure::Bug(_)))), "{second:?}");
            Ok(())
        })
    });
    let failure = bench.store.write(stubborn).await.unwrap_err().failure();
    assert!(matches!(failure, Failure::Bug(_)), "{failure}");
    assert_eq!(bench.messages(1).await, [(0, "taken".into())]);
    assert_eq!(bench.heard.news().len(), 1);
}

async fn a_violated_constraint_is_a_conflict(bench: &Bench) {
    static TWICE: Sql = Sql::new("INSERT INTO thing (id, words) VALUES ($1, $2)");
    let insert = || command(|tx| Box::pin(async move { Ok(tx.execute(&TWICE, &[1.into(), "hush".into()]).await?) }));
    bench.store.write(insert()).await.unwrap();
    let failure = bench.store.write(insert()).await.unwrap_err().failure();
    assert!(matches!(failure, Failure::Conflict { .. }), "{failure}");
    assert!(!format!("{failure} {failure:?}").contains("hush"), "no value reaches a log");
}

async fn a_panic_is_undone_and_answered(bench: &Bench) {
    bench.store.write(OpenRoom(1)).await.unwrap();
    for _ in 0..20 {
        let panics = command(|tx| {
            Box::pin(async move {
                append(tx, 1, "undone").await?;
                if true {
                    panic!("on purpose");
                }
                Ok(())
            })
        });
        let failure = bench.store.write(panics).await.unwrap_err().failure();
        assert!(failure.to_string().contains("on purpose"), "{failure}");
        let panics = command::<(), _>(|_| Box::pin(async { panic!("on purpose") }));
        let failure = bench.store.read(panics).await.unwrap_err().failure();
        assert!(matches!(failure, Failure::Bug(_)), "{failure}");
    }
    assert_eq!(bench.store.write(Append::new(1, "kept")).await.unwrap(), 0);
    assert_eq!(bench.heard.news().len(), 1);
}

async fn a_read_cannot_write(bench: &Bench) {
    bench.store.write(OpenRoom(1)).await.unwrap();
    let failure = bench.store.read(Append::new(1, "no")).await.unwrap_err().failure();
    assert!(matches!(failure, Failure::Storage { .. }), "{failure}");
    assert!(bench.messages(1).await.is_empty());
}

async fn a_read_cannot_announce(bench: &Bench) {
    let announces = command(|tx| {
        let news = tertulia_store::News {
            stream: tertulia_store::StreamId { kind: 1, key: 1 },
            after: 0,
            upto: 1,
            events: bytes::Bytes::new(),
        };
        tx.announce(news);
        Box::pin(std::future::poll_fn(|_| Poll::Ready(Ok(()))))
    });
    let failure = bench.store.read(announces).await.unwrap_err().failure();
    assert!(matches!(failure, Failure::Bug(_)), "{failure}");
    assert!(bench.heard.news().is_empty());
}
