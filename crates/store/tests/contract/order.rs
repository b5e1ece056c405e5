//! Many at once: indexes without a gap, news without a hole, snapshots of one moment.

use tokio::task::JoinSet;

use super::on_both_engines;
use crate::support::{Append, Bench, OpenRoom, Refused, append, assert_whole, command, messages};

on_both_engines!(
    a_hot_room_counts_without_a_gap,
    many_rooms_count_each_for_itself,
    an_answer_is_visible_at_once,
    a_read_is_of_one_moment,
    a_command_may_move_a_stream_several_times,
);

const WRITERS: i64 = 32;
const EACH: i64 = 25;

async fn a_hot_room_counts_without_a_gap(bench: &Bench) {
    bench.store.write(OpenRoom(1)).await.unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = bench.store.clone();
        writers.spawn(async move {
            let mut told = Vec::new();
            for n in 0..EACH {
                let sid = format!("{writer}-{n}");
                let refused = n % 7 == 3;
                let index = store.write(AppendOrRefuse(Append::new(1, sid.clone()), refused)).await;
                match index {
                    Ok(index) => told.push((index, sid)),
                    Err(why) => assert!(refused && matches!(why, Refused::No), "{why:?}"),
                }
            }
            told
        });
    }
    let mut told = writers.join_all().await.concat();
    told.sort();
    let indexes: Vec<i64> = told.iter().map(|(index, _)| *index).collect();
    assert_eq!(indexes, (0..indexes.len() as i64).collect::<Vec<_>>());
    assert_eq!(bench.messages(1).await, told, "what was told is what is there");
    let ends = assert_whole(&bench.heard.news());
    assert_eq!(ends.into_values().collect::<Vec<_>>(), [indexes.len() as i64]);
}

struct AppendOrRefuse(Append, bool);

impl tertulia_store::Command for AppendOrRefuse {
    type Out = i64;
    type Refusal = Refused;

    async fn run(&self, tx: &mut tertulia_store::Tx<'_>) -> Result<i64, Refused> {
        let index = append(tx, self.0.room, &self.0.sid).await?;
        if self.1 { Err(Refused::No) } else { Ok(index) }
    }
}

async fn many_rooms_count_each_for_itself(bench: &Bench) {
    for room in 1..=8 {
        bench.store.write(OpenRoom(room)).await.unwrap();
    }
    let mut writers = JoinSet::new();
    for n in 0..200 {
        let store = bench.store.clone();
        writers.spawn(async move { store.write(Append::new(1 + n % 8, n.to_string())).await });
    }
    for answer in writers.join_all().await {
        answer.unwrap();
    }
    for room in 1..=8 {
        let indexes: Vec<i64> = bench.messages(room).await.iter().map(|m| m.0).collect();
        assert_eq!(indexes, (0..25).collect::<Vec<_>>());
    }
    assert!(assert_whole(&bench.heard.news()).values().all(|end| *end == 25));
}

async fn an_answer_is_visible_at_once(bench: &Bench) {
    bench.store.write(OpenRoom(1)).await.unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let store = bench.store.clone();
        writers.spawn(async move {
            for n in 0..20 {
                let sid = format!("{writer}-{n}");
                let index = store.write(Append::new(1, sid.clone())).await.unwrap();
                let seen = store.read(crate::support::Messages { room: 1 }).await.unwrap();
                assert_eq!(seen[usize::try_from(index).unwrap()].1, sid);
            }
        });
    }
    writers.join_all().await;
}

async fn a_read_is_of_one_moment(bench: &Bench) {
    bench.store.write(OpenRoom(1)).await.unwrap();
    bench.store.write(Append::new(1, "before")).await.unwrap();
    let (look, looked) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let may_go_on = std::sync::Arc::new(may_go_on);
    let reading = command(move |tx| {
        let (look, may_go_on) = (look.clone(), may_go_on.clone());
        Box::pin(async move {
            let first = messages(tx, 1).await?;
            look.send(()).unwrap();
            may_go_on.lock().unwrap().recv().unwrap();
            Ok((first, messages(tx, 1).await?))
        })
    });
    let store = bench.store.clone();
    let read = tokio::spawn(async move { store.read(reading).await });
    looked.recv().unwrap();
    bench.store.write(Append::new(1, "meanwhile")).await.unwrap();
    go_on.send(()).unwrap();
    let (first, second) = read.await.unwrap().unwrap();
    assert_eq!(first, second);
    assert_eq!(bench.messages(1).await.len(), 2);
}

async fn a_command_may_move_a_stream_several_times(bench: &Bench) {
    bench.store.write(OpenRoom(1)).await.unwrap();
    let three = command(|tx| {
        Box::pin(async move {
            for sid in ["a", "b", "c"] {
                append(tx, 1, sid).await?;
            }
            Ok(())
        })
    });
    bench.store.write(three).await.unwrap();
    let news = bench.heard.news();
    assert_eq!(news.len(), 3);
    assert_whole(&news);
    assert_eq!(bench.heard.sizes(), [3], "one publication for one commit");
}
