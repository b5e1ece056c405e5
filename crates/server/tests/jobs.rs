//! Durable jobs: at least once, taken over from a node that stalls, tried again after a failure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tertulia_server::jobs::commands::{ClaimDue, Fenced, GiveBack, ListBacklog};
use tertulia_server::jobs::queries::Wanted;
use tertulia_server::jobs::{Claim, Kind, Next, Runner, Running, Work, enqueue};
use tertulia_server::platform::{AccountNumber, Caller, Change, Cx, Db, Error, Outcome};
use tokio::sync::{Notify, watch};

use crate::support::{World, on_both_engines, on_sqlite};

on_both_engines!(
    a_stalled_nodes_job_is_taken_over_and_its_late_writes_are_refused,
    a_job_that_is_enqueued_while_it_runs_runs_once_more,
    a_job_is_enqueued_with_its_change_or_not_at_all,
    a_failing_job_is_tried_again_later_and_seen_in_the_backlog,
    a_job_is_due_by_its_accounts_clock,
    of_many_nodes_that_claim_at_once_each_job_goes_to_one,
);
on_sqlite!(the_operator_sees_how_the_jobs_stand);

const KIND: Kind = Kind("test");
const ACCOUNT: AccountNumber = AccountNumber(1);

/// Enqueues a job, and refuses afterwards if it is told to.
#[derive(Clone)]
struct Enqueue {
    key: &'static str,
    in_seconds: i64,
    then_refuses: bool,
}

fn now(key: &'static str) -> Enqueue {
    Enqueue { key, in_seconds: 0, then_refuses: false }
}

impl Change for Enqueue {
    type Out = ();

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        enqueue(cx, ACCOUNT, KIND, self.key, cx.now.plus_micros(self.in_seconds * 1_000_000)).await?;
        if self.then_refuses { Err(Error::parameter("refused")) } else { Ok(()) }
    }
}

/// A change that does nothing: whether it may run is the question.
#[derive(Clone)]
struct Nothing;

impl Change for Nothing {
    type Out = ();

    async fn apply(&self, _: &mut Cx<'_, '_>) -> Outcome<()> {
        Ok(())
    }
}

fn db(world: &World) -> Db {
    world.app().db.clone()
}

/// What a node claims now, of this test's kind.
async fn claim(db: &Db, limit: i64) -> Vec<Claim> {
    let machine = db.clock.machine();
    let wanted = Wanted { kinds: vec![KIND.0], machine, until: machine.plus_micros(30_000_000), limit };
    db.perform(&Caller::nobody(), ClaimDue { wanted, own_times: db.clock.own_times() }).await.unwrap()
}

fn fenced(claim: &Claim, db: &Db) -> Fenced<Nothing> {
    Fenced { claim: claim.clone(), until: db.clock.machine().plus_micros(30_000_000), change: Nothing }
}

/// How many jobs of this test's kind there are, and how many of them are failing.
async fn backlog(db: &Db) -> (i64, i64) {
    let all = db.ask(&Caller::nobody(), ListBacklog).await.unwrap();
    all.iter().find(|backlog| backlog.kind == KIND.0).map_or((0, 0), |backlog| (backlog.jobs, backlog.failing))
}

fn a_stalled_nodes_job_is_taken_over_and_its_late_writes_are_refused(world: &World) {
    let (db, system) = (db(world), world.system());
    world.play(async {
        db.perform(&system, now("a")).await.unwrap();
        let [first] = <[Claim; 1]>::try_from(claim(&db, 10).await).unwrap();
        assert!(claim(&db, 10).await.is_empty(), "the lease stands");
        world.pass(29);
        // A step renews the lease.
        db.perform(&system, fenced(&first, &db)).await.unwrap();
        world.pass(29);
        assert!(claim(&db, 10).await.is_empty());
        world.pass(1);
        let [second] = <[Claim; 1]>::try_from(claim(&db, 10).await).unwrap();
        assert_eq!((second.fence, second.attempts), (first.fence + 1, 2));
        let late = db.perform(&system, fenced(&first, &db)).await.unwrap_err();
        assert!(late.to_string().contains("another node has taken the job over"), "{late}");
        // Nor does the first one's end count.
        db.perform(&system, GiveBack { claim: first, next: Next::Done }).await.unwrap();
        db.perform(&system, fenced(&second, &db)).await.unwrap();
        db.perform(&system, GiveBack { claim: second, next: Next::Done }).await.unwrap();
        assert_eq!(backlog(&db).await, (0, 0));
    });
}

fn a_job_that_is_enqueued_while_it_runs_runs_once_more(world: &World) {
    let (db, system) = (db(world), world.system());
    world.play(async {
        db.perform(&system, now("a")).await.unwrap();
        let claims = claim(&db, 10).await;
        db.perform(&system, now("a")).await.unwrap();
        db.perform(&system, GiveBack { claim: claims[0].clone(), next: Next::Done }).await.unwrap();
        let again = claim(&db, 10).await;
        assert_eq!(again.len(), 1, "what it has not seen is still to be done");
        db.perform(&system, GiveBack { claim: again[0].clone(), next: Next::Done }).await.unwrap();
        assert_eq!(backlog(&db).await, (0, 0));
    });
}

fn a_job_is_enqueued_with_its_change_or_not_at_all(world: &World) {
    let (db, system) = (db(world), world.system());
    world.play(async {
        db.perform(&system, Enqueue { then_refuses: true, ..now("a") }).await.unwrap_err();
        assert_eq!(backlog(&db).await, (0, 0));
    });
}

fn a_job_is_due_by_its_accounts_clock(world: &World) {
    let (db, system) = (db(world), world.system());
    world.play(async {
        db.perform(&system, Enqueue { in_seconds: 60, ..now("a") }).await.unwrap();
        // Enqueued again for later, it stays as early as it was.
        db.perform(&system, Enqueue { in_seconds: 90, ..now("a") }).await.unwrap();
        world.pass(59);
        assert!(claim(&db, 10).await.is_empty());
        db.clock.advance(ACCOUNT, 1_000_000);
        assert_eq!(claim(&db, 10).await.len(), 1);
    });
}

fn of_many_nodes_that_claim_at_once_each_job_goes_to_one(world: &World) {
    let (db, system) = (db(world), world.system());
    const KEYS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    world.play(async {
        for key in KEYS {
            db.perform(&system, now(key)).await.unwrap();
        }
        let claims = futures_util::future::join_all((0..6).map(|_| claim(&db, 4))).await;
        let mut keys: Vec<String> = claims.into_iter().flatten().map(|claim| claim.key).collect();
        // A claim that meets another one may find fewer than it wants, never the same.
        keys.extend(claim(&db, 12).await.into_iter().map(|claim| claim.key));
        keys.sort();
        assert_eq!(keys, KEYS);
    });
}

/// Fails until it is told not to.
struct Flaky {
    runs: Arc<AtomicU32>,
    is_mended: Arc<AtomicBool>,
}

impl Work for Flaky {
    fn run<'r>(&'r self, job: &'r Running) -> BoxFuture<'r, Outcome<Next>> {
        async move {
            job.perform(Nothing).await?;
            self.runs.fetch_add(1, Ordering::SeqCst);
            if self.is_mended.load(Ordering::SeqCst) { Ok(Next::Done) } else { Err(Error::Broken("flaky".to_owned())) }
        }
        .boxed()
    }
}

fn a_failing_job_is_tried_again_later_and_seen_in_the_backlog(world: &World) {
    let (db, system) = (db(world), world.system());
    let (runs, is_mended) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let work = Flaky { runs: Arc::clone(&runs), is_mended: Arc::clone(&is_mended) };
    let (drain, draining) = watch::channel(false);
    world.play(async {
        let runner = Runner::new(db.clone(), Arc::new(Notify::new())).with(KIND, work);
        db.perform(&system, now("a")).await.unwrap();
        let running = tokio::spawn(runner.run(draining));
        until(async || backlog(&db).await == (1, 1)).await;
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        // The first wait is a second, by the account's clock.
        world.pass(1);
        until(async || runs.load(Ordering::SeqCst) == 2).await;
        is_mended.store(true, Ordering::SeqCst);
        until(async || backlog(&db).await == (1, 1)).await;
        world.pass(2);
        until(async || backlog(&db).await == (0, 0)).await;
        drain.send_replace(true);
        running.await.unwrap();
    });
}

/// Asks again and again, for twenty seconds at most.
async fn until(mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..2000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within twenty seconds");
}

fn the_operator_sees_how_the_jobs_stand(world: &World) {
    let (db, system) = (db(world), world.system());
    world.play(async { db.perform(&system, now("a")).await.unwrap() });
    world.pass(90);
    let jobs = world.operator.get("/tertulia/v1/Jobs").is(200);
    let test = jobs["jobs"].as_array().unwrap().iter().find(|job| job["kind"] == KIND.0).unwrap();
    assert_eq!((&test["jobs_count"], &test["oldest_late_seconds"]), (&1.into(), &90.into()), "{jobs}");
    assert_eq!(test["failing_count"], 0);
    world.owner.get("/tertulia/v1/Jobs").refuses(404, 20404);
}
