//! The target for texts that contain a token, or that somebody took for one.

use tertulia_token::{parse, token_in};

use crate::{VALID, judge};

/// What people leave around tokens, before and after.
const WRAPPINGS: [(&str, &str); 10] = [
    ("Bearer ", ""),
    ("\"", "\""),
    ("'", "'"),
    (" ", "\r\n"),
    ("b'", "'"),
    ("<AccessToken ", ">"),
    ("Authorization: ", ""),
    ("TOKEN=", ""),
    ("export TOKEN=", "\n"),
    ("%22", "%22"),
];

/// Any text: its explanation agrees with verification, and a token is left as it is. And a good token in
/// wrappings that the first bytes choose: it is found again.
pub fn explain(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    judge(&text);
    let inner = token_in(&text);
    assert!(inner.len() <= text.len(), "a token longer than the text that it was found in");
    if parse(&text).is_ok() {
        assert_eq!(inner, text, "something was taken off a token");
    }
    let (chosen, rest) = data.split_at(data.len().min(3));
    let wrapped = chosen.iter().fold(VALID[0].to_owned(), |text, byte| {
        let (before, after) = WRAPPINGS[usize::from(*byte) % WRAPPINGS.len()];
        format!("{before}{text}{after}")
    });
    assert_eq!(token_in(&wrapped), VALID[0], "the token in {wrapped:?} was not found");
    // What is signed is never taken for what is only wrapped.
    assert_eq!(judge(&wrapped), wrapped == VALID[0], "a wrapped token was accepted");
    judge(&format!("{}{}", VALID[0], String::from_utf8_lossy(rest)));
}
