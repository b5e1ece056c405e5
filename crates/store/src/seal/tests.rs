use super::*;

const PLACE: Place<'static> = Place { table: "api_key", column: "secret", sid: "SK00000000000000000000000000000001" };
const NONCE: [u8; 12] = [7; 12];

fn key(bits: u8) -> SealKey {
    SealKey::new([bits; 32])
}

fn sealer(keys: &[u8]) -> KeyRing {
    Sealer::new(&keys.iter().map(|bits| key(*bits)).collect::<Vec<_>>()).ring()
}

#[test]
fn what_was_sealed_opens_in_its_place() {
    let sealed = sealer(&[1]).seal(&PLACE, b"secret", NONCE);
    assert_eq!(sealer(&[1]).open(&PLACE, &sealed).unwrap().expose(), b"secret");
    assert!(!sealed.windows(6).any(|part| part == b"secret"));
}

#[test]
fn it_opens_nowhere_else() {
    let sealed = sealer(&[1]).seal(&PLACE, b"secret", NONCE);
    let elsewhere = [
        Place { table: "account", ..PLACE },
        Place { column: "token", ..PLACE },
        Place { sid: "SK2", ..PLACE },
        // The same letters, cut elsewhere.
        Place { table: "api_keysecret", column: "", ..PLACE },
    ];
    for place in elsewhere {
        let error = sealer(&[1]).open(&place, &sealed).unwrap_err();
        assert!(matches!(error, SealError::Broken { .. }), "{place}");
    }
}

#[test]
fn every_changed_byte_is_noticed() {
    let sealed = sealer(&[1]).seal(&PLACE, b"secret", NONCE);
    for n in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[n] ^= 1;
        assert!(sealer(&[1]).open(&PLACE, &changed).is_err(), "byte {n}");
        assert!(sealer(&[1]).open(&PLACE, &sealed[..n]).is_err(), "cut at {n}");
    }
}

#[test]
fn a_wrong_key_is_one_clear_sentence_and_no_secret() {
    let sealed = sealer(&[1]).seal(&PLACE, b"secret", NONCE);
    let error = sealer(&[2]).open(&PLACE, &sealed).unwrap_err();
    let (needed, given) = (key(1).id(), key(2).id());
    assert_eq!(
        error.to_string(),
        format!(
            "the secret in api_key.secret of SK00000000000000000000000000000001 was sealed with \
             key {needed}, and the keys given are {given}; give the key it was sealed with"
        )
    );
}

#[test]
fn after_a_change_of_keys_the_old_one_still_opens() {
    let old = sealer(&[1]).seal(&PLACE, b"secret", NONCE);
    let both = sealer(&[2, 1]);
    assert!(both.is_old(&old));
    let secret = both.open(&PLACE, &old).unwrap();
    let new = both.seal(&PLACE, secret.expose(), [8; 12]);
    assert!(!both.is_old(&new));
    assert_eq!(sealer(&[2]).open(&PLACE, &new).unwrap().expose_str(), Some("secret"));
}

#[test]
fn an_old_key_is_needed_until_nobody_holds_it() {
    let sealer = Sealer::new(&[key(1)]);
    assert!(sealer.is_settled());
    let held = sealer.ring();
    sealer.take_up(&[key(2), key(1)]);
    assert_eq!((held.id(), sealer.id()), (key(1).id(), key(2).id()));
    let again = held.clone();
    drop(held);
    assert!(!sealer.is_settled());
    sealer.take_up(&[key(3), key(2)]);
    // What is sealed this late still opens.
    let late = again.seal(&PLACE, b"secret", NONCE);
    drop(again);
    assert!(sealer.is_settled());
    assert_eq!(sealer.open(&PLACE, &late).unwrap().expose(), b"secret");
    assert!(sealer.ring().is_old(&late));
}

#[test]
fn nothing_secret_shows() {
    let sealed = sealer(&[1]).seal(&PLACE, b"secret", NONCE);
    let secret = sealer(&[1]).open(&PLACE, &sealed).unwrap();
    let shown = format!("{secret:?} {:?} {:?} {:?}", key(1), sealer(&[1]), Sealer::new(&[key(1)]));
    assert!(!shown.contains("secret") && !shown.contains("0101"), "{shown}");
}

#[test]
fn keys_are_read_one_per_line() {
    let text = format!("# the present one\n{}\n\n  {}  \n", key(1).hex(), key(2).hex().to_uppercase());
    let keys = parse_keys(&text).unwrap();
    assert_eq!([keys[0].id(), keys[1].id()], [key(1).id(), key(2).id()]);
    assert!(matches!(parse_keys("\n# none"), Err(KeyFileError::Empty)));
    let wrong = parse_keys(&format!("{}\nabc", key(1).hex())).unwrap_err();
    assert!(wrong.to_string().contains("line 2"), "{wrong}");
    assert!(!wrong.to_string().contains("abc"), "{wrong}");
    let not_ascii = "é".repeat(32);
    assert!(parse_keys(&not_ascii).is_err());
}

#[test]
fn a_key_file_is_private_and_never_overwritten() {
    let folder = testkit::temp_dir();
    let path = folder.join("seal.key");
    create_key_file(&path, &key(1)).unwrap();
    let read = read_key_file(&path).unwrap();
    assert_eq!((read.len(), read[0].id()), (1, key(1).id()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let error = create_key_file(&path, &key(2)).unwrap_err();
    assert!(error.to_string().starts_with(&format!("the key file {}", path.display())), "{error}");
    assert_eq!(read_key_file(&path).unwrap()[0].id(), key(1).id());
}

#[test]
fn a_missing_key_file_is_one_sentence() {
    let folder = testkit::temp_dir();
    let error = read_key_file(&folder.join("none")).unwrap_err();
    assert!(error.to_string().contains("cannot be used: No such file"), "{error}");
}
