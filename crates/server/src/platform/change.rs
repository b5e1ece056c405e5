//! The one door for changes, and the one for questions.
//!
//! A [`Change`] is a plain value: a pre-action hook can read, alter or refuse it before it runs, and it
//! may run again after a lost connection or a deadlock. So clock, ids, caller and limits come to it in a
//! [`Cx`], built afresh for each try from values that were taken before the first.

use std::future::Future;
use std::sync::Arc;

use tertulia_protocol::Timestamp;
use tertulia_store::{Command, News, Tx};

use super::ids::Seed;
use super::{AccountNumber, Caller, Error, Ids, Limits, Outcome};
use crate::audit::{self, Draft};

/// What a change or a question runs in.
pub struct Cx<'a, 'c> {
    /// The transaction.
    pub tx: &'a mut Tx<'c>,
    /// The same moment in every try.
    pub now: Timestamp,
    /// The same SIDs in every try.
    pub ids: Ids,
    /// Who asks.
    pub caller: &'a Caller,
    /// What is allowed at most.
    pub limits: &'a Limits,
    /// What is to be noted in the audit log.
    audited: Vec<(AccountNumber, Draft)>,
}

impl Cx<'_, '_> {
    /// Has something noted in the audit log, in this transaction.
    pub fn audit(&mut self, draft: Draft) {
        self.audited.push((self.caller.account, draft));
    }

    /// The same, in the log of another account than the caller's.
    pub fn audit_in(&mut self, account: AccountNumber, draft: Draft) {
        self.audited.push((account, draft));
    }

    /// Writes what was to be noted, once the change is done.
    async fn write_audit(&mut self) -> Outcome<()> {
        for (account, draft) in std::mem::take(&mut self.audited) {
            let sid = self.ids.sid();
            audit::queries::insert(self.tx, account, sid, &draft, self.now).await?;
        }
        Ok(())
    }

    /// Tells of a domain event. The only place where an event turns into news for subscribers (and,
    /// later, into outbox rows). News leave after the commit, and only then.
    pub fn emit(&mut self, event: &impl DomainEvent) {
        for news in event.news(self.now) {
            self.tx.announce(news);
        }
    }
}

/// Something that happened to a noun, with what it was before and what it is after.
pub trait DomainEvent {
    /// What subscribers hear of it.
    fn news(&self, now: Timestamp) -> Vec<News>;
}

/// A change of the store, as a value.
pub trait Change: Clone + Send + Sync + 'static {
    /// What it gives.
    type Out: Send + 'static;
    /// Runs it; may be called again.
    fn apply(&self, cx: &mut Cx<'_, '_>) -> impl Future<Output = Outcome<Self::Out>> + Send;
}

/// A question to the store, as a value. Answered from one snapshot; announces nothing.
pub trait Question: Send + Sync + 'static {
    /// The answer.
    type Out: Send + 'static;
    /// Asks it.
    fn ask(&self, cx: &mut Cx<'_, '_>) -> impl Future<Output = Outcome<Self::Out>> + Send;
}

pub(super) struct Frame {
    pub(super) caller: Caller,
    pub(super) limits: Arc<Limits>,
    pub(super) now: Timestamp,
    pub(super) seed: Seed,
}

impl Frame {
    fn cx<'a, 'c>(&'a self, tx: &'a mut Tx<'c>) -> Cx<'a, 'c> {
        Cx {
            tx,
            now: self.now,
            ids: Ids::from_seed(self.seed),
            caller: &self.caller,
            limits: &self.limits,
            audited: Vec::new(),
        }
    }
}

pub(super) struct Performed<C> {
    pub(super) change: C,
    pub(super) frame: Frame,
}

impl<C: Change> Command for Performed<C> {
    type Out = C::Out;
    type Refusal = Error;

    async fn run(&self, tx: &mut Tx<'_>) -> Outcome<C::Out> {
        let mut cx = self.frame.cx(tx);
        let out = self.change.apply(&mut cx).await?;
        cx.write_audit().await?;
        Ok(out)
    }
}

pub(super) struct Asked<Q> {
    pub(super) question: Q,
    pub(super) frame: Frame,
}

impl<Q: Question> Command for Asked<Q> {
    type Out = Q::Out;
    type Refusal = Error;

    async fn run(&self, tx: &mut Tx<'_>) -> Outcome<Q::Out> {
        self.question.ask(&mut self.frame.cx(tx)).await
    }
}
