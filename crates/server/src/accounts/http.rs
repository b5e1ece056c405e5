//! REST routes of accounts and their auth tokens; and, for whoever runs the server, of all accounts.

use serde::Serialize;
use tertulia_protocol::rest::{AccountBody, PromotedTokenBody, SecondaryTokenBody};
use tertulia_protocol::sid::{Account as AccountKind, Service};
use tertulia_protocol::{Sid, Timestamp};

use super::commands::{
    CreateAccount, CreateSecondary, DeleteSecondary, GetNamed, ListAccounts, PromoteSecondary, UpdateAccount,
    WithToken, auth_token_place, open,
};
use super::queries::Filter;
use super::{Account, Status};
use crate::platform::page::created_key;
use crate::platform::{AccountNumber, Call, Ids, Outcome, PageRequest, Reply, Route, ids};
use crate::routes;

/// The routes.
pub const ROUTES: &[Route] = routes![
    V2010 Post "/Accounts.json" CreateAccount => create;
    V2010 Get "/Accounts.json" ListAccount => list;
    V2010 Get "/Accounts/{Sid}.json" FetchAccount => fetch;
    V2010 Post "/Accounts/{Sid}.json" UpdateAccount => update;
    Manage Post "/AuthTokens/Promote" UpdateAuthTokenPromotion => promote;
    Manage Post "/AuthTokens/Secondary" CreateSecondaryAuthToken => create_secondary;
    Manage Delete "/AuthTokens/Secondary" DeleteSecondaryAuthToken => delete_secondary;
    Operator Post "/Accounts" CreateMainAccount => create_main;
    Operator Get "/Accounts" ListEveryAccount => list_every;
    Operator Get "/Accounts/{Sid}" FetchAnyAccount => fetch_any;
    Operator Post "/Accounts/{Sid}" UpdateAnyAccount => update_any;
];

async fn create(call: Call) -> Outcome<Reply> {
    let name = call.form.owned("FriendlyName").filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| default_name(call.app.db.clock.now(call.caller.account)));
    let (account, token) = new_account(&call, Some(call.caller.account), name).await?;
    Ok(Reply::created(&body(&account, token)))
}

/// A new account, and its auth token.
async fn new_account(call: &Call, parent: Option<AccountNumber>, name: String) -> Outcome<(Account, String)> {
    let auth_token = Ids::from_seed(ids::fresh_seed()).hex(16);
    let ring = call.app.sealer.ring();
    let token = auth_token.clone();
    let change = CreateAccount { sid: None, service: None, parent, friendly_name: name, auth_token, ring };
    Ok((call.perform(change).await?, token))
}

async fn list(call: Call) -> Outcome<Reply> {
    let (page, rows) = page_of(&call).await?;
    let page_of = page.cut(rows, |(account, _)| created_key(account.created, account.sid.as_str()));
    let opened: Outcome<Vec<_>> = page_of.rows.iter().map(|row| opened(&call, row)).collect();
    let mut opened = opened?.into_iter();
    let bodies = page_of.map(|(account, _)| body(&account, opened.next().unwrap_or_default()));
    let uri = "/2010-04-01/Accounts.json";
    Ok(page.reply_2010(&bodies, uri, &call.query, "accounts", &["FriendlyName", "Status"]))
}

async fn page_of(call: &Call) -> Outcome<(PageRequest, Vec<WithToken>)> {
    let page = PageRequest::read(&call.query, 1000)?;
    let status = call.query.text("Status").filter(|status| !status.is_empty());
    let filter = Filter {
        of: None,
        friendly_name: call.query.owned("FriendlyName").filter(|name| !name.is_empty()),
        status: status.map(Status::read).transpose()?,
    };
    let rows = call.ask(ListAccounts { filter, page: page.clone() }).await?;
    Ok((page, rows))
}

async fn fetch(call: Call) -> Outcome<Reply> {
    let found = call.ask(GetNamed(call.sid("Sid")?)).await?;
    Ok(Reply::ok(&body(&found.0, opened(&call, &found)?)))
}

async fn update(call: Call) -> Outcome<Reply> {
    let updated = call.perform(changes(&call)?).await?;
    Ok(Reply::ok(&body(&updated.0, opened(&call, &updated)?)))
}

fn changes(call: &Call) -> Outcome<UpdateAccount> {
    let status = call.form.text("Status").filter(|status| !status.is_empty());
    Ok(UpdateAccount {
        sid: call.sid("Sid")?,
        friendly_name: call.form.owned("FriendlyName"),
        status: status.map(Status::read).transpose()?,
    })
}

fn opened(call: &Call, (account, sealed): &WithToken) -> Outcome<String> {
    let token = open(&call.app.sealer.ring(), &auth_token_place(&account.sid), sealed)?;
    Ok(token.expose_str().unwrap_or_default().to_owned())
}

fn body(account: &Account, auth_token: String) -> AccountBody {
    let uri = |end: &str| format!("/2010-04-01/Accounts/{}{end}.json", account.sid);
    AccountBody {
        sid: account.sid,
        owner_account_sid: account.owner,
        friendly_name: account.friendly_name.clone(),
        auth_token,
        status: account.status.word(),
        kind: "Full",
        date_created: account.created.rfc2822_text(),
        date_updated: account.updated.rfc2822_text(),
        uri: uri(""),
        subresource_uris: [("keys", uri("/Keys")), ("signing_keys", uri("/SigningKeys"))].into(),
    }
}

/// `SubAccount Created at 2015-07-30 08:00 pm`, as the documentation has it.
fn default_name(now: Timestamp) -> String {
    let text = now.seconds_text();
    let (date, time) = text.split_once('T').unwrap_or((&text, "00:00"));
    let hour: u32 = time.get(..2).and_then(|hour| hour.parse().ok()).unwrap_or_default();
    let half = if hour < 12 { "am" } else { "pm" };
    let hour = (hour + 11) % 12 + 1;
    format!("SubAccount Created at {date} {hour:02}:{} {half}", time.get(3..5).unwrap_or("00"))
}

async fn promote(call: Call) -> Outcome<Reply> {
    let change = PromoteSecondary { ring: call.app.sealer.ring() };
    let (account, auth_token) = call.perform(change).await?;
    Ok(Reply::ok(&PromotedTokenBody {
        account_sid: account.sid,
        auth_token,
        date_created: account.created.seconds_text(),
        date_updated: account.updated.seconds_text(),
        url: format!("{}/v1/AuthTokens/Promote", call.origin),
    }))
}

async fn create_secondary(call: Call) -> Outcome<Reply> {
    let change = CreateSecondary { ring: call.app.sealer.ring() };
    let (account, secondary_auth_token) = call.perform(change).await?;
    Ok(Reply::created(&SecondaryTokenBody {
        account_sid: account.sid,
        secondary_auth_token,
        date_created: account.updated.seconds_text(),
        date_updated: account.updated.seconds_text(),
        url: format!("{}/v1/AuthTokens/Secondary", call.origin),
    }))
}

async fn delete_secondary(call: Call) -> Outcome<Reply> {
    call.perform(DeleteSecondary).await?;
    Ok(Reply::no_content())
}

/// An account as whoever runs the server sees it: its auth token is shown once.
#[derive(Serialize)]
struct Summary {
    sid: Sid<AccountKind>,
    owner_account_sid: Sid<AccountKind>,
    friendly_name: String,
    status: &'static str,
    default_chat_service_sid: Option<Sid<Service>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<String>,
    date_created: String,
    date_updated: String,
    url: String,
}

fn summary(call: &Call, account: &Account, auth_token: Option<String>) -> Summary {
    Summary {
        sid: account.sid,
        owner_account_sid: account.owner,
        friendly_name: account.friendly_name.clone(),
        status: account.status.word(),
        default_chat_service_sid: account.default_service,
        auth_token,
        date_created: account.created.seconds_text(),
        date_updated: account.updated.seconds_text(),
        url: format!("{}/tertulia/v1/Accounts/{}", call.origin, account.sid),
    }
}

async fn create_main(call: Call) -> Outcome<Reply> {
    let name = call.form.required("FriendlyName")?.to_owned();
    let (account, token) = new_account(&call, None, name).await?;
    Ok(Reply::created(&summary(&call, &account, Some(token))))
}

async fn list_every(call: Call) -> Outcome<Reply> {
    let (page, rows) = page_of(&call).await?;
    let page_of = page.cut(rows, |(account, _)| created_key(account.created, account.sid.as_str()));
    let bodies = page_of.map(|(account, _)| summary(&call, &account, None));
    let url = format!("{}/tertulia/v1/Accounts", call.origin);
    Ok(page.reply(&bodies, &url, &call.query, "accounts", &["FriendlyName", "Status"]))
}

async fn fetch_any(call: Call) -> Outcome<Reply> {
    let (account, _) = call.ask(GetNamed(call.sid("Sid")?)).await?;
    Ok(Reply::ok(&summary(&call, &account, None)))
}

async fn update_any(call: Call) -> Outcome<Reply> {
    let (account, _) = call.perform(changes(&call)?).await?;
    Ok(Reply::ok(&summary(&call, &account, None)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nameless_subaccount_is_named_by_its_birth() {
        for (at, expected) in [
            ("2015-07-30T20:05:09Z", "SubAccount Created at 2015-07-30 08:05 pm"),
            ("2015-07-30T00:00:00Z", "SubAccount Created at 2015-07-30 12:00 am"),
            ("2015-07-30T12:59:00Z", "SubAccount Created at 2015-07-30 12:59 pm"),
        ] {
            assert_eq!(default_name(Timestamp::parse(at).unwrap()), expected);
        }
    }
}
