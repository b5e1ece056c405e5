//! Whom a request names, and what the policy makes of them.

use std::net::IpAddr;
use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::Value;
use tertulia_protocol::Timestamp;
use tertulia_server::api_tokens;
use tertulia_server::http::peer::{From as Origin, Peer, is_trusted};
use tertulia_server::login::config::{LoginConfig, SourceConfig};
use tertulia_server::login::page::Page;
use tertulia_server::login::policy::{
    DEFAULT_RULE, Denial, Example, Gives, Login, NO_RULE, Policy, as_name, every_session,
};
use tertulia_server::login::sources::{Asked, Found};
use tertulia_server::login::template::{Template, decode, encode};
use tertulia_server::login::{app, oidc, proxy};
use tertulia_server::platform::{AccountNumber, Config, origin};
use tertulia_token::{LIFETIME_MAX, identity};

/// Lines that are read of one input at most.
const LINES_MAX: usize = 50;

/// A configuration with a proxy and an app, whose policy is the built-in one.
static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let text = r#"
        [http]
        trusted_proxies = ["10.0.0.0/8", "2001:db8::/32"]
        [login]
        allowed_origins = ["https://app.example.com"]
        [[login.sources]]
        name = "sso"
        kind = "proxy"
        header = "x-user"
        addresses = ["10.0.0.1"]
        facts = { email = "x-email" }
        lists = { groups = "x-groups" }
        [[login.sources]]
        name = "site"
        kind = "app"
        url = "http://127.0.0.1/me"
        subject = "user.id"
        forward = ["cookie"]
    "#;
    Config::parse(text).expect("a configuration")
});

/// What holds of everybody whom a source knows.
pub(crate) fn named(login: &Login) {
    let _issued = login.issued();
    if let Some(session) = login.session() {
        let sid = session.strip_prefix(&login.source).and_then(|rest| rest.strip_prefix(':'));
        assert_eq!(sid, as_name(&login.facts["sid"]).as_deref(), "a session is called as its source calls it");
        assert!(
            session.len() <= 255 && !session.starts_with(&every_session(&login.source, "")),
            "whose session is it?"
        );
    }
    match CONFIG.login.policy().decide(login) {
        Ok(decision) => {
            assert_eq!(identity::check(&decision.identity), Ok(()), "an identity that is none");
            assert_eq!(decode(&decision.identity).as_ref(), Some(&login.subject), "the subject can be read back");
        }
        Err(denial) => {
            assert!(encode(&login.subject).len() > 256, "by the built-in policy everybody comes in: {denial}")
        }
    }
}

/// A configuration file; below a line `%%`, a login a line, as JSON.
pub fn policy(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (file, logins) = text.split_once("\n%%\n").unwrap_or((&text, ""));
    let config = match Config::parse(file) {
        Ok(config) => config.login,
        Err(error) => return assert!(!error.to_string().is_empty(), "it says what is wrong"),
    };
    checked(&config);
    let policy = config.policy();
    let given = logins.lines().take(LINES_MAX).filter_map(|line| serde_json::from_str(line).ok());
    for login in given.chain(config.examples.iter().take(LINES_MAX).map(|example| example.login.clone())) {
        decided(&policy, &login);
    }
    for example in config.examples.iter().take(LINES_MAX) {
        let _differences = example.differences(&policy);
    }
}

/// What a configuration that was taken cannot be.
fn checked(config: &LoginConfig) {
    for (place, source) in config.sources.iter().enumerate() {
        let name = source.name();
        assert!(!name.is_empty() && !name.contains(':'), "a source without a usable name");
        assert!(config.sources[..place].iter().all(|other| other.name() != name), "two sources of one name");
        match source {
            SourceConfig::Oidc(source) => {
                assert!(!source.audience.is_empty() && !source.audience.contains(&String::new()), "anybody's tokens");
                assert!(!source.algorithms.is_empty(), "nothing is pinned");
                assert!(source.issuer.starts_with("http"), "discovery begins nowhere");
            }
            SourceConfig::Proxy(source) => assert!(!source.addresses.is_empty(), "anybody is a proxy"),
            SourceConfig::App(source) => assert!(!source.forward.is_empty(), "nothing is shown"),
            SourceConfig::ApiToken(_) => {}
        }
    }
    assert!(config.allowed_origins.iter().all(|origin| origin == "*" || origin.contains("://")), "null is no origin");
}

/// A decision, its steps, and an example that is made of it agree.
fn decided(policy: &Policy, login: &Login) {
    let (decision, steps) = (policy.decide(login), policy.steps(login));
    let deciding = steps.iter().find(|step| step.fails.is_none()).map(|step| step.rule.clone());
    let by = match &decision {
        Ok(decision) => {
            assert_eq!(identity::check(&decision.identity), Ok(()), "an identity that is none");
            assert!((1..=policy.ttl_seconds_max.min(LIFETIME_MAX)).contains(&decision.ttl_seconds), "how long?");
            Some(decision.rule.clone())
        }
        Err(denial) => denial.rule().map(str::to_owned),
    };
    assert_eq!(by, deciding, "the deciding rule is the first whose conditions all hold");
    assert!(steps.iter().rev().skip(1).all(|step| step.fails.is_some()), "steps end where it is decided");
    assert!(policy.rules.iter().any(|rule| Some(&rule.name) == by.as_ref()) || policy.rules.is_empty() || by.is_none());
    assert!(!policy.rules.is_empty() || by.as_deref() == Some(DEFAULT_RULE), "the built-in rule is about everybody");
    let (gives, refused_by) = match decision {
        Ok(decision) => {
            let text = |text: Option<String>| Some(text.unwrap_or_default());
            let gives = Gives {
                rule: Some(decision.rule),
                service: text(decision.service),
                identity: Some(decision.identity),
                role: text(decision.role),
                ttl_seconds: Some(decision.ttl_seconds),
                grants: Some(decision.grants),
            };
            (Some(gives), None)
        }
        Err(Denial::NoRule) => (None, Some(NO_RULE.to_owned())),
        Err(denial) => (None, denial.rule().map(str::to_owned)),
    };
    let example = Example { login: login.clone(), gives, refused_by };
    assert_eq!(example.differences(policy), Vec::<String>::new(), "a decision is as it is");
}

/// A template, two subjects and facts, a line each.
pub fn template(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(4, '\n');
    let mut line = || lines.next().unwrap_or_default().to_owned();
    let (template, one, other) = (line(), line(), line());
    let facts = serde_json::from_str(&line()).unwrap_or(Value::Null);
    if let Some(name) = decode(&text) {
        let encoded = encode(&name);
        assert!(
            encoded == text || identity_of("{subject}", &name).as_deref() == Some(&*text),
            "a name is written once"
        );
    }
    for name in [&*text, &one, &other] {
        assert_eq!(decode(&encode(name)).as_deref(), Some(name), "a name can be read back");
    }
    let apart = one != other;
    for template in ["{subject}", "{source}:{subject}", "u{subject}"] {
        let (one, other) = (identity_of(template, &one), identity_of(template, &other));
        assert!(!(apart && one.is_some() && one == other), "two people have one identity, {one:?}");
    }
    let Ok(read) = Template::try_from(template.clone()) else { return };
    assert_eq!(read.text(), template, "a template is as it is written");
    let login = Login { source: "site".to_owned(), subject: one, facts };
    if let Ok(identity) = read.identity(&login) {
        assert_eq!(identity::check(&identity), Ok(()), "an identity that is none");
        let is_raw = template.contains(":raw}");
        assert!(
            is_raw
                || !identity.contains(['\0', '\u{200b}', '\u{feff}'])
                || template.contains(['\0', '\u{200b}', '\u{feff}']),
            "unseen letters"
        );
    }
    let filled = (read.plain(&login), read.identity(&login));
    assert!(template.contains(['{', '}']) || filled.0 == Ok(template), "without places it is itself");
    // No source gives an empty subject.
    if !login.subject.is_empty() {
        named(&Login { facts: Value::Null, ..login });
    }
}

fn identity_of(template: &str, subject: &str) -> Option<String> {
    let template = Template::try_from(template.to_owned()).expect("a template");
    template.identity(&Login { source: "site".to_owned(), subject: subject.to_owned(), facts: Value::Null }).ok()
}

/// The answer of an app about a session.
pub fn session(data: &[u8]) {
    let [_, SourceConfig::App(config)] = &CONFIG.login.sources[..] else { unreachable!("the configuration is above") };
    let Ok(login) = app::read(config, data) else { return };
    assert_eq!(serde_json::from_slice::<Value>(data).ok().as_ref(), Some(&login.facts), "facts are the answer");
    assert!(!login.subject.is_empty(), "nobody came in");
    let member = login.facts.get("user.id").unwrap_or(&login.facts["user"]["id"]);
    if member.is_number() {
        let digits = login.subject.as_bytes();
        assert!(data.windows(digits.len()).any(|part| part == digits), "a number lost some of itself");
    } else {
        assert_eq!(member, &Value::String(login.subject.clone()), "the subject is the answer's");
    }
    named(&login);
}

/// A request: the address that it comes from, and its headers, a line each.
pub fn headers(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n').take(LINES_MAX);
    let address = lines.next().and_then(|line| std::str::from_utf8(line).ok()?.trim().parse().ok());
    let address: IpAddr = address.unwrap_or(IpAddr::from([10, 0, 0, 1]));
    let mut headers = HeaderMap::new();
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        // As a server reads it: spaces around a value are none of it.
        let (name, value) =
            (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(line[colon + 1..].trim_ascii()));
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let from = forwarded(address, &headers);
    page(&from.origin, &headers);
    bearer(&headers);
    shown(&headers);
    by_proxy(address, &headers);
}

fn forwarded(address: IpAddr, headers: &HeaderMap) -> Origin {
    let peer = Peer { address, is_secure: false, place: None };
    let read = |headers: &HeaderMap| Origin::read(&CONFIG.http, &peer, headers);
    let from = read(headers);
    let host = from.origin.strip_prefix("http://").or(from.origin.strip_prefix("https://")).expect("a scheme");
    assert!(
        !host.is_empty() && !host.contains(['/', '?', '#', '@', '\\', ' ', '"', '<']),
        "a host ends in a URL: {host}"
    );
    assert_eq!(from.is_forwarded, is_trusted(&CONFIG.http, address), "only a trusted proxy speaks for others");
    if from.is_forwarded {
        assert!(from.address == address || !is_trusted(&CONFIG.http, from.address), "a proxy is taken for a client");
        if from.address != address {
            // What a client writes stands before what proxies add.
            let mut forged = HeaderMap::new();
            forged.append("x-forwarded-for", HeaderValue::from_static("203.0.113.66, 203.0.113.67"));
            forged.append("x-forwarded-for", HeaderValue::from_static("203.0.113.68,"));
            headers.iter().for_each(|(name, value)| {
                forged.append(name, value.clone());
            });
            assert_eq!(read(&forged).address, from.address, "a client chose its own address");
        }
    } else {
        let mut without = headers.clone();
        ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"]
            .iter()
            .for_each(|name| drop(without.remove(*name)));
        assert_eq!(read(&without), from, "a stranger is believed");
        assert_eq!(from.address, address, "a stranger is believed");
    }
    from
}

fn page(own: &str, headers: &HeaderMap) {
    let page = Page::read(&CONFIG.login, Some(own), headers);
    let origin = headers.get("origin");
    assert!(!(page.is_foreign && page.with_credentials), "cookies of a foreign page");
    assert_eq!(page.with_credentials, origin.is_some() && !page.is_foreign, "a listed page brings its cookies");
    if let Some(allowed) = &page.allowed {
        assert!(Some(allowed) == origin && allowed != "*", "a browser is told of the page that asked, and no other");
    }
    // Browsers write hosts in small letters and leave usual ports out; what is the same origin otherwise is known too.
    let is_one = |origin: &HeaderValue, known: &str| {
        origin == known || origin.to_str().is_ok_and(|origin| origin::is_same(known, origin))
    };
    let is_known = origin.is_some_and(|origin| is_one(origin, "https://app.example.com") || is_one(origin, own));
    let says_same = headers.get("sec-fetch-site").is_some_and(|site| site == "same-origin");
    let is_own = (is_known || says_same) && origin.is_some_and(|origin| origin != "*" && origin.to_str().is_ok());
    assert!(origin.is_none() || page.is_foreign != is_own, "which pages are foreign");
    let open = LoginConfig { allowed_origins: vec!["*".to_owned()], ..CONFIG.login.clone() };
    let page = Page::read(&open, Some(own), headers);
    assert!(
        !(page.with_credentials && page.allowed.as_ref().is_some_and(|allowed| allowed == "*")),
        "any page's cookies"
    );
    assert!(!page.is_foreign || origin.is_none() || page.allowed.as_ref().is_some_and(|allowed| allowed == "*"));
}

fn bearer(headers: &HeaderMap) {
    let Ok(token) = oidc::bearer(headers) else { return };
    assert_eq!(headers.get_all(header::AUTHORIZATION).iter().count(), 1, "of two, which one?");
    assert!(token.trim() == token && token.is_ascii(), "a token has spaces around it");
    let Some(id) = api_tokens::id_of(token) else { return };
    assert_eq!((token.len(), &token[3..19]), (52, id), "the id is in the token");
    let kept = |token: &str| api_tokens::ApiToken {
        account: AccountNumber(1),
        id: id.to_owned(),
        hash: api_tokens::hash(token),
        subject: String::new(),
        facts: String::new(),
        friendly_name: String::new(),
        expires: Some(Timestamp::from_seconds(crate::NOW)),
        created: Timestamp::from_seconds(0),
    };
    let before = Timestamp::from_seconds(crate::NOW - 1);
    assert!(kept(token).is(token, before) && !kept(token).is(token, Timestamp::from_seconds(crate::NOW)));
    assert!(!kept(&format!("{token}x")).is(token, before), "another token was taken");
}

fn shown(headers: &HeaderMap) {
    let [_, SourceConfig::App(config)] = &CONFIG.login.sources[..] else { unreachable!("the configuration is above") };
    let shown = app::shown(config, headers);
    let values = |headers: &HeaderMap| headers.get_all(header::COOKIE).iter().cloned().collect::<Vec<_>>();
    assert_eq!(values(&shown), values(headers), "the app sees the cookies as they came");
    assert!(shown.keys().all(|name| name == header::COOKIE), "the app sees what it was not to see");
}

fn by_proxy(address: IpAddr, headers: &HeaderMap) {
    let [SourceConfig::Proxy(config), _] = &CONFIG.login.sources[..] else {
        unreachable!("the configuration is above")
    };
    match proxy::find(config, &Asked { headers, peer: address, is_get: false }) {
        Found::Login(login) => {
            assert_eq!(address.to_canonical(), IpAddr::from([10, 0, 0, 1]), "anybody is a proxy");
            let mut values = headers.get_all("x-user").iter();
            assert_eq!(values.next().map(HeaderValue::as_bytes), Some(login.subject.as_bytes()), "a name was changed");
            assert!(values.next().is_none() && !login.subject.is_empty(), "of two, which one?");
            let groups = login.facts.get("groups").and_then(Value::as_array);
            assert!(
                groups.is_none_or(|groups| groups
                    .iter()
                    .all(|group| group.as_str().is_some_and(|text| !text.is_empty())))
            );
            named(&login);
        }
        Found::Stranger(finding) => {
            assert!(!finding.to_string().is_empty(), "it says why");
            let is_proxy = address.to_canonical() == IpAddr::from([10, 0, 0, 1]);
            assert!(!is_proxy || headers.get("x-user").is_none_or(HeaderValue::is_empty), "who it is was not heard");
        }
        Found::Refused(_) => assert!(headers.contains_key("x-user"), "nothing was brought"),
        Found::Unavailable(cause) => panic!("a header is always there: {cause}"),
    }
}
