//! What is written comes back, whatever it is.

use tertulia_store::{Failure, P, Sql};

use super::on_both_engines;
use crate::support::{Bench, command};

on_both_engines!(
    every_type_comes_back,
    null_fits_every_type,
    placeholders_count_whatever_their_order,
    lists_are_parameters,
    quoted_dollars_are_no_placeholders,
    execute_counts_rows,
    a_wrong_number_of_rows_is_a_bug,
    a_wrong_number_of_parameters_is_a_bug,
    a_wrong_type_is_a_bug,
    bytes_may_hold_a_nul,
);

static PUT: Sql = Sql::new("INSERT INTO thing (id, number, words, bits) VALUES ($1, $2, $3, $4)");
static GET: Sql = Sql::new("SELECT number, words, bits FROM thing WHERE id = $1");

type Thing = (Option<i64>, Option<String>, Option<Vec<u8>>);

async fn put_and_get(bench: &Bench, id: i64, thing: Thing) -> Thing {
    let put = command(move |tx| {
        let (number, words, bits) = thing.clone();
        Box::pin(async move {
            let row = [id.into(), number.into(), words.into(), bits.into()];
            tx.execute(&PUT, &row).await?;
            Ok(())
        })
    });
    bench.store.write(put).await.unwrap();
    let get = command(move |tx| {
        Box::pin(async move {
            let row = tx.query_one(&GET, &[id.into()]).await?;
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
    });
    bench.store.read(get).await.unwrap()
}

async fn every_type_comes_back(bench: &Bench) {
    let long = "ß".repeat(70_000);
    let texts = ["", "plain", "a\"b'c\\$1 \u{1F600} \u{7f}\n", &long];
    for (id, text) in (1..).zip(texts) {
        let bits: Vec<u8> = (0..=255).cycle().take(text.len()).collect();
        for number in [0, -1, i64::MAX, i64::MIN] {
            let id = id * 10 + number.signum() + i64::from(number == i64::MAX) * 5;
            let thing = (Some(number), Some(text.to_owned()), Some(bits.clone()));
            assert_eq!(put_and_get(bench, id + number % 2, thing.clone()).await, thing);
        }
    }
}

async fn null_fits_every_type(bench: &Bench) {
    let nothing = (None, None, None);
    assert_eq!(put_and_get(bench, 1, nothing.clone()).await, nothing);
}

async fn placeholders_count_whatever_their_order(bench: &Bench) {
    static BACKWARDS: Sql =
        Sql::new("INSERT INTO thing (words, number, id) VALUES ($3, $2, $1) RETURNING id, number, words");
    let write = command(|tx| {
        Box::pin(async move {
            let row = tx.query_one(&BACKWARDS, &[1.into(), 2.into(), "three".into()]).await?;
            Ok((row.get::<i64>(0)?, row.get::<i64>(1)?, row.text(2)?.to_owned()))
        })
    });
    assert_eq!(bench.store.write(write).await.unwrap(), (1, 2, "three".to_owned()));
}

async fn lists_are_parameters(bench: &Bench) {
    static BY_WORDS: Sql = Sql::pair(
        "SELECT id FROM thing WHERE words IN (SELECT value FROM json_each($1)) ORDER BY id",
        "SELECT id FROM thing WHERE words = ANY($1) ORDER BY id",
    );
    static BY_ID: Sql = Sql::pair(
        "SELECT id FROM thing WHERE id IN (SELECT value FROM json_each($1)) ORDER BY id",
        "SELECT id FROM thing WHERE id = ANY($1) ORDER BY id",
    );
    let words = ["a\"\\", "\u{1}\n", "é", ""];
    for (id, words) in (1..).zip(words) {
        put_and_get(bench, id, (None, Some(words.into()), None)).await;
    }
    for (sql, list, want) in [
        (&BY_WORDS, P::Texts(&["\u{1}\n", "a\"\\", "none"]), vec![1, 2]),
        (&BY_WORDS, P::Texts(&["é", ""]), vec![3, 4]),
        (&BY_WORDS, P::Texts(&[]), vec![]),
        (&BY_ID, P::Ints(&[4, -7, 2]), vec![2, 4]),
        (&BY_ID, P::Ints(&[]), vec![]),
    ] {
        let read = command(move |tx| {
            let list = list.clone();
            Box::pin(async move {
                let rows = tx.query(sql, &[list]).await?;
                Ok(rows.iter().map(|row| row.get(0)).collect::<Result<Vec<i64>, _>>()?)
            })
        });
        assert_eq!(bench.store.read(read).await.unwrap(), want);
    }
}

async fn quoted_dollars_are_no_placeholders(bench: &Bench) {
    static QUOTED: Sql = Sql::new(
        "SELECT CAST($1 AS TEXT) AS \"$2\", '$3' -- $4
         /* $5 */",
    );
    let read = command(|tx| {
        Box::pin(async move {
            let row = tx.query_one(&QUOTED, &["one".into()]).await?;
            Ok((row.get::<String>(0)?, row.get::<String>(1)?))
        })
    });
    assert_eq!(bench.store.read(read).await.unwrap(), ("one".into(), "$3".into()));
}

async fn bytes_may_hold_a_nul(bench: &Bench) {
    let thing = (None, None, Some(b"a\0b".to_vec()));
    assert_eq!(put_and_get(bench, 1, thing.clone()).await, thing);
}

/// The engines differ here, and nothing below the door can help it: a text with a NUL is refused
/// there.
#[tokio::test]
async fn text_with_a_nul_is_kept_by_sqlite_and_refused_by_postgres() {
    let put = || {
        command(|tx| {
            Box::pin(async move {
                let row = [1.into(), P::Null, "a\0b".into(), P::Null];
                tx.execute(&PUT, &row).await?;
                Ok(tx.query_one(&GET, &[1.into()]).await?.text(1)?.to_owned())
            })
        })
    };
    let sqlite = Bench::sqlite().await;
    assert_eq!(sqlite.store.write(put()).await.unwrap(), "a\0b");
    if let Some(postgres) = Bench::postgres("text_with_a_nul").await {
        let failure = postgres.store.write(put()).await.unwrap_err().failure();
        assert!(matches!(failure, Failure::Storage { .. }), "{failure}");
    }
}

async fn execute_counts_rows(bench: &Bench) {
    static TOUCH: Sql = Sql::new("UPDATE thing SET number = 1 WHERE id <= $1");
    static AGAIN: Sql = Sql::new("INSERT INTO thing (id) VALUES ($1) ON CONFLICT DO NOTHING");
    for id in 1..=3 {
        put_and_get(bench, id, (None, None, None)).await;
    }
    let write = command(|tx| {
        Box::pin(async move {
            let touched = tx.execute(&TOUCH, &[2.into()]).await?;
            let old = tx.execute(&AGAIN, &[1.into()]).await?;
            let new = tx.execute(&AGAIN, &[9.into()]).await?;
            Ok((touched, old, new))
        })
    });
    assert_eq!(bench.store.write(write).await.unwrap(), (2, 0, 1));
}

async fn a_wrong_number_of_rows_is_a_bug(bench: &Bench) {
    static ALL: Sql = Sql::new("SELECT id FROM thing WHERE id <= $1");
    put_and_get(bench, 1, (None, None, None)).await;
    put_and_get(bench, 2, (None, None, None)).await;
    for (upto, is_bug) in [(0, true), (1, false), (2, true)] {
        let read =
            command(move |tx| Box::pin(async move { Ok(tx.query_one(&ALL, &[upto.into()]).await?.get::<i64>(0)?) }));
        match bench.store.read(read).await {
            Ok(id) => assert!(!is_bug && id == 1),
            Err(refused) => {
                let failure = refused.failure();
                assert!(is_bug && matches!(failure, Failure::Bug(_)), "{failure}");
            }
        }
    }
}

async fn a_wrong_number_of_parameters_is_a_bug(bench: &Bench) {
    for parameters in [&[][..], &[P::Int(1), P::Int(2)]] {
        let read = command(move |tx| Box::pin(async move { Ok(tx.query(&GET, parameters).await?.len()) }));
        let failure = bench.store.read(read).await.unwrap_err().failure();
        assert!(matches!(&failure, Failure::Bug(_)), "{failure}");
    }
}

async fn a_wrong_type_is_a_bug(bench: &Bench) {
    put_and_get(bench, 1, (Some(7), None, None)).await;
    let read = command(move |tx| {
        Box::pin(async move {
            let row = tx.query_one(&GET, &[1.into()]).await?;
            let bugs = [
                row.get::<String>(0).unwrap_err(),
                row.get::<bool>(0).unwrap_err(),
                row.get::<i64>(1).unwrap_err(),
                row.get::<i64>(3).unwrap_err(),
                row.text(2).unwrap_err(),
                row.bytes(0).unwrap_err(),
            ];
            Ok(bugs.map(|failure| failure.to_string()))
        })
    });
    for bug in bench.store.read(read).await.unwrap() {
        assert!(bug.contains("SELECT number, words, bits"), "{bug}");
    }
}
