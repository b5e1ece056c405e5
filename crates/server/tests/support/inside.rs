//! What no answer shows: looks into the store, and the states in between.

use tertulia_protocol::Sid;
use tertulia_protocol::sid::Conversation as ConversationKind;
use tertulia_server::accounts::commands::FindAccount;
use tertulia_server::conversations::Conversation;
use tertulia_server::conversations::queries::{Lock, find_even_removed, mark_removed};
use tertulia_server::participants::queries::roster;
use tertulia_server::platform::{Caller, Change, Cx, Outcome, Question};

use super::{RUNTIME, World};

struct Look(Sid<ConversationKind>);

impl Question for Look {
    type Out = (Conversation, i64);

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Self::Out> {
        let account = cx.caller.account;
        let found = find_even_removed(cx.tx, account, self.0, Lock::None).await?;
        Ok((found.expect("a conversation"), roster(cx.tx, account, self.0).await?.participants_count))
    }
}

#[derive(Clone)]
struct Mark(Conversation);

impl Change for Mark {
    type Out = Conversation;

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Conversation> {
        mark_removed(cx.tx, &self.0, cx.now).await
    }
}

/// A conversation's position and number of participants, and whether it was deleted.
pub(crate) type State = (i64, i64, bool);

/// The SID at the end of a path.
fn named(path: &str) -> Sid<ConversationKind> {
    Sid::parse(path.rsplit('/').next().expect("a last part")).expect("a SID")
}

impl World {
    /// The server itself, acting for the owner.
    pub(crate) fn system(&self) -> Caller {
        RUNTIME.block_on(self.system_soon())
    }

    /// The same, within a story.
    pub(crate) async fn system_soon(&self) -> Caller {
        let app = self.app();
        let account = FindAccount(Sid::parse(&self.account).expect("a SID"));
        let account = app.db.ask(&Caller::nobody(), account).await.expect("an answer").expect("an account");
        Caller::system(account.number, account.sid)
    }

    /// What a request that is refused must leave as it is.
    pub(crate) async fn state(&self, conversation: Sid<ConversationKind>) -> State {
        let app = self.app();
        let system = self.system_soon().await;
        let (conversation, participants) = app.db.ask(&system, Look(conversation)).await.expect("an answer");
        (conversation.position, participants, conversation.removed.is_some())
    }

    fn look(&self, path: &str) -> (Conversation, i64) {
        RUNTIME.block_on(self.app().db.ask(&self.system(), Look(named(path)))).expect("an answer")
    }

    /// The position of a conversation's stream: how often somebody was told something.
    pub(crate) fn position(&self, path: &str) -> i64 {
        self.look(path).0.position
    }

    /// The conversation's row.
    pub(crate) fn row(&self, path: &str) -> Conversation {
        self.look(path).0
    }

    /// The counter beside the roster.
    pub(crate) fn participants_count(&self, path: &str) -> i64 {
        self.look(path).1
    }

    /// Deletes a conversation as far as it is between two steps of its purge: marked, and full.
    pub(crate) fn mark_removed(&self, path: &str) {
        RUNTIME.block_on(self.app().db.perform(&self.system(), Mark(self.row(path)))).expect("a change");
    }
}
