//! One command on its way through an engine: the value, its result, and who waits for it.
//!
//! The generic part is kept small here; everything that decides over commits sees only `Job`.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tokio::sync::oneshot;

use crate::failure::Failure;
use crate::news::News;
use crate::sqlite::Lite;
use crate::tx::{Access, Command, Tx, went_on};

/// What a caller waits for.
pub(crate) type Answer<C> = Result<<C as Command>::Out, <C as Command>::Refusal>;

/// What a caller hears when the engine vanished under it.
pub(crate) fn gone<R: From<Failure>>() -> R {
    Failure::Closed.into()
}

/// A command that may run several times and is answered once.
pub(crate) trait Job: Send {
    /// Runs it once, and keeps the result: its news if its writes may stay, `None` if they must be
    /// undone.
    fn run(&mut self, lite: &mut Lite, access: Access) -> Option<Vec<News>>;
    /// Replaces the result.
    fn fail(&mut self, failure: Failure);
    /// Whether the last run, or `fail`, left a refusal.
    fn refused(&self) -> bool;
    /// Tells the caller the result, if the caller is still there.
    fn answer(self: Box<Self>);
}

struct Task<C: Command> {
    command: C,
    result: Option<Answer<C>>,
    reply: oneshot::Sender<Answer<C>>,
}

/// The command as a job, and where its answer will come.
pub(crate) fn job<C: Command>(command: C) -> (Box<dyn Job>, oneshot::Receiver<Answer<C>>) {
    let (reply, answer) = oneshot::channel();
    let task = Task { command, result: None, reply };
    (Box::new(task), answer)
}

impl<C: Command> Job for Task<C> {
    fn run(&mut self, lite: &mut Lite, access: Access) -> Option<Vec<News>> {
        let mut tx = Tx::sqlite(lite, access);
        let polled = catch_unwind(AssertUnwindSafe(|| poll_once(self.command.run(&mut tx))));
        let (news, trouble) = tx.finish();
        let result = match polled {
            Ok(Poll::Ready(Ok(_))) if trouble.is_some() => Err(went_on().into()),
            Ok(Poll::Ready(result)) => result,
            Ok(Poll::Pending) => Err(awaited().into()),
            Err(panic) => Err(panicked(panic.as_ref()).into()),
        };
        let keep = result.is_ok();
        self.result = Some(result);
        keep.then_some(news)
    }

    fn fail(&mut self, failure: Failure) {
        self.result = Some(Err(failure.into()));
    }

    fn refused(&self) -> bool {
        matches!(self.result, Some(Err(_)))
    }

    fn answer(self: Box<Self>) {
        let result = self.result.unwrap_or_else(|| Err(Failure::Closed.into()));
        // Nobody waits any more; the command stands all the same.
        let _ = self.reply.send(result);
    }
}

fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn awaited() -> Failure {
    Failure::Bug("a command awaited something that is not its transaction".into())
}

/// A panic inside a command, told as a failure.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let words = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Failure::Bug(format!("a command panicked: {}", words.unwrap_or("without a message")))
}
