//! Texts that contain a token, tokens that were damaged, and texts that are something else: each is
//! called what it is, and the advice fits.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;
use tertulia_token::{
    ChatGrant, Check, Explanation, Given, Key, KeyGiven, Mint, Outcome, Rules, Secret, TokenKind, explain, issuer_of,
    parse, token_in,
};

use crate::world::{ACCOUNT, KEY, NOW, SECRET, SERVICE, World};

fn good() -> String {
    let secret = Secret::new(SECRET);
    let mint = Mint::new(ACCOUNT, KEY, &secret).identity("alice").grant(ChatGrant::new(SERVICE));
    mint.sign(NOW, [7; 8]).expect("good").token
}

/// Explained with the right key and the world, and never with a secret in the answer.
fn explained(text: &str) -> Explanation {
    let key = Key::new(KEY, ACCOUNT, SECRET);
    let given = Given { rules: Rules::at(NOW), key: KeyGiven::Known(&key), directory: Some(&World), revoked: None };
    let explanation = explain(text, &given);
    let all = format!("{explanation} {} {explanation:?}", explanation.to_json());
    assert!(!all.contains(SECRET), "{all}");
    explanation
}

#[track_caller]
fn has(explanation: &Explanation, words: &str) {
    let told = format!("{}\n{}", explanation.notes.join("\n"), explanation.changes.join("\n"));
    assert!(told.contains(words), "{words:?} is not in:\n{explanation}");
}

fn failed(explanation: &Explanation) -> Vec<Check> {
    let failed = explanation.steps.iter().filter(|step| matches!(step.outcome, Outcome::Failed(_)));
    failed.map(|step| step.check).collect()
}

#[test]
fn a_token_is_found_in_whatever_text_contains_it() {
    let good = good();
    let (start, end) = good.split_at(80);
    for (text, words) in [
        (format!("<AccessToken {good}>"), "to_jwt()"),
        (format!("b'{good}'"), "token.decode()"),
        (format!("b\"{good}\""), "token.decode()"),
        (format!("%22{good}%22"), "percent-encoded"),
        (format!("%27{good}%27\n"), "percent-encoded"),
        (format!("\\\"{good}\\\""), "quotes"),
        (format!("&quot;{good}&quot;"), "quotes"),
        (format!("“{good}”"), "quotes"),
        (format!("\"{good}"), "quotes"),
        (format!("{good}\""), "quotes"),
        (format!("Authorization: Bearer {good}"), "header line"),
        (format!("authorization: bearer \"{good}\""), "header line"),
        (format!("X-Twilio-Token: {good}"), "header line"),
        (format!("Token {good}"), "Bearer"),
        (
            json!({"identity": "alice", "service_sid": SERVICE, "token": good, "expires_at": 1}).to_string(),
            "inside JSON",
        ),
        (json!({"data": {"chat": {"accessToken": good}}}).to_string(), "inside JSON"),
        (json!({"chat": good}).to_string(), "inside JSON"),
        (json!({"body": json!({"token": good}).to_string()}).to_string(), "inside JSON"),
        (format!("\"{}\"", json!({"token": good}).to_string().replace('"', "\\\"")), "inside JSON"),
        (format!("curl -H 'Authorization: Bearer {good}' https://chat.example.com/x"), "curl"),
        (format!("curl -s \\\n  -H \"X-Twilio-Token: {good}\" \\\n  https://chat.example.com"), "curl"),
        (format!("https://chat.example.com/page?token={good}&x=1"), "address"),
        (format!("TOKEN={good}"), ".env"),
        (format!("export TERTULIA_TOKEN=\"{good}\"\n"), ".env"),
        (format!("const token = '{good}';"), ".env"),
        (format!("A=1\nTERTULIA_TOKEN={good}\nB=2\n"), "other text"),
        (format!("The token is {good}."), "other text"),
        (format!("{good} and some words"), "other text"),
        (format!("{good},"), "punctuation"),
        (format!("{start}\n{end}"), "line break"),
        (format!("{start}\r\n  {end}\r\n"), "line break"),
        (format!("\"{start}\\n{end}\""), "line break"),
        (format!("\u{feff}{good}"), "white space around"),
    ] {
        let explanation = explained(&text);
        assert_eq!(token_in(&text), good, "{text}");
        assert_eq!(issuer_of(&text).as_deref(), Some(KEY), "{text}");
        assert_eq!(explanation.kind, TokenKind::AccessToken, "{text}");
        has(&explanation, words);
        has(&explanation, "send the bare token");
        let start = explanation.to_string();
        let start = start.lines().next().unwrap_or_default();
        assert!(
            start.starts_with("This text contains an Access Token: ") && start.contains(&explanation.notes[0]),
            "{start}"
        );
        // The door takes the text as it is, and so does the verdict. All else about it is right.
        assert_eq!(explanation.refusal, parse(&text).err());
        assert_eq!(failed(&explanation), [Check::Form], "{explanation}");
    }
}

#[test]
fn what_is_a_token_already_is_left_alone() {
    let good = good();
    assert_eq!(token_in(&good), good);
    for text in ["", "x", "a.b.c", "token=", "{\"token\":1}", "Bearer", "b'", "<AccessToken ", "%", "eyJ", "eyJ eyJ"] {
        let _ = explained(text);
    }
}

#[test]
fn a_cut_token_is_called_cut() {
    let good = good();
    let dots: Vec<_> = good.match_indices('.').map(|(at, _)| at).collect();
    for at in [dots[0] + 10, dots[1] - 3, dots[1], dots[1] + 20, good.len() - 4, good.len() - 1] {
        let explanation = explained(&good[..at]);
        assert_eq!(explanation.kind, TokenKind::AccessToken, "{at}: {explanation}");
        has(&explanation, &format!("cut off after {at} characters"));
        let start = explanation.to_string();
        assert!(start.starts_with("This is an Access Token, but damaged: the token was cut off"), "{start}");
        has(&explanation, "find out where the token is cut");
        assert!(explanation.refusal.is_some(), "{at}");
        assert!(!explanation.changes.concat().contains("by hand"), "nobody put it together: {explanation}");
    }
    // In the header there is not enough to say of which kind it is.
    assert_eq!(explained(&good[..30]).kind, TokenKind::Fragment);
    has(&explained(&good[..255]), "exactly 255 characters");
    let unsigned = explained(&good[..=dots[1]]);
    has(&unsigned, "has no signature");
    let tail = explained(&good[5..]);
    has(&tail, "the beginning of the token is missing");
    assert_eq!(explained(&good[dots[0] - 10..]).kind, TokenKind::Fragment);
    // At a multiple of four characters the rest of the signature is well-formed, only short.
    let short = explained(&good[..good.len() - 3]);
    has(&short, "cut off");
    let twice = explained(&format!("{good}.{good}"));
    has(&twice, "there are 6 parts");
}

#[test]
fn padding_and_standard_base64_are_named_and_read_all_the_same() {
    let secret = Secret::new(SECRET);
    // Three characters more or less in the identity: with one of them there is padding.
    for identity in ["???>>>", "???>>>a", "???>>>ab"] {
        let mint = Mint::new(ACCOUNT, KEY, &secret).identity(identity).grant(ChatGrant::new(SERVICE));
        let token = mint.sign(NOW, [7; 8]).expect("good").token;
        let parts: Vec<_> = token.split('.').collect();
        let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(parts[1]).expect("base64url");
        let padded = parts.iter().map(|part| format!("{part}{}", "=".repeat((4 - part.len() % 4) % 4)));
        let explanation = explained(&padded.collect::<Vec<_>>().join("."));
        has(&explanation, "padded");
        assert_eq!(failed(&explanation), [Check::Form], "{explanation}");
        let standard = format!("{}.{}.{}", parts[0], STANDARD.encode(payload), parts[2]);
        let explanation = explained(&standard);
        has(&explanation, "standard base64");
        assert_eq!(failed(&explanation), [Check::Form], "{explanation}");
    }
}

#[test]
fn what_programs_write_in_place_of_a_token_is_recognised() {
    for (texts, kind, words) in [
        (
            &["undefined", "null", "NaN", "None", "nil", "false", " undefined\n", "\"null\"", "Bearer undefined"][..],
            TokenKind::MissingValue,
            "had no token",
        ),
        (
            &["[object Promise]", "Promise { <pending> }", "<coroutine object get_token at 0x7f1c>"],
            TokenKind::ObjectText,
            "not awaited",
        ),
        (&["[object Object]"], TokenKind::ObjectText, "data.token"),
        (&["[object Response]"], TokenKind::ObjectText, "response.text()"),
        (
            &["#<Twilio::JWT::AccessToken:0x000078>", "com.twilio.jwt.accesstoken.AccessToken@1b28cdfa"],
            TokenKind::ObjectText,
            "toJwt()",
        ),
        (&["function () { [native code] }", "() => token"], TokenKind::ObjectText, "call it"),
        (&["<!DOCTYPE html><title>Log in</title>", "<html>", "  <HTML lang=en>"], TokenKind::WebPage, "web page"),
        (&[r#"{"code":20003,"message":"Nobody is logged in here"}"#], TokenKind::Json, "without a token"),
        (&[r#"{"token":"undefined"}"#, r#"{"token":"null"}"#], TokenKind::MissingValue, "had no token"),
        (&["tt_0123456789abcdef_abcdefghijklmnopqrstuvwxyz012345", "tt_0123"], TokenKind::ApiToken, "POST /token"),
        (&["Bearer tt_0123456789abcdef_abcdefghijklmnopqrstuvwxyz012345"], TokenKind::ApiToken, "POST /token"),
        (
            &["AbCdEfGhIjKlMnOpQrStUvWxYz012345", "TWILIO_API_SECRET=AbCdEfGhIjKlMnOpQrStUvWxYz012345\n"],
            TokenKind::Secret,
            "never leaves",
        ),
        (&["TWILIO_AUTH_TOKEN=0123456789abcdef0123456789abcdef"], TokenKind::AuthToken, "never give"),
        (
            &["SKfa4efa4efa4efa4efa4efa4efa4e0001:AbCdEfGhIjKlMnOpQrStUvWxYz012345", "Basic QUM6eA=="],
            TokenKind::Credentials,
            "opens REST",
        ),
        (&[KEY, "\"SKfa4efa4efa4efa4efa4efa4efa4e0001\""], TokenKind::Sid, "an API Key SID"),
        (&[SERVICE], TokenKind::Sid, "a Service SID"),
        (&["", " \n", "\"\""], TokenKind::Empty, "no token arrived"),
    ] {
        for text in texts {
            let explanation = explained(text);
            assert_eq!(explanation.kind, kind, "{text}");
            has(&explanation, words);
            assert_eq!(explanation.refusal, parse(text).err());
        }
    }
}

#[test]
fn no_secret_is_echoed_wherever_it_stands() {
    let auth_token = "0123456789abcdef0123456789abcdef";
    let api_secret = "AbCdEfGhIjKlMnOpQrStUvWxYz012345";
    let api_token = format!("tt_0123456789abcdef_{api_secret}");
    let in_issuer = Mint::new(ACCOUNT, api_secret, &Secret::new(SECRET))
        .identity("alice")
        .grant(ChatGrant::new(SERVICE))
        .lenient()
        .sign(NOW, [7; 8])
        .expect("lenient")
        .token;
    for text in [
        auth_token.to_owned(),
        api_secret.to_owned(),
        api_token,
        format!("TWILIO_API_SECRET={api_secret}"),
        format!("{KEY}:{api_secret}"),
        format!("{{\"secret\":\"{api_secret}\",\"token\":\"{in_issuer}\"}}"),
        in_issuer,
    ] {
        let explanation = explained(&text);
        let all = format!("{explanation} {} {explanation:?}", explanation.to_json());
        assert!(!all.contains(api_secret) && !all.contains(auth_token), "{all}");
    }
    // The key's own secret as the identity.
    let secret = Secret::new(SECRET);
    let named = Mint::new(ACCOUNT, KEY, &secret).identity(SECRET).grant(ChatGrant::new(SERVICE));
    let explanation = explained(&named.sign(NOW, [7; 8]).expect("good").token);
    assert!(explanation.is_valid());
}
