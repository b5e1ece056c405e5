//! Every route, whoever knocks. A route that is missing here fails the test: say below what stands for
//! its parameters, and which form a valid call of it sends.

use tertulia_server::platform::{Method, Surface};
use tertulia_server::router::{Mounted, mounted};

use super::login::{PROXY, given};
use crate::support::{Actor, Answer, World, on_sqlite, sid};

on_sqlite! {
    every_route_asks_for_credentials,
    every_route_answers_404_to_another_account,
    every_route_answers_404_in_another_service,
    every_route_works_for_its_owner,
    every_route_of_the_operator_is_nowhere_for_accounts,
    a_restricted_key_comes_in_where_its_policy_says_and_nowhere_else,
    a_standard_key_comes_in_everywhere_but_at_accounts_and_keys,
}

/// One of each thing, in one chat service.
struct Things {
    account: String,
    service: String,
    conversation: String,
    participant: String,
    message: String,
    user: String,
    role: String,
    key: String,
    fault: String,
    revocation: String,
    audit: String,
    api_token: String,
    /// Nobody owns it, where no login has come yet.
    identity: String,
}

impl Things {
    fn of(world: &World) -> Self {
        let owner = &world.owner;
        let conversation = sid(&world.conversation(&[]));
        let room = format!("/v1/Conversations/{conversation}");
        let role = [("FriendlyName", "x"), ("Type", "service"), ("Permission", "createConversation")];
        let keys = format!("/2010-04-01/Accounts/{}/Keys.json", world.account);
        Self {
            account: world.account.clone(),
            service: world.service.clone(),
            participant: sid(&owner.post(&format!("{room}/Participants"), &[("Identity", "ana")]).is(201)),
            message: sid(&owner.post(&format!("{room}/Messages"), &[("Body", "x")]).is(201)),
            user: sid(&owner.get("/v1/Users/ana").is(200)),
            role: sid(&owner.post("/v1/Roles", &role).is(201)),
            key: sid(&owner.post(&keys, &[]).is(201)),
            fault: owner.post("/tertulia/v1/Faults", &[("Kind", "stop"), ("Skip", "1000")]).is(201)["id"].to_string(),
            audit: sid(&owner.get("/tertulia/v1/Audit").is(200)["audit"][0]),
            revocation: sid(&owner.post("/tertulia/v1/Revocations", &[("Jti", "y")]).is(201)),
            api_token: owner.post("/tertulia/v1/ApiTokens", &[("Subject", "x")]).is(201)["id"]
                .as_str()
                .unwrap()
                .to_owned(),
            identity: "ana".to_owned(),
            conversation,
        }
    }

    /// The same with names of things that are nowhere.
    fn nowhere(&self) -> Self {
        let nowhere = |thing: &String| match thing.len() {
            34 => format!("{}{}", &thing[..2], "0123456789abcdef".repeat(2)),
            _ if thing.bytes().all(|byte| byte.is_ascii_digit()) => "987654".to_owned(),
            _ => format!("nobody-{}", thing.len()),
        };
        Self {
            account: nowhere(&self.account),
            service: nowhere(&self.service),
            conversation: nowhere(&self.conversation),
            participant: nowhere(&self.participant),
            message: nowhere(&self.message),
            user: nowhere(&self.user),
            role: nowhere(&self.role),
            key: nowhere(&self.key),
            fault: nowhere(&self.fault),
            revocation: nowhere(&self.revocation),
            audit: nowhere(&self.audit),
            api_token: nowhere(&self.api_token),
            identity: nowhere(&self.identity),
        }
    }

    /// The status and the text of an answer, without the names of these things.
    fn blurred(&self, answer: &Answer) -> (u16, String) {
        let names = [
            (&self.account, "{account}"),
            (&self.service, "{service}"),
            (&self.conversation, "{conversation}"),
            (&self.participant, "{participant}"),
            (&self.message, "{message}"),
            (&self.user, "{user}"),
            (&self.role, "{role}"),
            (&self.key, "{key}"),
            (&self.revocation, "{revocation}"),
            (&self.audit, "{audit}"),
            (&self.api_token, "{api token}"),
        ];
        let text = names.iter().fold(answer.text.clone(), |text, (name, blurred)| text.replace(*name, blurred));
        // Too short to be replaced wherever they stand: an answer echoes them in its path, at the end.
        let short = [(&self.fault, "/{fault}"), (&self.identity, "/{identity}")];
        let short = short.iter().fold(text, |text, (name, blurred)| text.replace(&format!("/{name}"), blurred));
        (answer.status, short)
    }

    /// The route's path with these things in it, and with this chat service in the service form.
    fn path(&self, mounted: &Mounted, service: &str) -> String {
        let pattern = mounted.pattern();
        let mut path = pattern
            .replace("{ChatServiceSid}", service)
            .replace("{AccountSid}", &self.account)
            .replace("{ConversationSid}", &self.conversation)
            .replace("{UserSid}", &self.user)
            .replace("{Id}", &self.fault)
            .replace("{ApiTokenId}", &self.api_token)
            .replace("{Identity}", &self.identity);
        if let Some(at) = path.find("{Sid}") {
            let collection = path[..at].trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            let thing = match collection {
                "Conversations" => &self.conversation,
                "Participants" => &self.participant,
                "Messages" => &self.message,
                "Users" => &self.user,
                "Roles" => &self.role,
                "Services" => &self.service,
                "Keys" | "SigningKeys" => &self.key,
                "Revocations" => &self.revocation,
                "Audit" => &self.audit,
                "Accounts" => &self.account,
                other => panic!("{pattern}: say in Things which thing of {other} stands for {{Sid}}"),
            };
            path = path.replace("{Sid}", thing);
        }
        assert!(!path.contains('{'), "{pattern}: say in Things what stands for its parameters");
        match (mounted.route.operation, path) {
            ("ListParticipantConversation", path) => path + "?Identity=ana",
            ("ListGetKeys", path) => format!("{path}?AccountSid={}", self.account),
            (_, path) => path,
        }
    }
}

/// A form with which a write would be done, were it the caller's own.
fn form(mounted: &Mounted) -> &'static [(&'static str, &'static str)] {
    match mounted.route.operation {
        "CreateConversationMessage" => &[("Body", "x")],
        "CreateConversationParticipant" | "CreateUser" | "CreateToken" => &[("Identity", "bruno")],
        "CreateRole" => &[("FriendlyName", "x"), ("Type", "service"), ("Permission", "createConversation")],
        "UpdateRole" => &[("Permission", "createConversation")],
        "CreateImport" => &[("World", "{}")],
        "CreateFault" => &[("Kind", "drop-event"), ("Skip", "1000")],
        "UpdateClock" => &[("Freeze", "false")],
        "IntrospectToken" | "ExplainToken" => &[("Token", "x")],
        "CreateRevocation" => &[("Jti", "x")],
        "CreateApiToken" => &[("Subject", "x")],
        "CreateService" | "CreateMainAccount" => &[("FriendlyName", "x")],
        // The account of every world.
        "CreateNewKey" => &[("AccountSid", "AC00000000000000000000000000000de0")],
        _ => &[],
    }
}

fn rest_routes() -> impl Iterator<Item = Mounted> {
    mounted().filter(|mounted| mounted.route.surface != Surface::Sdk)
}

fn call(actor: &Actor, mounted: &Mounted, path: &str) -> Answer {
    match mounted.route.method {
        Method::Get => actor.get(path),
        Method::Post => actor.post(path, form(mounted)),
        Method::Delete => actor.delete(path),
    }
}

fn every_route_asks_for_credentials(world: &World) {
    let things = Things::of(world);
    for mounted in rest_routes() {
        let path = things.path(&mounted, &things.service);
        for actor in [&world.stranger, &world.with_credentials(&world.account, "wrong")] {
            let answer = call(actor, &mounted, &path);
            assert!(answer.header("www-authenticate").is_some(), "{}", answer.asked);
            answer.refuses(401, 20003);
        }
    }
}

fn every_route_answers_404_to_another_account(world: &World) {
    let things = Things::of(world);
    // The newer form of keys names the account beside the path.
    let names = |mounted: &Mounted| mounted.pattern().contains('{') || mounted.pattern() == "/v1/Keys";
    for mounted in rest_routes().filter(names) {
        call(&world.tenant, &mounted, &things.path(&mounted, &things.service)).refuses(404, 20404);
    }
    // And nothing of it was done.
    let room = format!("/v1/Conversations/{}", things.conversation);
    assert_eq!(world.owner.get(&format!("{room}/Messages")).is(200)["messages"].as_array().unwrap().len(), 1);
    assert_eq!(world.owner.get(&format!("{room}/Participants")).is(200)["participants"].as_array().unwrap().len(), 1);
}

fn every_route_answers_404_in_another_service(world: &World) {
    let things = Things::of(world);
    let second = world.second_service();
    let inside = |mounted: &Mounted| mounted.service_form && mounted.route.path.contains('{');
    for mounted in rest_routes().filter(inside) {
        call(&world.owner, &mounted, &things.path(&mounted, &second)).refuses(404, 20404);
    }
    for mounted in rest_routes().filter(|mounted| mounted.service_form) {
        let nowhere = format!("IS{}", "0".repeat(32));
        call(&world.owner, &mounted, &things.path(&mounted, &nowhere)).refuses(404, 20404);
        call(&world.owner, &mounted, &things.path(&mounted, "IS1")).refuses(404, 20404);
    }
}

/// The cases above are real ones: with the owner's credentials each of these calls is answered.
fn every_route_works_for_its_owner(world: &World) {
    let things = Things::of(world);
    for mounted in rest_routes().filter(|mounted| mounted.route.method != Method::Delete) {
        let is_operators = mounted.route.surface == Surface::Operator;
        let actor = if is_operators { &world.operator } else { &world.owner };
        if mounted.route.operation == "UpdateAuthTokenPromotion" {
            // It would take the credentials away that the others are called with; rest/accounts.rs has it.
            continue;
        }
        let answer = call(actor, &mounted, &things.path(&mounted, &things.service));
        // What the short form has created exists already in the service form.
        assert!(matches!(answer.status, 200 | 201 | 409), "{}: {} {}", answer.asked, answer.status, answer.text);
    }
}

/// Whoever is logged in as ana owns that identity.
fn where_ana_is_owned() -> World {
    let world = World::sqlite_with(given(PROXY));
    world.stranger.with("X-User", "ana").post("/token", &[]).is(200);
    world
}

#[test]
fn every_delete_of_the_owner_deletes_something() {
    let world = where_ana_is_owned();
    let default = Things::of(&world);
    let path = |things: &Things, mounted: &Mounted| things.path(mounted, &things.service);
    let deletes = || rest_routes().filter(|mounted| mounted.route.method == Method::Delete);
    assert!(deletes().count() > 10);
    for mounted in deletes() {
        // Things of its own: what is deleted takes other things along.
        let mut things = Things::of(&world);
        if mounted.route.operation == "DeleteService" {
            call(&world.owner, &mounted, &path(&default, &mounted)).refuses(409, 20409);
            things.service = world.second_service();
        }
        if mounted.route.operation == "DeleteSecondaryAuthToken" {
            world.owner.post("/v1/AuthTokens/Secondary", &[]).is(201);
        }
        let answer = call(&world.owner, &mounted, &path(&things, &mounted));
        assert_eq!(answer.status, 204, "{}: {}", answer.asked, answer.text);
        // All faults are none, too.
        if !mounted.pattern().ends_with("/Faults") {
            call(&world.owner, &mounted, &path(&things, &mounted)).refuses(404, 20404);
        }
    }
}

/// Calls a route for things that are not the caller's, and for nothing: nobody can tell them apart.
fn assert_like_nothing(actor: &Actor, mounted: &Mounted, things: &Things, service: [&str; 2]) {
    let nowhere = things.nowhere();
    let ask = |things: &Things, service: &str| {
        let form: Vec<_> = form(mounted)
            .iter()
            .map(|(name, value)| (*name, if *name == "AccountSid" { things.account.as_str() } else { value }))
            .collect();
        let path = things.path(mounted, service);
        match mounted.route.method {
            Method::Post => actor.post(&path, &form),
            Method::Get | Method::Delete => call(actor, mounted, &path),
        }
    };
    let (answer, wanted) = (ask(things, service[0]), ask(&nowhere, service[1]));
    assert_eq!(things.blurred(&answer), nowhere.blurred(&wanted), "{}", answer.asked);
    assert_eq!(answer.status, 404, "{}: {}", answer.asked, answer.text);
}

#[test]
fn what_is_foreign_is_told_from_what_does_not_exist_by_no_route() {
    let world = where_ana_is_owned();
    let things = Things::of(&world);
    let nowhere = things.nowhere();
    let second = world.second_service();
    let tenants = sid(&world.tenant.post("/v1/Services", &[("FriendlyName", "x")]).is(201));
    let names = |mounted: &Mounted| mounted.pattern().contains('{') || mounted.pattern() == "/v1/Keys";
    for mounted in rest_routes().filter(names) {
        assert_like_nothing(&world.tenant, &mounted, &things, [&things.service, &nowhere.service]);
        if mounted.service_form && mounted.route.path.contains('{') {
            // In one's own chat service, things of another account and of another chat service.
            assert_like_nothing(&world.tenant, &mounted, &things, [&tenants, &tenants]);
            assert_like_nothing(&world.owner, &mounted, &things, [&second, &second]);
        }
    }
}

fn every_route_of_the_operator_is_nowhere_for_accounts(world: &World) {
    let things = Things::of(world);
    let operators = || rest_routes().filter(|mounted| mounted.route.surface == Surface::Operator);
    assert!(operators().count() > 0);
    for mounted in operators() {
        let path = things.path(&mounted, &things.service);
        for actor in [&world.owner, &world.key, &world.tenant] {
            call(actor, &mounted, &path).refuses(404, 20404);
        }
        let wrong = world.with_credentials("operator", "wrong");
        call(&wrong, &mounted, &path).refuses(401, 20003);
    }
}

fn a_restricted_key_comes_in_where_its_policy_says_and_nowhere_else(world: &World) {
    let things = Things::of(world);
    let key = |allow: &[String]| {
        let policy = serde_json::json!({"allow": allow}).to_string();
        let form = [("AccountSid", world.account.as_str()), ("KeyType", "restricted"), ("Policy", &policy)];
        let made = world.owner.post("/v1/Keys", &form).is(201);
        world.with_credentials(&sid(&made), made["secret"].as_str().unwrap())
    };
    let everything: Vec<String> = rest_routes().filter_map(|mounted| mounted.route.permission()).collect();
    let nothing = key(&["/twilio/messaging/messages/read".to_owned()]);
    for mounted in rest_routes() {
        let path = things.path(&mounted, &things.service);
        let Some(permission) = mounted.route.permission() else {
            // Whatever its policy says, it manages neither accounts nor keys, nor the server.
            let all = key(&everything[..everything.len().min(100)]);
            let answer = call(&all, &mounted, &path);
            let code = if mounted.route.surface == Surface::Operator { 404 } else { 401 };
            assert_eq!(answer.status, code, "{}: {}", answer.asked, answer.text);
            continue;
        };
        let message = call(&nothing, &mounted, &path).refuses(401, 20003);
        assert!(message.contains(&permission), "{message}");
    }
    let others = |wanted: &str| everything.iter().filter(|one| *one != wanted).take(100).cloned().collect::<Vec<_>>();
    let mut tried = std::collections::BTreeSet::new();
    for mounted in rest_routes() {
        let Some(permission) = mounted.route.permission() else { continue };
        // Things of its own: what is deleted takes other things along.
        let things = Things::of(world);
        let path = things.path(&mounted, &things.service);
        let answer = call(&key(std::slice::from_ref(&permission)), &mounted, &path);
        // The default chat service is not deleted, and what the short form has created exists in the service form.
        let is_done = matches!(answer.status, 200 | 201 | 204 | 409);
        assert!(is_done, "{permission}: {}: {} {}", answer.asked, answer.status, answer.text);
        if tried.insert(permission.clone()) {
            call(&key(&others(&permission)), &mounted, &path).refuses(401, 20003);
        }
    }
}

fn a_standard_key_comes_in_everywhere_but_at_accounts_and_keys(world: &World) {
    let things = Things::of(world);
    for mounted in rest_routes().filter(|mounted| mounted.route.method == Method::Get) {
        let answer = call(&world.key, &mounted, &things.path(&mounted, &things.service));
        let expected = match mounted.route.surface {
            Surface::V2010 | Surface::Manage | Surface::OwnManage => 401,
            Surface::Operator => 404,
            Surface::V1 | Surface::Service | Surface::Own | Surface::Sdk => 200,
        };
        assert_eq!(answer.status, expected, "{}: {}", answer.asked, answer.text);
    }
}
