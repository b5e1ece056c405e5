//! One read on PostgreSQL: a snapshot, a bounded time, and again if the connection was lost.

use futures_util::future::join;
use tokio::time::timeout;

use super::Inner;
use super::session::cause;
use super::write::Pause;
use crate::failure::Failure;
use crate::task::Answer;
use crate::tx::{Access, Command, Trouble, Tx, went_on};

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

impl Inner {
    pub(super) async fn run_read<Q: Command>(&self, question: &Q) -> Answer<Q> {
        let answered = timeout(self.read_time_max, self.read_until_answered(question)).await;
        // The session was dropped with the future; the server ends the statement by itself.
        answered.unwrap_or_else(|_| Err(Failure::TimedOut { doing: "reading" }.into()))
    }

    async fn read_until_answered<Q: Command>(&self, question: &Q) -> Answer<Q> {
        let mut pause = Pause::default();
        loop {
            match self.read_once(question).await {
                (answer, None | Some(Trouble::Failed)) => return answer,
                (_, Some(Trouble::InTheWay | Trouble::Lost)) => pause.wait().await,
            }
        }
    }

    async fn read_once<Q: Command>(&self, question: &Q) -> (Answer<Q>, Option<Trouble>) {
        let session = match self.reading.get().await {
            Ok(session) => session,
            Err((failure, trouble)) => return (Err(failure.into()), Some(trouble)),
        };
        let mut tx = Tx::postgres(&session, Access::Read);
        // The first statement travels right behind: if the beginning fails, its answer is not used.
        let (begun, result) = join(session.control(BEGIN), question.run(&mut tx)).await;
        let (_, trouble) = tx.finish();
        if let Err(error) = begun {
            let source = cause(&error);
            let doing = "beginning to read";
            let failure = Failure::Storage { doing, source };
            return (Err(failure.into()), Some(Trouble::Lost));
        }
        session.roll_back_soon();
        let answer = match trouble {
            Some(_) => result.and_then(|_| Err(went_on().into())),
            None => result,
        };
        (answer, trouble)
    }
}
