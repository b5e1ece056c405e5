//! Form and query parameters: PascalCase names, repeated for lists (REST facts §1).

use std::borrow::Cow;

use percent_encoding::percent_decode;
use tertulia_protocol::sid::Kind;
use tertulia_protocol::{Code, Sid, Timestamp};

use super::{Error, Outcome, text};

/// Parameters of one request; no operation knows nearly as many.
const PAIRS_MAX: usize = 1000;

/// Parameters in the order they came. Unknown names are ignored by whoever reads it.
#[derive(Clone, Debug, Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Reads `application/x-www-form-urlencoded` bytes.
    pub fn parse(bytes: &[u8]) -> Outcome<Self> {
        let not_utf8 = || Error::parameter("A parameter is not application/x-www-form-urlencoded UTF-8");
        // Not the usual crate: it replaces what is not UTF-8 instead of refusing it.
        let decode = |part: &[u8]| {
            let part: Vec<u8> = part.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
            percent_decode(&part).decode_utf8().map(Cow::into_owned).map_err(|_| not_utf8())
        };
        let too_many = bytes.iter().filter(|byte| **byte == b'&').count() >= PAIRS_MAX;
        if too_many {
            return Err(Error::parameter(format!("A request has at most {PAIRS_MAX} parameters")));
        }
        let pairs = bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
        let pair = |pair: &[u8]| {
            let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            Ok((decode(&pair[..end])?, decode(pair.get(end + 1..).unwrap_or_default())?))
        };
        pairs.map(pair).collect::<Outcome<_>>().and_then(Self::from_pairs)
    }

    /// From pairs that are decoded already. One door for all parameters: no NUL comes through it.
    pub fn from_pairs(pairs: Vec<(String, String)>) -> Outcome<Self> {
        for (name, value) in &pairs {
            text::storable("The name of a parameter", name)?;
            text::storable(name, value)?;
        }
        Ok(Self(pairs))
    }

    /// The first value of a parameter.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first value, owned.
    pub fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    /// A thing that an empty value takes away: then `Some(None)`.
    pub fn clearable(&self, name: &str) -> Option<Option<String>> {
        self.text(name).map(|text| Some(text.to_owned()).filter(|text| !text.is_empty()))
    }

    /// An ISO 8601 duration; nothing and zero both take a timer away.
    pub fn timer(&self, name: &str) -> Option<Option<String>> {
        self.clearable(name).map(|timer| timer.filter(|timer| timer != "PT0S"))
    }

    /// Every value of a repeated parameter.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
    }

    /// A parameter that must be there and not be empty.
    pub fn required(&self, name: &str) -> Outcome<&str> {
        let missing = || Error::parameter(format!("Missing required parameter {name} in the post body"));
        self.text(name).filter(|text| !text.is_empty()).ok_or_else(missing)
    }

    /// `true` or `false` in any letter case.
    pub fn flag(&self, name: &str) -> Outcome<Option<bool>> {
        match self.text(name) {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(Error::parameter(format!("{name} must be true or false"))),
        }
    }

    /// A SID, or the given code when it is malformed.
    pub fn sid<K: Kind>(&self, name: &str, malformed: Code) -> Outcome<Option<Sid<K>>> {
        let Some(text) = self.text(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        let refuse = |cause| Error::refused(malformed, format!("{name} is {cause}"));
        Sid::parse(text).map(Some).map_err(refuse)
    }

    /// A date and time, or the given code when it is malformed.
    pub fn date(&self, name: &str, malformed: Code) -> Outcome<Option<Timestamp>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let wrong = || Error::refused(malformed, format!("{name} must look like 2015-12-16T22:18:37Z"));
        text::date(text).map(Some).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_utf_8_is_refused_and_not_replaced() {
        for wrong in [&b"Body=%FF"[..], b"Body=\xff", b"%ED%A0%80=x"] {
            assert!(Form::parse(wrong).is_err());
        }
        let form = Form::parse(b"&a=b=c&d&=e&f=%+%2").unwrap();
        let values = ["a", "d", "", "f"].map(|name| form.text(name));
        assert_eq!(values, [Some("b=c"), Some(""), Some("e"), Some("% %2")]);
    }

    #[test]
    fn neither_a_nul_nor_a_thousand_names_come_in() {
        for wrong in [&b"Unknown=a%00b"[..], b"%00=x", b"a=\0"] {
            assert_eq!(Form::parse(wrong).unwrap_err().code(), Code::ParameterInvalid);
        }
        assert!(Form::parse("a&".repeat(999).as_bytes()).is_ok());
        assert_eq!(Form::parse("a&".repeat(1000).as_bytes()).unwrap_err().code(), Code::ParameterInvalid);
    }

    #[test]
    fn repeated_names_and_percent_escapes() {
        let form = Form::parse(b"Permission=a&Permission=b&Body=%C2%A1hola+se%C3%B1ora%21&Flag=True").unwrap();
        assert_eq!(form.all("Permission"), ["a", "b"]);
        assert_eq!(form.text("Body"), Some("¡hola señora!"));
        assert!(form.flag("Flag").unwrap().unwrap());
        assert!(form.flag("Body").is_err());
        assert!(form.required("FriendlyName").unwrap_err().to_string().contains("FriendlyName"));
    }
}
