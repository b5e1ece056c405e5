//! From a verified token to leave at the chat service.

use tertulia_token::{AccessToken, ChatClaim, ChatGrant, Check, Directory, Key, Known, Mint, Rules, Secret, chat};

use crate::world::{ACCOUNT, KEY, NOW, ROLE, SECRET, SERVICE, World};

fn token(grant: ChatGrant) -> AccessToken {
    let secret = Secret::new(SECRET);
    let mint = Mint::new(ACCOUNT, KEY, &secret).identity("alice").grant(grant).lenient();
    let token = mint.sign(NOW, [7; 8]).expect("lenient").token;
    let key = Key::new(KEY, ACCOUNT, SECRET);
    let unverified = tertulia_token::parse(&token).expect("well-formed");
    tertulia_token::verify(unverified, Some(&key), &Rules::at(NOW)).expect("good")
}

#[test]
fn leave_says_who_where_and_as_what() {
    let access = chat(&token(ChatGrant::new(SERVICE).deployment_role(ROLE)), &World).expect("access");
    assert_eq!(access.identity, "alice");
    assert_eq!(access.account_sid, ACCOUNT);
    assert_eq!(access.key_sid, KEY);
    assert_eq!(access.service_sid, SERVICE);
    assert_eq!(access.deployment_role_sid.as_deref(), Some(ROLE));
    assert_eq!(access.push_credential_sid, None);
    assert_eq!(access.expires_at, NOW + 3600);
}

#[test]
fn a_claim_can_be_looked_up_in_between() {
    let claim = ChatClaim::read(&token(ChatGrant::new(SERVICE).deployment_role(ROLE))).expect("a claim");
    assert_eq!((claim.account_sid(), claim.service_sid()), (ACCOUNT, SERVICE));
    assert_eq!(claim.deployment_role_sid(), Some(ROLE));
    assert_eq!(claim.push_credential_sid(), None);
    let known = Known { service: true, role: false, push_credential: false };
    let refusal = claim.clone().check(&known).expect_err("the role is unknown");
    assert_eq!((refusal.code, refusal.check), (20106, Check::Role));
    assert!(claim.check(&Known { role: true, ..known }).is_ok());
}

#[test]
fn service_sids_are_taken_in_either_case_and_given_lower() {
    let upper = format!("IS{}", SERVICE[2..].to_uppercase());
    assert_eq!(chat(&token(ChatGrant::new(upper)), &World).expect("access").service_sid, SERVICE);
}

#[test]
fn the_service_is_asked_for_with_the_account_of_the_token() {
    struct Asked;
    impl Directory for Asked {
        fn has_service(&self, account_sid: &str, service_sid: &str) -> bool {
            assert_eq!((account_sid, service_sid), (ACCOUNT, SERVICE));
            false
        }
        fn has_role(&self, _: &str, _: &str) -> bool {
            panic!("the service is asked for first")
        }
        fn has_push_credential(&self, _: &str, _: &str) -> bool {
            panic!("the service is asked for first")
        }
    }
    let refusal = chat(&token(ChatGrant::new(SERVICE).deployment_role(ROLE)), &Asked).expect_err("unknown");
    assert_eq!((refusal.code, refusal.check), (20106, Check::Service));
}

#[test]
fn the_token_dies_at_one_instant() {
    let token = token(ChatGrant::new(SERVICE));
    let rules = Rules::at(NOW).grace(5);
    let death = rules.dies_at(&token);
    assert_eq!(death, NOW + 3605);
    let secret = Secret::new(SECRET);
    let mint = Mint::new(ACCOUNT, KEY, &secret).identity("alice").grant(ChatGrant::new(SERVICE));
    let text = mint.sign(NOW, [7; 8]).expect("good").token;
    let key = Key::new(KEY, ACCOUNT, SECRET);
    let at = |now| {
        let unverified = tertulia_token::parse(&text).expect("well-formed");
        tertulia_token::verify(unverified, Some(&key), &Rules::at(now).grace(5)).map(drop)
    };
    assert_eq!(at(death - 1), Ok(()));
    assert_eq!(at(death).expect_err("dead").code, 20104);
}
