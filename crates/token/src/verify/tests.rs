use super::*;
use crate::{ChatGrant, Mint, Secret, parse, signature::work};

const ACCOUNT: &str = "ACfa4efa4efa4efa4efa4efa4efa4e0001";
const KEY: &str = "SKfa4efa4efa4efa4efa4efa4efa4e0001";
const SERVICE: &str = "ISfa4efa4efa4efa4efa4efa4efa4e0001";
const SECRET: &str = "FAKE-vector-secret-not-real-0001";
const NOW: i64 = 1_700_000_000;

fn token() -> String {
    Mint::new(ACCOUNT, KEY, &Secret::new(SECRET))
        .identity("alice")
        .grant(ChatGrant::new(SERVICE))
        .sign(NOW, [7; 8])
        .expect("a good token")
        .token
}

/// The verdict, and the work that was done to reach it.
fn outcome(token: &str, key: Option<&Key>) -> (Option<u16>, Vec<(usize, usize)>) {
    let unverified = parse(token).expect("well-formed");
    work::take();
    let code = verify(unverified, key, &Rules::at(NOW)).err().map(|refusal| refusal.code);
    (code, work::take())
}

#[test]
fn the_same_work_is_done_whether_the_key_exists_or_not() {
    let token = token();
    let good = Key::new(KEY, ACCOUNT, SECRET);
    let (code, work) = outcome(&token, Some(&good));
    assert_eq!((code, work.len()), (None, 2));

    let wrong = Key::new(KEY, ACCOUNT, "FAKE-vector-secret-not-real-0077");
    assert_eq!(outcome(&token, Some(&wrong)), (Some(20107), work.clone()));
    assert_eq!(outcome(&token, None), (Some(20103), work.clone()));
    let deleted = Key { status: KeyStatus::Deleted, ..good.clone() };
    assert_eq!(outcome(&token, Some(&deleted)), (Some(20103), work.clone()));
    let closed = Key { account_status: AccountStatus::Closed, ..good };
    assert_eq!(outcome(&token, Some(&closed)), (Some(20103), work.clone()));

    // A signature of another length is compared like any other.
    let short = &token[..token.len() - 3];
    assert_eq!(outcome(short, None), (Some(20103), work));
}

#[test]
fn an_empty_secret_never_verifies() {
    let token =
        Mint::new(ACCOUNT, KEY, &Secret::new("")).identity("alice").lenient().sign(NOW, [7; 8]).expect("lenient").token;
    let key = Key::new(KEY, ACCOUNT, "");
    assert_eq!(outcome(&token, Some(&key)).0, Some(20107));
}

#[test]
fn a_token_signed_with_nobodys_secret_is_refused_without_a_key() {
    let nobody = Secret::new("no key was found: this is nobody");
    let token = Mint::new(ACCOUNT, KEY, &nobody)
        .identity("alice")
        .grant(ChatGrant::new(SERVICE))
        .sign(NOW, [7; 8])
        .expect("a token")
        .token;
    assert_eq!(outcome(&token, None).0, Some(20103));
}

#[test]
fn a_key_that_was_not_asked_for_does_not_count() {
    let other = Key::new("SKfa4efa4efa4efa4efa4efa4efa4e0002", ACCOUNT, SECRET);
    assert_eq!(outcome(&token(), Some(&other)).0, Some(20103));
}

#[test]
fn tolerances_are_capped() {
    let rules = Rules::at(0).leeway(9999).grace(-5);
    assert_eq!(rules.tolerances(), (TOLERANCE_MAX, 0, LIFETIME_MAX));
}
