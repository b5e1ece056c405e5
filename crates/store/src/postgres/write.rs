//! One write on PostgreSQL: try, try again when another transaction was in the way or the
//! connection was lost, and never twice what was committed.

use std::time::Duration;

use rand::TryRng as _;
use rand::rngs::SysRng;
use tokio::time::{sleep, timeout};

use super::Inner;
use super::outcome::Outcome;
use super::session::{Session, cause};
use crate::deadline::Deadline;
use crate::failure::{Cause, Failure};
use crate::news::{News, tell};
use crate::task::Answer;
use crate::tx::{Access, Command, Trouble, Tx, went_on};

/// The transaction begins and, in the same journey, says the number by which its outcome can be
/// asked later. The command's first statement waits for that: behind a `BEGIN` that was cancelled
/// it would be committed by itself.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_current_xact_id()";

const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How one try ended.
enum Try<C: Command> {
    Done(Answer<C>),
    /// Nothing was written. The answer counts when patience is at an end.
    Again(Answer<C>),
}

/// What came of sending a `COMMIT`.
enum Sent {
    Done,
    /// The server said no, and would again.
    Refused(Cause),
    /// The server said no, and may say yes another time.
    InTheWay(Cause),
    /// No answer came.
    Lost(Cause),
}

impl Inner {
    pub(super) async fn run_write<C: Command>(&self, command: &C) -> Answer<C> {
        let deadline = Deadline::after(self.write_patience);
        let mut pause = Pause::default();
        loop {
            match self.try_once(command).await {
                Try::Done(answer) => return answer,
                Try::Again(answer) if deadline.has_passed() => return answer,
                Try::Again(_) => pause.wait().await,
            }
        }
    }

    async fn try_once<C: Command>(&self, command: &C) -> Try<C> {
        let session = match self.writing.get().await {
            Ok(session) => session,
            Err((failure, Trouble::Failed)) => return Try::Done(Err(failure.into())),
            Err((failure, _)) => return Try::Again(Err(failure.into())),
        };
        // Asked before the transaction begins: see `Outcome`.
        let life = self.writing.life();
        let number = match session.control(BEGIN).await {
            Ok(number) => number.unwrap_or_default(),
            Err(error) => {
                let source = cause(&error);
                let doing = "beginning a transaction";
                return Try::Again(Err(Failure::Storage { doing, source }.into()));
            }
        };
        let mut tx = Tx::postgres(&session, Access::Write);
        let result = command.run(&mut tx).await;
        let (news, trouble) = tx.finish();
        match (result, trouble) {
            (Ok(out), None) => self.commit(session, life, &number, out, news).await,
            (Ok(_), Some(Trouble::Failed)) => {
                session.roll_back().await;
                Try::Done(Err(went_on().into()))
            }
            (Err(refusal), None | Some(Trouble::Failed)) => {
                session.roll_back().await;
                Try::Done(Err(refusal))
            }
            (result, Some(Trouble::InTheWay)) => {
                session.roll_back().await;
                Try::Again(result.and_then(|_| Err(went_on().into())))
            }
            (result, Some(Trouble::Lost)) => Try::Again(result.and_then(|_| Err(went_on().into()))),
        }
    }

    async fn commit<C: Command>(
        &self,
        session: Session,
        life: u64,
        number: &str,
        out: C::Out,
        news: Vec<News>,
    ) -> Try<C> {
        let failed = |source| Err(Failure::Storage { doing: "committing", source }.into());
        let lost = match self.send_commit(session).await {
            Sent::Done => return self.committed(out, news),
            Sent::Refused(source) => return Try::Done(failed(source)),
            Sent::InTheWay(source) => return Try::Again(failed(source)),
            Sent::Lost(source) => source,
        };
        tracing::warn!("a connection was lost in a commit; asking whether it took place: {lost}");
        match self.outcome(number, life).await {
            Outcome::Committed => self.committed(out, news),
            Outcome::NotCommitted => Try::Again(failed(lost)),
            Outcome::Unknown(source) => Try::Done(Err(Failure::Unknown { source }.into())),
        }
    }

    async fn send_commit(&self, session: Session) -> Sent {
        match timeout(self.write_patience, session.control("COMMIT")).await {
            Ok(Ok(_)) => {
                session.give_back();
                Sent::Done
            }
            Ok(Err(error)) => match session.trouble(&error) {
                Trouble::Lost => Sent::Lost(cause(&error)),
                Trouble::InTheWay => Sent::InTheWay(cause(&error)),
                Trouble::Failed => Sent::Refused(cause(&error)),
            },
            Err(_) => Sent::Lost("the server did not answer in time".into()),
        }
    }

    fn committed<C: Command>(&self, out: C::Out, news: Vec<News>) -> Try<C> {
        tell(&*self.publish, news);
        Try::Done(Ok(out))
    }
}

/// Waits longer each time, and never as long as another one that began at the same moment.
pub(super) struct Pause {
    longest: Duration,
}

impl Default for Pause {
    fn default() -> Self {
        Self { longest: FIRST_PAUSE }
    }
}

impl Pause {
    pub(super) async fn wait(&mut self) {
        // Without chance it is only less even.
        let chance = SysRng.try_next_u32().unwrap_or(u32::MAX / 2);
        sleep(self.longest.mul_f64(f64::from(chance) / f64::from(u32::MAX))).await;
        self.longest = (self.longest * 2).min(LONGEST_PAUSE);
    }
}
