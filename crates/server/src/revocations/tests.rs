use super::*;

fn bearer() -> Bearer {
    Bearer {
        account: AccountNumber(1),
        service: Sid::from_number(1),
        identity: "ana".into(),
        key: Sid::from_number(1),
        fingerprint: "0".into(),
        jti: Some("SK1-5-x".into()),
        session: Some("s".into()),
        issued: Timestamp::from_seconds(5),
        expires: Timestamp::from_seconds(500),
    }
}

fn entry(named: Named, issued_before: i64) -> Revocation {
    let issued_before = Timestamp::from_seconds(issued_before);
    let (account, sid, created) = (AccountNumber(1), Sid::from_number(1), Timestamp::from_seconds(9));
    Revocation { account, sid, named, issued_before, refuses: true, created, expires: None }
}

#[test]
fn an_entry_names_what_it_says_and_nothing_else() {
    let (own, other) = (Sid::from_number(1), Sid::from_number(2));
    for (named, is_named) in [
        (Named::Exact("0".to_owned()), true),
        (Named::Exact(String::new()), false),
        (Named::Token("SK1-5-x".to_owned()), true),
        (Named::Token("SK1-5".to_owned()), false),
        (Named::Session("s".to_owned()), true),
        (Named::Session("S".to_owned()), false),
        (Named::Identity("ana".to_owned(), None), true),
        (Named::Identity("ana".to_owned(), Some(own)), true),
        (Named::Identity("ana".to_owned(), Some(other)), false),
        (Named::Identity("Ana".to_owned(), None), false),
        (Named::Service(own), true),
        (Named::Service(other), false),
        (Named::Key(Sid::from_number(1)), true),
        (Named::Key(Sid::from_number(2)), false),
        (Named::Account, true),
    ] {
        assert_eq!(entry(named.clone(), 5).names(&bearer()), is_named, "{named:?}");
        assert!(!entry(named.clone(), 4).names(&bearer()), "issued later: {named:?}");
        let foreign = Bearer { account: AccountNumber(2), ..bearer() };
        assert!(!entry(named, 5).names(&foreign));
    }
    let nameless = Bearer { jti: None, session: None, ..bearer() };
    assert!(!entry(Named::Token(String::new()), 5).names(&nameless));
    assert!(!entry(Named::Session(String::new()), 5).names(&nameless));
}

#[test]
fn what_an_entry_names_is_read_back_from_its_texts() {
    for named in [
        Named::Exact("f".to_owned()),
        Named::Token("t".to_owned()),
        Named::Session("s".to_owned()),
        Named::Identity("ana".to_owned(), None),
        Named::Identity("ana".to_owned(), Some(Sid::from_number(3))),
        Named::Service(Sid::from_number(3)),
        Named::Key(Sid::from_number(3)),
        Named::Account,
    ] {
        let read = Named::parse(named.word(), named.value().to_owned(), named.service());
        assert_eq!(read, Some(named));
    }
    assert_eq!(Named::parse("conversation", String::new(), ""), None);
}

#[test]
fn an_entry_outlives_every_token_that_it_names() {
    let (now, before) = (Timestamp::from_seconds(1000), Timestamp::from_seconds(900));
    let day = 86_400 + 600;
    let expiry = |named: Named, refuses| expiry(&named, refuses, before, now).map(Timestamp::seconds);
    assert_eq!(expiry(Named::Token(String::new()), true), Some(1000 + day));
    assert_eq!(expiry(Named::Service(Sid::from_number(1)), true), Some(900 + day));
    assert_eq!(expiry(Named::Key(Sid::from_number(1)), true), None);
    assert_eq!(expiry(Named::Account, false), Some(1000 + 3600));
}

#[test]
fn the_jti_of_an_official_library_is_shared_and_one_with_more_in_it_is_not() {
    let key = format!("SK{}", "0a".repeat(16));
    assert!(is_shared_by_shape(&format!("{key}-1700000000")));
    for own in [format!("{key}-1700000000-x"), format!("{key}-"), key.clone(), "a-1700000000".to_owned(), String::new()]
    {
        assert!(!is_shared_by_shape(&own), "{own}");
    }
}

#[test]
fn a_fingerprint_is_the_sha_256_of_the_text() {
    assert_eq!(fingerprint("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
