//! Callers come and go; what they asked for is done, told, and finished before the store closes.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use tertulia_store::Failure;
use tokio::task::JoinSet;

use super::on_both_engines;
use crate::support::{Append, Bench, OpenRoom, assert_whole};

on_both_engines!(a_caller_that_goes_away_cuts_nothing, closing_finishes_what_waits, a_closed_store_says_so,);

async fn a_caller_that_goes_away_cuts_nothing(bench: &Bench) {
    bench.store.write(OpenRoom(1)).await.unwrap();
    for n in 0..50 {
        let mut write = pin!(bench.store.write(Append::new(1, n.to_string())));
        // It is asked for, and the caller is gone before any answer can come.
        let _ = write.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
    let news = bench.heard.wait_for(50).await;
    assert_whole(&news);
    assert_eq!(bench.messages(1).await.len(), 50);
}

async fn closing_finishes_what_waits(bench: &Bench) {
    bench.store.write(OpenRoom(1)).await.unwrap();
    let mut writers = JoinSet::new();
    for n in 0..100 {
        let store = bench.store.clone();
        writers.spawn(async move { store.write(Append::new(1, n.to_string())).await });
    }
    bench.heard.wait_for(1).await;
    bench.store.close().await;
    let (mut written, mut late) = (0, 0);
    for answer in writers.join_all().await {
        match answer {
            Ok(_) => written += 1,
            Err(refused) => {
                let failure = refused.failure();
                assert!(matches!(failure, Failure::Closed), "{failure}");
                late += 1;
            }
        }
    }
    assert_eq!(written + late, 100);
    assert_eq!(bench.heard.news().len(), written, "all that was written was told");
}

async fn a_closed_store_says_so(bench: &Bench) {
    let again = bench.store.clone();
    tokio::join!(bench.store.close(), again.close());
    let write = bench.store.write(OpenRoom(1)).await.unwrap_err().failure();
    assert!(matches!(write, Failure::Closed), "{write}");
    let read = bench.store.read(OpenRoom(1)).await.unwrap_err().failure();
    assert!(matches!(read, Failure::Closed), "{read}");
    bench.store.close().await;
}
