//! Templates: from the facts of a login to an identity, reversibly.
//!
//! `{subject}` stands for a fact, written so that it is safe in an identity and can be read back:
//! letters, digits, `-`, `.`, `_`, `@`, `+` and everything beyond ASCII stay, every other byte becomes `~` and
//! two hex digits. So two subjects never become one identity. `{subject:raw}` inserts the fact as it is,
//! `{email:lower}` with its ASCII letters in lower case.

use std::fmt;

use serde::Deserialize;
use tertulia_token::IdentityFault;
use tertulia_token::identity;

use super::policy::Login;

/// Text with places for facts.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Fact { name: String, how: How },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Encoded,
    Raw,
    Lower,
}

/// Why a template came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfilled {
    /// The login has no such fact, or it is no text, number or flag.
    NoFact(String),
    /// What came of it is no identity.
    Identity(IdentityFault),
}

impl fmt::Display for Unfilled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFact(name) => write!(f, "the login has no fact \"{name}\" that is a text, a number or a flag"),
            Self::Identity(fault) => fault.fmt(f),
        }
    }
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find(['{', '}']) {
            let closed = rest[at..].strip_prefix('{').and_then(|inner| inner.split_once('}'));
            let (name, after) =
                closed.ok_or_else(|| format!("the template \"{text}\" has a brace without its other one"))?;
            if at > 0 {
                parts.push(Part::Literal(rest[..at].to_owned()));
            }
            let (name, how) = match name.rsplit_once(':') {
                Some((name, "raw")) => (name, How::Raw),
                Some((name, "lower")) => (name, How::Lower),
                _ => (name, How::Encoded),
            };
            if name.is_empty() {
                return Err(format!("the template \"{text}\" has a place without the name of a fact"));
            }
            parts.push(Part::Fact { name: name.to_owned(), how });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        let tilde = parts.iter().any(|part| matches!(part, Part::Literal(text) if text.contains('~')));
        if tilde {
            return Err(format!("the template \"{text}\" has a ~, which encoded names begin their escapes with"));
        }
        Ok(Self { text, parts })
    }
}

impl Template {
    /// The identity of everybody whom no rule says more about.
    pub fn subject() -> Self {
        Self::try_from("{subject}".to_owned()).expect("a valid template")
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it has no place for a fact.
    pub fn is_literal(&self) -> bool {
        self.facts().next().is_none()
    }

    /// The facts that it has places for.
    pub fn facts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Fact { name, .. } => Some(name.as_str()),
            Part::Literal(_) => None,
        })
    }

    /// Fills it for an identity.
    pub fn identity(&self, login: &Login) -> Result<String, Unfilled> {
        permitted(self.fill(login, encode)?).map_err(Unfilled::Identity)
    }

    /// Fills it with facts as they are: for SIDs and names of things.
    pub fn plain(&self, login: &Login) -> Result<String, Unfilled> {
        self.fill(login, str::to_owned)
    }

    fn fill(&self, login: &Login, usual: impl Fn(&str) -> String) -> Result<String, Unfilled> {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => filled.push_str(text),
                Part::Fact { name, how } => {
                    let value = login.text(name).ok_or_else(|| Unfilled::NoFact(name.clone()))?;
                    filled.push_str(&match how {
                        How::Encoded => usual(&value),
                        How::Raw => value,
                        How::Lower => usual(&value.to_ascii_lowercase()),
                    });
                }
            }
        }
        Ok(filled)
    }
}

/// An identity of what a template came to. Of a reserved name the first letter is escaped, so that it is an identity
/// and can still be read back.
fn permitted(filled: String) -> Result<String, IdentityFault> {
    match identity::check(&filled) {
        Ok(()) => Ok(filled),
        Err(IdentityFault::Reserved(_) | IdentityFault::UserSid) => {
            let mut escaped = String::new();
            escape(&mut escaped, filled.as_bytes()[0]);
            escaped.push_str(&filled[1..]);
            identity::check(&escaped).map(|()| escaped)
        }
        Err(fault) => Err(fault),
    }
}

fn escape(out: &mut String, byte: u8) {
    out.push_str(&format!("~{byte:02X}"));
}

/// What stays as it is. The list is fixed: another one would give people other identities.
fn stays(letter: char) -> bool {
    match letter {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' | '_' | '@' | '+' => true,
        '\0'..='\u{7f}' => false,
        // Controls, spaces that look like others, marks that nobody sees.
        '\u{80}'..='\u{a0}'
        | '\u{ad}'
        | '\u{2000}'..='\u{200f}'
        | '\u{2028}'..='\u{202f}'
        | '\u{205f}'..='\u{206f}' => false,
        '\u{3000}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff0}'..='\u{ffff}' | '\u{e0000}'.. => false,
        _ => true,
    }
}

/// A name, written so that it is safe in an identity; [`decode`] reads it back.
pub fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for letter in name.chars() {
        if stays(letter) {
            out.push(letter);
        } else {
            let mut bytes = [0; 4];
            letter.encode_utf8(&mut bytes).bytes().for_each(|byte| escape(&mut out, byte));
        }
    }
    out
}

/// The name that was encoded, by itself or as an identity; `None` for what comes of no name. So two writings never
/// mean one name, but for a reserved one.
pub fn decode(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((before, after)) = rest.split_once('~') {
        bytes.extend_from_slice(before.as_bytes());
        let digits = after.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &after[2..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    let name = String::from_utf8(bytes).ok()?;
    (encode(&name) == encoded || permitted(encode(&name)).is_ok_and(|identity| identity == encoded)).then_some(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn identity(template: &str, subject: &str) -> Result<String, Unfilled> {
        let login = Login {
            source: "site".to_owned(),
            subject: subject.to_owned(),
            facts: json!({"email": "Ana@Example.com", "id": 7, "nested": {"name": "n"}, "https://x.example/role": "boss",
                "list": ["a"]}),
        };
        Template::try_from(template.to_owned()).unwrap().identity(&login)
    }

    #[test]
    fn odd_names_become_identities_that_can_be_read_back() {
        for (subject, expected) in [
            ("ana", "ana"),
            ("ana@example.com", "ana@example.com"),
            ("名前", "名前"),
            ("auth0|5f7", "auth0~7C5f7"),
            ("a/b c~d", "a~2Fb~20c~7Ed"),
            ("CN=Ana,O=X", "CN~3DAna~2CO~3DX"),
            ("a\u{200b}b", "a~E2~80~8Bb"),
            ("a\0", "a~00"),
            ("system", "~73ystem"),
            ("US00000000000000000000000000000001", "~55S00000000000000000000000000000001"),
        ] {
            let identity = identity("{subject}", subject).unwrap();
            assert_eq!(identity, expected);
            assert_eq!(decode(&identity).as_deref(), Some(subject));
        }
        for wrong in ["~", "~7", "~zz", "~+7", "~FF", "~7c", "~41", "a|", "~73ysten"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_letter_comes_back_and_no_two_names_meet() {
        let mut seen = std::collections::HashMap::new();
        let letters = (0..0x3100).chain(0xfd00..0x1_0100).chain(0xe_0000..0xe_0100).filter_map(char::from_u32);
        for letter in letters {
            let encoded = encode(&letter.to_string());
            assert_eq!(decode(&encoded), Some(letter.to_string()));
            assert_eq!(seen.insert(encoded, letter), None);
        }
        assert_ne!(encode("~41"), encode("A"));
    }

    #[test]
    fn facts_fill_places() {
        for (template, expected) in [
            ("{source}:{subject}", "site:a~3Ab"),
            ("{email:lower}", "ana@example.com"),
            ("{subject:raw}", "a:b"),
            ("u{id}", "u7"),
            ("{nested.name}", "n"),
            ("{https://x.example/role}", "boss"),
            ("fixed", "fixed"),
        ] {
            assert_eq!(identity(template, "a:b").as_deref(), Ok(expected), "{template}");
        }
        assert_eq!(identity("{list}", "a"), Err(Unfilled::NoFact("list".to_owned())));
        assert_eq!(identity("{nested.no}", "a"), Err(Unfilled::NoFact("nested.no".to_owned())));
        assert_eq!(identity("{subject}", ""), Err(Unfilled::Identity(IdentityFault::Empty)));
        assert_eq!(identity("{subject}", &"|".repeat(86)), Err(Unfilled::Identity(IdentityFault::TooLong(258))));
        assert_eq!(identity("{subject:raw}", "a\0"), Err(Unfilled::Identity(IdentityFault::Nul)));
    }

    #[test]
    fn broken_templates_are_refused() {
        for text in ["{", "}", "a}", "{a", "{}", "{:raw}", "~{subject}"] {
            assert!(Template::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
