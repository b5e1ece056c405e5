//! Minting: what is refused and how it is said, and that the rest is what official libraries mint.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use tertulia_token::{
    Advice, ChatGrant, Grant, IdentityFault, Mint, MintError, Secret, SecretFault, SyncGrant, TaskRouterGrant,
    VideoGrant, VoiceGrant, decode_unchecked,
};

use crate::world::{ACCOUNT, KEY, NOW, SECRET, SERVICE, cases, text, token};

fn secret() -> Secret {
    Secret::new(SECRET)
}

/// A good token, to be spoiled.
fn good(secret: &Secret) -> Mint<'_> {
    Mint::new(ACCOUNT, KEY, secret).identity("alice").grant(ChatGrant::new(SERVICE))
}

fn refusal(mint: Mint<'_>) -> MintError {
    mint.sign(NOW, [7; 8]).expect_err("refused")
}

#[test]
fn sids_of_the_wrong_kind_are_named() {
    let secret = secret();
    let error = refusal(Mint::new(KEY, ACCOUNT, &secret).identity("alice"));
    let message = error.to_string();
    assert!(message.contains("Account SID must be AC"), "{message}");
    assert!(message.contains("an API Key SID"), "{message}");

    let error = refusal(Mint::new(ACCOUNT, SECRET, &secret).identity("alice"));
    assert!(!error.to_string().contains(SECRET), "a secret in the wrong place is not repeated");

    let role = ChatGrant::new(SERVICE).deployment_role(SERVICE);
    let message = refusal(good(&secret).grant(role)).to_string();
    assert!(message.contains("deployment_role_sid of the chat grant must be RL"), "{message}");
}

#[test]
fn chat_grants_need_a_chat_service() {
    let secret = secret();
    let grant = |grant: ChatGrant| refusal(good(&secret).grant(grant));
    assert_eq!(grant(ChatGrant::default()), MintError::ChatWithoutService);
    let messaging = "MGfa4efa4efa4efa4efa4efa4efa4e0001";
    assert_eq!(grant(ChatGrant::new(messaging)), MintError::ChatWithMessagingService);
    assert!(matches!(grant(ChatGrant::new("general")), MintError::Sid { .. }));
}

#[test]
fn lifetimes_have_limits_and_milliseconds_are_recognised() {
    let secret = secret();
    let ttl = |ttl| refusal(good(&secret).ttl(ttl));
    assert_eq!(ttl(0), MintError::TtlNotPositive(0));
    assert_eq!(ttl(-5), MintError::TtlNotPositive(-5));
    assert_eq!(ttl(86_401), MintError::TtlTooLong { ttl: 86_401 });
    assert!(ttl(3_600_000).to_string().contains("milliseconds"));
    assert!(!ttl(90_000).to_string().contains("milliseconds"));
    assert!(good(&secret).ttl(86_400).sign(NOW, [7; 8]).is_ok());

    let late = refusal(good(&secret).not_before(NOW + 3600));
    assert!(matches!(late, MintError::NotBeforeAfterExpiry { .. }));
    let millis = refusal(good(&secret).not_before(NOW * 1000));
    assert!(millis.to_string().contains("milliseconds"));
}

#[test]
fn identities_follow_the_rules_of_chat() {
    let secret = secret();
    let identity = |identity: &str| match refusal(good(&secret).identity(identity.to_owned())) {
        MintError::Identity(fault) => fault,
        other => panic!("{other}"),
    };
    assert_eq!(identity(""), IdentityFault::Empty);
    assert_eq!(identity(&"i".repeat(257)), IdentityFault::TooLong(257));
    assert_eq!(identity("unique"), IdentityFault::Reserved("unique"));
    assert_eq!(identity("USFA4Efa4efa4efa4efa4efa4efa4e0001"), IdentityFault::UserSid);
    assert_eq!(identity("a\0b"), IdentityFault::Nul);
    assert!(good(&secret).identity("😀".repeat(256)).sign(NOW, [7; 8]).is_ok());
    assert!(good(&secret).identity("System").sign(NOW, [7; 8]).is_ok());
    let nobody = Mint::new(ACCOUNT, KEY, &secret);
    assert_eq!(refusal(nobody), MintError::NoIdentity);
}

#[test]
fn secrets_that_were_read_wrongly_are_refused() {
    for (secret, fault) in [
        (String::new(), SecretFault::Empty),
        (format!("{SECRET}\n"), SecretFault::WhiteSpace),
        (format!("\"{SECRET}\""), SecretFault::Quotes),
    ] {
        let secret = Secret::new(secret);
        assert_eq!(refusal(good(&secret)), MintError::Secret(fault));
        assert!(!fault.to_string().contains(SECRET));
        assert!(!format!("{:?}", good(&secret)).contains(SECRET));
    }
}

#[test]
fn other_grants_are_checked_too() {
    let secret = secret();
    let params = Map::from_iter([("to".to_owned(), json!("bob"))]);
    let voice = VoiceGrant { outgoing_params: Some(params), ..VoiceGrant::default() };
    assert_eq!(refusal(good(&secret).grant(voice)), MintError::VoiceParamsWithoutApplication);
    let sync = SyncGrant { service_sid: Some("default".into()), endpoint_id: None };
    assert!(good(&secret).grant(sync).sign(NOW, [7; 8]).is_ok());
    let router = TaskRouterGrant { workspace_sid: Some(SERVICE.into()), ..Default::default() };
    assert!(matches!(refusal(good(&secret).grant(router)), MintError::Sid { .. }));
    let other = Grant::Other { name: "identity".into(), value: json!("admin") };
    assert!(matches!(refusal(good(&secret).grant(other)), MintError::GrantName(_)));
    assert_eq!(refusal(good(&secret).region("EU West")), MintError::Region);
    let huge = VideoGrant { room: Some("r".repeat(9000)) };
    assert!(matches!(refusal(good(&secret).grant(huge)), MintError::TokenTooLong { .. }));
}

#[test]
fn every_token_has_a_name_of_its_own_in_the_official_shape() {
    let secret = secret();
    let named = |mint: Mint<'_>, chance| mint.sign(NOW, chance).expect("good").jti;
    assert_eq!(named(good(&secret), [0, 1, 2, 3, 4, 5, 6, 0xff]), format!("{KEY}-{NOW}-00010203040506ff"));
    assert_ne!(named(good(&secret), [1; 8]), named(good(&secret), [2; 8]));
    // Neither lenient minting nor a word of one's own takes that away.
    assert_ne!(named(good(&secret).lenient(), [1; 8]), named(good(&secret).lenient(), [2; 8]));
    let worded = |chance| named(good(&secret).jti_suffix("job7"), chance);
    assert_eq!(worded([1; 8]), format!("{KEY}-{NOW}-job7-0101010101010101"));
    assert_ne!(worded([1; 8]), worded([2; 8]));
    let long = refusal(good(&secret).jti_suffix("w".repeat(65)));
    assert_eq!(long, MintError::JtiSuffixTooLong { max: 64 });
    let minted = good(&secret).sign(NOW, [7; 8]).expect("good");
    assert!(!format!("{minted:?}").contains(&minted.token));
}

#[test]
fn sids_are_written_lower() {
    let secret = secret();
    let key = format!("SK{}", KEY[2..].to_uppercase());
    let service = format!("IS{}", SERVICE[2..].to_uppercase());
    let mint = Mint::new(ACCOUNT, key, &secret).identity("alice").grant(ChatGrant::new(service));
    let (_, payload) = decode_unchecked(&mint.sign(NOW, [7; 8]).expect("good").token).expect("a JWT");
    assert_eq!(payload["iss"], KEY);
    assert_eq!(payload["grants"]["chat"]["service_sid"], SERVICE);
}

#[test]
fn advice_never_refuses() {
    let secret = Secret::new("short");
    let minted = good(&secret).identity("alice@example.com").ttl(60).sign(NOW, [7; 8]).expect("good");
    let expected =
        [Advice::Characters { of: "identity", found: "@".into() }, Advice::ShortTtl { ttl: 60 }, Advice::ShortSecret];
    assert_eq!(minted.advice, expected);
    let name = tertulia_token::advice::friendly_name(" Tea & cake\u{200b}");
    assert_eq!(name.len(), 3);
}

/// The same input, given to us and to the official libraries, makes the same token but for the
/// random part of its name.
#[test]
fn lenient_minting_equals_the_official_libraries() {
    let (mut compared, mut same_bytes) = (0, 0);
    for case in cases().filter(|case| case.get("mint").is_some()) {
        let Some(ours) = mint_like(case) else {
            continue;
        };
        let theirs = token(case);
        let id = text(case, "id");
        let [(our_header, ours), (their_header, theirs)] = [&ours, &theirs].map(|token| texts(token));
        let ours = ours.replace(RANDOM_PART, "");
        let parsed = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        assert_eq!((parsed(&our_header), parsed(&ours)), (parsed(&their_header), parsed(&theirs)), "{id}");
        compared += 1;
        same_bytes += u32::from((our_header, ours) == (their_header, theirs));
    }
    // What cannot be asked of this crate: other algorithms, lifetimes and times as text or with a
    // fraction, identities that are no text, an absolute expiry.
    assert_eq!(compared, 281, "of 299 official inputs");
    assert!(same_bytes >= 100, "only {same_bytes} are the same to the byte");
}

/// What eight bytes of 7 add to a name.
const RANDOM_PART: &str = "-0707070707070707";

/// Header and payload as they stand in a token.
fn texts(token: &str) -> (String, String) {
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("base64url");
    let mut parts = token.split('.').map(|part| String::from_utf8_lossy(&decode(part)).into_owned());
    (parts.next().expect("a header"), parts.next().expect("a payload"))
}

/// Our token for the input of a vector, or nothing when the crate cannot be given this input.
fn mint_like(case: &Value) -> Option<String> {
    let input = &case["mint"];
    let python = text(case, "source").starts_with("twilio-python");
    let number = |name: &str| match input.get(name) {
        None => Some(None),
        Some(value) => value.as_i64().map(Some),
    };
    let now = number("now")??;
    let ttl = number("ttl")?;
    let not_before = number("nbf")?.or(python.then_some(now));
    if input.get("algorithm").is_some() || (python && ttl == Some(0)) {
        return None;
    }
    let secret = Secret::new(text(input, "secret"));
    let (account, key) = (text(input, "account_sid"), text(input, "key_sid"));
    let mut mint = Mint::new(account, key, &secret).lenient();
    match input.get("identity") {
        None => {}
        // This library leaves an empty one out.
        Some(Value::String(identity)) if python && identity.is_empty() => {}
        Some(Value::String(identity)) => mint = mint.identity(identity),
        Some(_) => return None,
    }
    for grant in input["grants"].as_array()? {
        mint = mint.grant(grant_like(grant[0].as_str()?, &grant[1]));
    }
    mint = mint.ttl(ttl.unwrap_or(3600));
    if let Some(region) = input["region"].as_str() {
        mint = mint.region(region);
    }
    if let Some(not_before) = not_before {
        mint = mint.not_before(not_before);
    }
    if python {
        mint = mint.without_issued_at();
    }
    Some(mint.sign(now, [7; 8]).expect("lenient").token)
}

fn grant_like(name: &str, input: &Value) -> Grant {
    let text = |name: &str| input[name].as_str().map(str::to_owned);
    let chat = ChatGrant {
        service_sid: text("serviceSid"),
        endpoint_id: text("endpointId"),
        deployment_role_sid: text("deploymentRoleSid"),
        push_credential_sid: text("pushCredentialSid"),
    };
    match name {
        "chat" => chat.into(),
        "ip_messaging" => Grant::Other {
            name: name.to_owned(),
            value: json!({"service_sid": chat.service_sid, "endpoint_id": chat.endpoint_id})
                .as_object()
                .map(|object| object.iter().filter(|(_, value)| !value.is_null()))
                .map(|members| members.map(|(name, value)| (name.clone(), value.clone())).collect())
                .unwrap_or_default(),
        },
        "data_sync" => SyncGrant { service_sid: chat.service_sid, endpoint_id: chat.endpoint_id }.into(),
        "video" => VideoGrant { room: text("room") }.into(),
        "voice" => VoiceGrant {
            incoming: input["incomingAllow"] == true,
            outgoing_application_sid: text("outgoingApplicationSid"),
            outgoing_params: input["outgoingApplicationParams"].as_object().cloned(),
            push_credential_sid: text("pushCredentialSid"),
            endpoint_id: text("endpointId"),
        }
        .into(),
        "task_router" => {
            TaskRouterGrant { workspace_sid: text("workspaceSid"), worker_sid: text("workerSid"), role: text("role") }
                .into()
        }
        "player" => Grant::Playback(input["grant"].as_object().cloned().unwrap_or_default()),
        _ => Grant::Other {
            name: name.to_owned(),
            value: json!({"configuration_profile_sid": text("configurationProfileSid")}),
        },
    }
}
