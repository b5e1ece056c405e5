//! Transactions of API tokens.

use serde_json::{Map, Value};
use tertulia_protocol::{Code, Timestamp};

use super::{ApiToken, PREFIX, Refusal, hash, queries};
use crate::accounts::{self, Status};
use crate::audit::{Draft, Event};
use crate::keys::may_manage;
use crate::login::policy::session;
use crate::platform::page::OLDEST;
use crate::platform::{Change, Cx, Error, Outcome, PageRequest, Question, text};
use crate::revocations::commands::EndLogin;

/// Makes a token. The token is in the answer, and nowhere else ever again.
#[derive(Clone, Debug)]
pub struct CreateApiToken {
    /// Who comes with it.
    pub subject: String,
    /// What the policy may know: a JSON object.
    pub facts: String,
    /// What it is for.
    pub friendly_name: String,
    /// When it ends.
    pub expires: Option<Timestamp>,
}

impl Change for CreateApiToken {
    type Out = (ApiToken, String);

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<Self::Out> {
        may_manage(&cx.caller.who)?;
        // The locks keep a token from being made while the account or its parent is closed, which takes them all. The
        // parent's comes first, as there.
        if let Some(parent) = accounts::queries::get(cx.tx, cx.caller.account).await?.parent {
            accounts::queries::get_locked(cx.tx, parent).await?;
        }
        if accounts::queries::get_locked(cx.tx, cx.caller.account).await?.effective_status() == Status::Closed {
            return Err(Error::plain(Code::AccountNotActive));
        }
        let texts = [("Subject", &self.subject), ("Facts", &self.facts), ("FriendlyName", &self.friendly_name)];
        for (name, value) in texts {
            text::storable(name, value)?;
        }
        if !(1..=256).contains(&self.subject.chars().count()) {
            return Err(Refusal::Subject.into());
        }
        if self.friendly_name.chars().count() > 64 {
            return Err(Refusal::Name.into());
        }
        let facts = serde_json::from_str::<Map<String, Value>>(&self.facts).map_err(|_| Refusal::Facts)?;
        if self.facts.len() > 4096 {
            return Err(Refusal::Facts.into());
        }
        if facts.contains_key("sid") {
            return Err(Refusal::Session.into());
        }
        if self.expires.is_some_and(|expires| expires <= cx.now) {
            return Err(Refusal::Expired.into());
        }
        let id = cx.ids.hex(8);
        let token = format!("{PREFIX}{id}_{}", cx.ids.secret());
        let row = ApiToken {
            account: cx.caller.account,
            id,
            hash: hash(&token),
            subject: self.subject.clone(),
            facts: self.facts.clone(),
            friendly_name: self.friendly_name.clone(),
            expires: self.expires,
            created: cx.now,
        };
        queries::insert(cx.tx, &row).await?;
        cx.audit(Draft::on(cx.caller, Event::ApiTokenCreated, &row.id));
        Ok((row, token))
    }
}

/// The token with an id, for whoever brings it.
#[derive(Clone, Debug)]
pub struct FindApiToken(pub String);

impl Question for FindApiToken {
    type Out = Option<ApiToken>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Option<ApiToken>> {
        queries::find(cx.tx, cx.caller.account, &self.0).await
    }
}

/// Lists the account's tokens.
#[derive(Clone, Debug)]
pub struct ListApiTokens(pub PageRequest);

impl Question for ListApiTokens {
    type Out = Vec<ApiToken>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Vec<ApiToken>> {
        may_manage(&cx.caller.who)?;
        queries::list(cx.tx, cx.caller.account, self.0.created_span(OLDEST)?).await
    }
}

/// Deletes a token: nobody logs in with it any more, and the Access Tokens that came by it end, with their connections.
#[derive(Clone, Debug)]
pub struct DeleteApiToken {
    /// Its id.
    pub id: String,
    /// The names of the sources in whose sessions it may have logged in.
    pub sources: Vec<String>,
}

impl Change for DeleteApiToken {
    type Out = ();

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        may_manage(&cx.caller.who)?;
        let was = queries::delete(cx.tx, cx.caller.account, &self.id).await?;
        if !was {
            return Err(Refusal::NotFound.into());
        }
        for session in self.sources.iter().filter_map(|source| session(source, &self.id)) {
            EndLogin::Session(session).apply(cx).await?;
        }
        cx.audit(Draft::on(cx.caller, Event::ApiTokenDeleted, &self.id));
        Ok(())
    }
}
