//! Keeping a subscription takes the right that opening it took: who loses it hears nothing more, at once.

use futures_util::FutureExt;
use serde_json::json;
use tertulia_client::sid::Conversation as ConversationKind;
use tertulia_client::{Client, Conversation, Disconnected, Error, ObjectType, Options, Sid, Subscription};
use tertulia_server::roles::commands::{Named, UpdateRole};

use super::{room, soon};
use crate::support::{World, on_both_engines, on_sqlite, sid};

on_both_engines! {
    whose_role_is_edited_hears_nothing_more_and_others_do,
    who_is_given_another_role_hears_nothing_more,
    a_right_that_is_lost_while_subscribing_is_lost,
    who_is_deleted_is_disconnected_and_comes_back_as_another,
}
on_sqlite! {
    a_token_with_another_role_ends_what_the_former_opened,
    a_deleted_role_in_a_token_allows_nothing,
    a_creator_who_was_removed_hears_nothing_more,
    who_joins_what_was_looked_at_keeps_hearing_without_the_role,
    the_users_of_a_deleted_service_are_disconnected,
}

/// Somebody who looks at a conversation without taking part in it, and takes part in another one.
struct Onlooker {
    client: Client,
    document: Subscription,
    other: Conversation,
    looked_at: Sid<ConversationKind>,
    taken_part_in: Sid<ConversationKind>,
}

fn name_of(conversation: Sid<ConversationKind>) -> String {
    format!("{conversation}.channel")
}

impl Onlooker {
    /// `client` looks at a conversation of `host`'s.
    async fn new(host: &Client, client: Client) -> Self {
        let looked_at = room(host, &[]).await;
        let taken_part_in = room(host, &[client.identity()]).await;
        let document = client.subscribe(&[(&name_of(looked_at), ObjectType::Document)]).await.unwrap();
        let other = client.conversation(taken_part_in).await.unwrap();
        Self { client, document, other, looked_at, taken_part_in }
    }

    /// Whether a change of the conversation reaches its document. What happens in the other one afterwards comes
    /// behind it, and says when to stop waiting.
    async fn hears(&mut self, world: &World) -> bool {
        world.owner.post(&format!("/v1/Conversations/{}", self.looked_at), &[("FriendlyName", "x")]).is(200);
        world.owner.post(&format!("/v1/Conversations/{}/Messages", self.taken_part_in), &[("Body", "x")]).is(201);
        soon(self.other.next_message()).await.unwrap();
        // A subscription that was refused says that the object is gone.
        self.document.next().now_or_never().is_some_and(|change| change.is_ok())
    }

    async fn may_look(&self) -> bool {
        let path = format!("/v3/Documents/{}", name_of(self.looked_at));
        self.client.request("GET", &path, None).await.unwrap().0 == 200
    }
}

fn role(world: &World, permission: &str) -> String {
    let form = [("FriendlyName", "x"), ("Type", "service"), ("Permission", permission)];
    sid(&world.owner.post("/v1/Roles", &form).is(201))
}

fn give(world: &World, identity: &str, role: &str) {
    world.owner.post(&format!("/v1/Users/{identity}"), &[("RoleSid", role)]).is(200);
}

fn whose_role_is_edited_hears_nothing_more_and_others_do(world: &World) {
    world.play(async {
        let (alice, bob, carol) = (world.client("alice").await, world.client("bob").await, world.client("carol").await);
        let looker = role(world, "joinConversation");
        give(world, "bob", &looker);
        let (mut bob, mut carol) = (Onlooker::new(&alice, bob).await, Onlooker::new(&alice, carol).await);
        assert!(bob.hears(world).await && carol.hears(world).await);
        let path = format!("/v1/Roles/{looker}");
        world.owner.post(&path, &[("Permission", "joinConversation"), ("Permission", "addParticipant")]).is(200);
        assert!(bob.hears(world).await, "the edited role allows it still");
        world.owner.post(&path, &[("Permission", "addParticipant")]).is(200);
        assert!(!bob.hears(world).await && !bob.may_look().await);
        assert!(carol.hears(world).await, "it was not carol's role");
        // And what was taken can be given back.
        world.owner.post(&path, &[("Permission", "joinConversation")]).is(200);
        drop(bob.document);
        bob.document = bob.client.subscribe(&[(&name_of(bob.looked_at), ObjectType::Document)]).await.unwrap();
        assert!(bob.hears(world).await);
    });
}

fn who_is_given_another_role_hears_nothing_more(world: &World) {
    world.play(async {
        let (alice, bob) = (world.client("alice").await, world.client("bob").await);
        let mut bob = Onlooker::new(&alice, bob).await;
        assert!(bob.hears(world).await);
        give(world, "bob", &role(world, "createConversation"));
        assert!(!bob.hears(world).await && !bob.may_look().await);
    });
}

fn a_right_that_is_lost_while_subscribing_is_lost(world: &World) {
    world.play(async {
        let (alice, bob) = (world.client("alice").await, world.client("bob").await);
        let looker = role(world, "joinConversation");
        give(world, "bob", &looker);
        let edit = |permission: &str| {
            let named = Named { service: Some(world.service.parse().unwrap()), sid: looker.parse().unwrap() };
            UpdateRole { named, permissions: vec![permission.to_owned()] }
        };
        let system = world.system_soon().await;
        let mut bob = Onlooker::new(&alice, bob).await;
        for round in 0..20 {
            world.app().db.perform(&system, edit("joinConversation")).await.unwrap();
            // Not the one that is subscribed to already.
            let sid = room(&alice, &[]).await;
            let name = name_of(sid);
            let objects = [(name.as_str(), ObjectType::Document)];
            let (document, edited) =
                tokio::join!(bob.client.subscribe(&objects), world.app().db.perform(&system, edit("addParticipant")));
            edited.unwrap();
            if let Ok(document) = document {
                bob.document = document;
                bob.looked_at = sid;
                assert!(!bob.hears(world).await, "round {round}");
            }
        }
    });
}

fn who_is_deleted_is_disconnected_and_comes_back_as_another(world: &World) {
    world.play(async {
        let (alice, bob) = (world.client("alice").await, world.client("bob").await);
        let mut bob = Onlooker::new(&alice, bob).await;
        let mut own = bob.client.subscribe_own().await.unwrap();
        let before = sid(&world.owner.get("/v1/Users/bob").is(200));
        world.owner.delete("/v1/Users/bob").is(204);
        while soon(own.next()).await.is_ok() {}
        let ended = soon(bob.document.next()).await.unwrap_err();
        assert!(matches!(&ended, Error::Disconnected(Disconnected::ByServer { code: 1000, .. })), "{ended:?}");
        let again = world.client("bob").await;
        assert_ne!(sid(&world.owner.get("/v1/Users/bob").is(200)), before);
        assert!(again.conversations().await.unwrap().is_empty());
    });
}

fn a_token_with_another_role_ends_what_the_former_opened(world: &World) {
    world.play(async {
        let alice = world.client("alice").await;
        let bob = world.client("bob").await;
        give(world, "bob", &role(world, "createConversation"));
        let looker = role(world, "joinConversation").parse().unwrap();
        let both = world.token_with_role("bob", Some(looker));
        bob.update_token(&both).await.unwrap();
        let mut bob = Onlooker::new(&alice, bob).await;
        assert!(bob.hears(world).await);
        // The same role in another token changes nothing.
        bob.client.update_token(&world.token_with_role("bob", Some(looker))).await.unwrap();
        assert!(bob.hears(world).await);
        bob.client.update_token(&world.token_with_role("bob", None)).await.unwrap();
        assert!(!bob.hears(world).await && !bob.may_look().await);
    });
}

fn a_deleted_role_in_a_token_allows_nothing(world: &World) {
    world.play(async {
        let (alice, bob) = (world.client("alice").await, world.client("bob").await);
        let looker = role(world, "joinConversation");
        bob.update_token(&world.token_with_role("bob", Some(looker.parse().unwrap()))).await.unwrap();
        let mut bob = Onlooker::new(&alice, bob).await;
        assert!(bob.hears(world).await);
        world.owner.delete(&format!("/v1/Roles/{looker}")).is(204);
        assert!(!bob.hears(world).await && !bob.may_look().await);
    });
}

fn a_creator_who_was_removed_hears_nothing_more(world: &World) {
    world.play(async {
        let (alice, bob) = (world.client("alice").await, world.client("bob").await);
        let mut bob = Onlooker::new(&alice, bob).await;
        give(world, "bob", &role(world, "createConversation"));
        let made = bob.client.create_conversation(&tertulia_client::NewConversation::named("x")).await.unwrap();
        bob.document = bob.client.subscribe(&[(&name_of(made), ObjectType::Document)]).await.unwrap();
        bob.looked_at = made;
        assert!(bob.hears(world).await, "a creator may look before joining");
        bob.client.join(made).await.unwrap();
        assert!(bob.hears(world).await);
        world.owner.delete(&format!("/v1/Conversations/{made}/Participants/bob")).is(204);
        assert!(!bob.hears(world).await && !bob.may_look().await);
    });
}

fn who_joins_what_was_looked_at_keeps_hearing_without_the_role(world: &World) {
    world.play(async {
        let (alice, bob) = (world.client("alice").await, world.client("bob").await);
        let mut bob = Onlooker::new(&alice, bob).await;
        bob.client.join(bob.looked_at).await.unwrap();
        give(world, "bob", &role(world, "createConversation"));
        assert!(bob.hears(world).await);
    });
}

fn the_users_of_a_deleted_service_are_disconnected(world: &World) {
    let second = world.second_service();
    let path = format!("/Client/v2/Services/{second}/Conversations");
    world.play(async {
        let client =
            Client::connect_with(&world.uri(), world.token_in(&second, "alice"), Options::once()).await.unwrap();
        let mut own = client.subscribe_own().await.unwrap();
        assert_eq!(client.request("POST", &path, Some(&json!({}))).await.unwrap().0, 201);
        world.owner.delete(&format!("/v1/Services/{second}")).is(204);
        let ended = soon(own.next()).await.unwrap_err();
        assert!(matches!(&ended, Error::Disconnected(Disconnected::ByServer { code: 1000, .. })), "{ended:?}");
    });
}
