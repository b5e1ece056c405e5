//! What is nobody's any more goes: owners with their chat service, API tokens with their account.

use tertulia_protocol::Sid;
use tertulia_protocol::sid::{Account, Service};
use tertulia_server::accounts::commands::FindAccount;
use tertulia_server::api_tokens::ApiToken;
use tertulia_server::login::Login;
use tertulia_server::login::policy::Grants;
use tertulia_server::platform::page::{OLDEST, Span};
use tertulia_server::platform::{Caller, Change, Cx, Outcome, Question};
use tertulia_server::tokens::{Order, Owner, queries};

use crate::support::{Actor, World, on_both_engines, sid};

on_both_engines! {
    owners_go_with_their_chat_service_and_no_others,
    nobody_becomes_an_owner_in_a_chat_service_that_goes,
    api_tokens_go_with_their_account_and_its_subaccounts,
}

/// The rows as they are, whatever routes show of a service that is gone.
struct Owners(Sid<Service>);

impl Question for Owners {
    type Out = Vec<String>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Vec<String>> {
        let span = Span::forwards("", 10_000);
        let owners = queries::list(cx.tx, cx.caller.account, self.0, span).await?;
        Ok(owners.into_iter().map(|owner| owner.identity).collect())
    }
}

fn owners(world: &World, service: &str) -> Vec<String> {
    world.play(world.app().db.ask(&world.system(), Owners(service.parse().expect("a SID")))).expect("an answer")
}

/// Makes owners of many identities, as many logins do.
#[derive(Clone)]
struct Claim(Sid<Service>, usize);

impl Change for Claim {
    type Out = ();

    async fn apply(&self, cx: &mut Cx<'_, '_>) -> Outcome<()> {
        for number in 0..self.1 {
            let (identity, subject) = (format!("user {number}"), number.to_string());
            let owner = Owner { service: self.0, identity, source: "site".to_owned(), subject, created: cx.now };
            queries::claim(cx.tx, cx.caller.account, &owner).await?;
        }
        Ok(())
    }
}

fn claim(world: &World, service: &str, count: usize) {
    let claim = Claim(service.parse().expect("a SID"), count);
    world.play(world.app().db.perform(&world.system(), claim)).expect("owners");
    assert_eq!(owners(world, service).len(), count);
}

fn owners_go_with_their_chat_service_and_no_others(world: &World) {
    let (gone, other) = (world.second_service(), world.second_service());
    // More than one step of a purge takes.
    claim(world, &gone, 1203);
    for kept in [&other, &world.service] {
        claim(world, kept, 2);
    }
    world.owner.delete(&format!("/v1/Services/{gone}")).is(204);
    world.owner.get(&format!("/tertulia/v1/Owners?ServiceSid={gone}")).refuses(404, 20404);
    world.eventually_purged();
    assert_eq!(owners(world, &gone), [""; 0]);
    for kept in [&other, &world.service] {
        assert_eq!(owners(world, kept), ["user 0", "user 1"]);
    }
}

/// Logins come while the service is deleted: none leaves an owner behind.
fn nobody_becomes_an_owner_in_a_chat_service_that_goes(world: &World) {
    for _ in 0..8 {
        let service = world.second_service();
        let system = world.system();
        let come = |number: usize| {
            let order = Order {
                service: Some(service.clone()),
                identity: format!("user {number}"),
                role: None,
                ttl_seconds: 60,
                grants: Grants::default(),
            };
            let login = Login { source: "site".to_owned(), subject: number.to_string(), facts: serde_json::json!({}) };
            world.play(world.app().mint(&system, &order, Some(&login))).is_ok()
        };
        std::thread::scope(|scope| {
            for thread in 0..4 {
                // Until the service is gone: then nobody gets a token any more.
                scope.spawn(move || (0..).find(|number| !come(thread * 100_000 + number)));
            }
            world.owner.delete(&format!("/v1/Services/{service}")).is(204);
        });
        world.eventually_purged();
        assert_eq!(owners(world, &service), [""; 0]);
    }
}

struct Tokens;

impl Question for Tokens {
    type Out = Vec<ApiToken>;

    async fn ask(&self, cx: &mut Cx<'_, '_>) -> Outcome<Vec<ApiToken>> {
        tertulia_server::api_tokens::queries::list(cx.tx, cx.caller.account, Span::forwards(OLDEST, 1000)).await
    }
}

/// How many rows an account has, open or closed.
fn tokens(world: &World, account: &str) -> usize {
    let app = world.app();
    world.play(async {
        let sid: Sid<Account> = account.parse().expect("a SID");
        let found = app.db.ask(&Caller::nobody(), FindAccount(sid)).await.expect("an answer").expect("an account");
        app.db.ask(&Caller::system(found.number, found.sid), Tokens).await.expect("an answer").len()
    })
}

fn api_tokens_go_with_their_account_and_its_subaccounts(world: &World) {
    let make = |actor: &Actor, account: &str, count: usize| {
        for number in 0..count {
            actor.post("/tertulia/v1/ApiTokens", &[("Subject", &number.to_string())]).is(201);
        }
        assert_eq!(tokens(world, account), count);
    };
    let accounts = "/tertulia/v1/Accounts";
    let parent = world.operator.post(accounts, &[("FriendlyName", "parent")]).is(201);
    let owner = world.with_credentials(&sid(&parent), parent["auth_token"].as_str().unwrap());
    let child = owner.post("/2010-04-01/Accounts.json", &[("FriendlyName", "child")]).is(201);
    let sub = world.with_credentials(&sid(&child), child["auth_token"].as_str().unwrap());
    make(&owner, &sid(&parent), 3);
    make(&sub, &sid(&child), 2);
    make(&world.owner, &world.account, 2);

    // Who is suspended may come back, with everything.
    let path = format!("{accounts}/{}", sid(&parent));
    for status in ["suspended", "active"] {
        world.operator.post(&path, &[("Status", status)]).is(200);
        assert_eq!((tokens(world, &sid(&parent)), tokens(world, &sid(&child))), (3, 2), "{status}");
    }
    // Of a subaccount, its own; of a parent, all that hangs on it.
    let other = owner.post("/2010-04-01/Accounts.json", &[("FriendlyName", "other")]).is(201);
    let third = world.with_credentials(&sid(&other), other["auth_token"].as_str().unwrap());
    make(&third, &sid(&other), 1);
    owner.post(&format!("/2010-04-01/Accounts/{}.json", sid(&other)), &[("Status", "closed")]).is(200);
    assert_eq!([&parent, &child, &other].map(|account| tokens(world, &sid(account))), [3, 2, 0]);
    world.operator.post(&path, &[("Status", "closed")]).is(200);
    assert_eq!([&parent, &child, &other].map(|account| tokens(world, &sid(account))), [0, 0, 0]);
    assert_eq!(tokens(world, &world.account), 2, "everybody else's stay");
    let again = world.operator.with("Tertulia-Account", &sid(&parent));
    again.post("/tertulia/v1/ApiTokens", &[("Subject", "x")]).refuses(401, 20005);
    assert_eq!(tokens(world, &sid(&parent)), 0);
}
