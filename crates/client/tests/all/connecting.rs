//! Coming in, staying in, going away.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tertulia_client::{Client, ConnectError, Disconnected, Error, Options, TokenProvider};

use crate::house::{House, short_lived, soon};

#[tokio::test]
async fn the_identity_is_the_tokens() {
    let house = House::open().await;
    for identity in ["ana", "ben@some-domain.com", "Íñigo/¿quién? & co"] {
        assert_eq!(house.enter(identity).await.identity(), identity);
    }
    house.close().await;
}

#[tokio::test]
async fn a_refused_token_brings_its_code() {
    let house = House::open().await;
    let good = house.token("ana");
    let (signed, _) = good.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", "A".repeat(43));
    for (token, code) in [("nonsense", 20101), (forged.as_str(), 20107)] {
        let refused = soon(Client::connect(&house.uri(), token)).await.unwrap_err();
        assert!(matches!(refused, ConnectError::Refused(_)), "{refused}");
        assert_eq!(refused.code(), Some(code), "{refused}");
    }
    house.close().await;
}

#[tokio::test]
async fn a_wrong_address_is_told_from_a_wrong_token() {
    let house = House::open().await;
    let elsewhere = house.uri().replace("wsconnect", "elsewhere");
    let refused = soon(Client::connect(&elsewhere, house.token("ana"))).await.unwrap_err();
    assert!(matches!(refused, ConnectError::NotAWebsocket { status: 404, .. }), "{refused}");
    let uri = house.uri();
    house.close().await;
    let refused = soon(Client::connect(&uri, "any")).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Unreachable { .. }), "{refused}");
    let provider = TokenProvider::new(|| async { Err::<String, _>("the token service is closed") });
    assert!(matches!(soon(Client::connect(&uri, provider)).await, Err(ConnectError::Token(_))));
}

#[tokio::test]
async fn a_new_token_must_be_the_same_persons() {
    let house = House::open().await;
    let ana = house.enter("ana").await;
    ana.update_token(&short_lived(&house.dev, "ana", 3000)).await.unwrap();
    let refused = ana.update_token(&house.token("ben")).await.unwrap_err();
    assert_eq!(refused.code(), Some(20106), "{refused}");
    let over = soon(ana.conversations()).await.unwrap_err();
    assert!(matches!(over, Error::Disconnected(_)), "{over}");
    house.close().await;
}

#[tokio::test]
async fn a_provider_is_asked_again_before_the_token_expires() {
    let house = House::open().await;
    let asked = Arc::new(AtomicI64::new(0));
    let provider = {
        let (asked, dev) = (Arc::clone(&asked), house.dev.clone());
        TokenProvider::new(move || {
            // The first lives so short that the server warns at once.
            let seconds = if asked.fetch_add(1, Ordering::SeqCst) == 0 { 6 } else { 3000 };
            let token = short_lived(&dev, "ana", seconds);
            async move { Ok::<_, std::convert::Infallible>(token) }
        })
    };
    let ana = Client::connect(&house.uri(), provider).await.unwrap();
    soon(async {
        while asked.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // Answered after the update, which was sent before.
    assert_eq!(ana.conversations().await.unwrap(), []);
    // Longer than the first token and the server's grace of five seconds: the next packet would end it.
    house.pass(12);
    assert_eq!(ana.conversations().await.unwrap(), []);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    house.close().await;
}

#[tokio::test]
async fn without_reconnecting_the_end_of_the_server_is_heard_everywhere() {
    let house = House::open().await;
    let (_host, [talk]) = house.talk(["host"]).await;
    let ana = Client::connect_with(&house.uri(), house.token("host"), Options::once()).await.unwrap();
    let mut heard = ana.conversation(talk.sid()).await.unwrap();
    let waiting = tokio::spawn(async move { heard.next_message().await });
    house.close().await;
    let heard = soon(waiting).await.unwrap().unwrap_err();
    assert!(matches!(heard, Error::Disconnected(Disconnected::ByServer { code: 1001, .. })), "{heard}");
    assert!(matches!(ana.conversations().await, Err(Error::Disconnected(_))));
}

#[tokio::test]
async fn who_closes_is_gone() {
    let house = House::open().await;
    let (ana, [mut talk]) = house.talk(["ana"]).await;
    soon(ana.close()).await;
    assert!(matches!(soon(talk.next_message()).await, Err(Error::Disconnected(Disconnected::Closed))));
    house.close().await;
}
