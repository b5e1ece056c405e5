//! `wss://`, and whom a client believes there.

use std::fs;
use std::sync::Arc;

use tertulia_client::rustls::pki_types::CertificateDer;
use tertulia_client::rustls::{ClientConfig, RootCertStore};
use tertulia_client::{Client, ConnectError, Options};
use testkit::temp_dir;

use crate::house::{House, soon, soon_back};

/// Believes this certificate's signatures alone.
fn believes(certificate: CertificateDer<'static>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

#[tokio::test]
async fn an_encrypted_connection_goes_to_whom_it_believes_and_comes_back() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let folder = temp_dir();
    let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut house = House::with_tls(folder, certificate.to_str().unwrap(), key.to_str().unwrap()).await;
    let uri = house.uri().replace("ws://127.0.0.1", "wss://localhost");

    let options = Options { tls: Some(believes(made.cert.der().clone())), ..soon_back() };
    let ana = Client::connect_with(&uri, house.token("ana"), options.clone()).await.unwrap();
    let sid = ana.create_conversation(&tertulia_client::NewConversation::named("Friday")).await.unwrap();
    ana.join(sid).await.unwrap();
    let mut talk = ana.conversation(sid).await.unwrap();
    let mut states = ana.connection_states();
    house.stop().await;
    assert!(soon(states.next()).await.is_some(), "it was cut");
    house.start().await;
    talk.send("by another connection").await.unwrap();
    assert_eq!(soon(talk.next_message()).await.unwrap().body.as_deref(), Some("by another connection"));
    ana.close().await;

    // Nobody whom the operating system trusts has signed it; and it is for another name.
    let strangers = [
        (uri.clone(), Options { tls: None, ..options.clone() }, "UnknownIssuer"),
        (uri.replace("localhost", "127.0.0.1"), options, "not valid for name"),
    ];
    for (uri, options, word) in strangers {
        let refused = Client::connect_with(&uri, house.token("ana"), options).await.unwrap_err();
        let sentence = refused.to_string();
        assert!(matches!(refused, ConnectError::Unreachable { .. }) && sentence.contains(word), "{sentence}");
    }
    // Without TLS, nothing is said to a server that wants it.
    let plain = house.uri();
    assert!(Client::connect_with(&plain, house.token("ana"), soon_back()).await.is_err());
    house.close().await;
}
