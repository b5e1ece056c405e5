//! What holds for both engines: each function is called once per engine.

mod bounds;
mod callers;
mod order;
mod undo;
mod values;

/// Runs each function as a test on SQLite and as one on PostgreSQL, each with a bench of its own.
macro_rules! on_both_engines {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $test() {
                let bench = $crate::support::Bench::sqlite().await;
                super::$test(&bench).await;
                bench.store.close().await;
            })*
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $test() {
                let test = concat!(module_path!(), "::", stringify!($test));
                let Some(bench) = $crate::support::Bench::postgres(test).await else {
                    return;
                };
                super::$test(&bench).await;
                bench.store.close().await;
            })*
        }
    };
}

use on_both_engines;
