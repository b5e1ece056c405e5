//! At the start: whether what `[login]` names is there. A login that would be refused for a wrong name in the
//! configuration is better said before anybody comes.

use super::policy::{Grants, Rule};
use super::template::Template;
use crate::accounts::commands::{Credentials, IsEmpty};
use crate::keys::Kind;
use crate::platform::config::Wrong;
use crate::platform::{Caller, Error, Outcome};
use crate::tokens::Order;
use crate::tokens::commands::Prepare;
use crate::{App, OpenError};

impl App {
    /// Looks for the account, the key, the chat services and the roles that `[login]` names. While there is no
    /// account yet, nothing can be there: what is imported comes after the first start.
    pub(crate) async fn check_login(&self) -> Result<(), OpenError> {
        if self.login.is_empty() || self.db.ask(&Caller::nobody(), IsEmpty).await? {
            return Ok(());
        }
        match self.find_wrong().await? {
            Some(wrong) => Err(self.config.told(&wrong).into()),
            None => Ok(()),
        }
    }

    async fn find_wrong(&self) -> Outcome<Option<Wrong>> {
        let account = match self.login_account().await {
            Ok(account) => account,
            Err(Error::Broken(_)) if !self.config.login.account.is_empty() => {
                let text = format!("is {}, and there is no such account", self.config.login.account);
                return Ok(Some(Wrong::at("login.account", text)));
            }
            // An account that is suspended may come back while the server runs.
            Err(cause) => {
                tracing::warn!(target: "tokens", %cause, "there is no account that logins can come into just now");
                return Ok(None);
            }
        };
        let caller = Caller::system(account.number, account.sid);
        if let Some(text) = self.wrong_key(&caller).await? {
            return Ok(Some(Wrong::at("login.key", text)));
        }
        for (place, rule) in self.config.login.rules.iter().enumerate() {
            if let Some((key, text)) = self.wrong_in(&caller, rule).await? {
                let text = format!("{text}; {}", self.who_is_refused(rule));
                return Ok(Some(Wrong::at(format!("login.rules[{place}].{key}"), text).of("rule", &rule.name)));
            }
        }
        Ok(None)
    }

    /// Whether a key is suspended is nothing to stop for: it may be active again while the server runs.
    async fn wrong_key(&self, caller: &Caller) -> Outcome<Option<String>> {
        let Some(sid) = self.login_key() else { return Ok(None) };
        let stored = self.find_credentials(Credentials::Key(sid)).await?;
        let stored = stored.filter(|stored| stored.account.number == caller.account);
        let kind = stored.and_then(|stored| stored.key).map(|key| key.kind);
        Ok(match kind {
            None => Some(format!("is {sid}, and the account {} has no such API key", caller.account_sid)),
            Some(Kind::Restricted) => Some(format!("is {sid}, a Restricted key, which signs no tokens")),
            Some(Kind::Main | Kind::Standard) => None,
        })
    }

    async fn wrong_in(&self, caller: &Caller, rule: &Rule) -> Outcome<Option<(&'static str, String)>> {
        let fixed = |template: &Option<Template>| {
            template.as_ref().filter(|template| template.is_literal()).map(|template| template.text().to_owned())
        };
        let service = fixed(&rule.service);
        if rule.service.is_some() && service.is_none() {
            // Whose role it is shows only when somebody comes.
            return Ok(None);
        }
        if let Some(text) = &service
            && is_missing(&self.look_up(caller, service.clone(), None).await)?
        {
            return Ok(Some((
                "service",
                format!("is {text}, and the account {} has no such chat service", caller.account_sid),
            )));
        }
        if let Some(role) = fixed(&rule.role)
            && is_missing(&self.look_up(caller, service.clone(), Some(role.clone())).await)?
        {
            let service = service.map_or_else(
                || "the account's default chat service".to_owned(),
                |sid| format!("the chat service {sid}"),
            );
            return Ok(Some((
                "role",
                format!("is \"{role}\", and {service} has no service role with this SID or name"),
            )));
        }
        Ok(None)
    }

    /// Looks for a chat service and a service role of it, as minting does.
    async fn look_up(&self, caller: &Caller, service: Option<String>, role: Option<String>) -> Outcome<()> {
        let order = Order { service, identity: String::new(), role, ttl_seconds: 1, grants: Grants::default() };
        self.db.ask(caller, Prepare(order)).await.map(drop)
    }

    fn who_is_refused(&self, rule: &Rule) -> String {
        let sources = self.config.login.sources.iter().filter(|source| rule.can_be_about(source.name()));
        let names: Vec<_> = sources.map(|source| format!("\"{}\"", source.name())).collect();
        format!("logins of {} would be refused", names.join(", "))
    }
}

/// Whether something is not there; a failure is passed on.
fn is_missing(outcome: &Outcome<()>) -> Outcome<bool> {
    match outcome {
        Ok(()) => Ok(false),
        Err(Error::Refused(_)) => Ok(true),
        Err(failure) => Err(Error::Broken(failure.to_string())),
    }
}
