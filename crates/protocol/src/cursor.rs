//! Where the next page of a list begins: the sort key of the last row, made opaque.
//!
//! A keyset, not an offset: paging stays whole while rows come and go.

/// The sort key of the last row of a page, as texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(Vec<String>);

impl Cursor {
    /// A cursor after the row with this sort key.
    pub fn new(key: impl IntoIterator<Item = String>) -> Self {
        Self(key.into_iter().collect())
    }

    /// The token of the page after the row: `PT` and hex digits; callers treat it as opaque.
    pub fn token(&self) -> String {
        self.written("PT")
    }

    /// The token of the page before the row: `PB` and hex digits.
    pub fn token_before(&self) -> String {
        self.written("PB")
    }

    fn written(&self, prefix: &str) -> String {
        let mut token = String::from(prefix);
        for byte in self.0.join("\u{1f}").bytes() {
            token.push_str(&format!("{byte:02x}"));
        }
        token
    }

    /// Reads a token that [`Cursor::token`] made; anything else, or over 2 KiB, is `None`.
    pub fn parse(token: &str) -> Option<Self> {
        Self::read(token, "PT")
    }

    /// Reads a token that [`Cursor::token_before`] made.
    pub fn parse_before(token: &str) -> Option<Self> {
        Self::read(token, "PB")
    }

    fn read(token: &str, prefix: &str) -> Option<Self> {
        let digits = token.strip_prefix(prefix).filter(|digits| digits.len() <= 2048 && digits.is_ascii())?;
        if digits.len() % 2 != 0 {
            return None;
        }
        let bytes: Option<Vec<u8>> =
            (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok()).collect();
        // A key never holds a NUL, which PostgreSQL would not take as a text.
        let text = String::from_utf8(bytes?).ok().filter(|text| !text.contains('\0'))?;
        Some(Self(text.split('\u{1f}').map(str::to_owned).collect()))
    }

    /// The same, with the number of rows that lie before the place that it names.
    #[must_use]
    pub fn with_offset(mut self, offset: i64) -> Self {
        self.0.push(offset.to_string());
        self
    }

    /// Takes apart what [`Cursor::with_offset`] put together; `None` if there is no offset, or a negative one.
    pub fn split_offset(mut self) -> Option<(Self, i64)> {
        let offset = self.0.pop()?.parse().ok().filter(|offset| *offset >= 0)?;
        Some((self, offset))
    }

    /// The part at `place` of the sort key.
    pub fn text(&self, place: usize) -> Option<&str> {
        self.0.get(place).map(String::as_str)
    }

    /// The part at `place` as a number.
    pub fn number(&self, place: usize) -> Option<i64> {
        self.text(place)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_whole_and_foreign_text_does_not() {
        let cursor = Cursor::new(["1700".to_owned(), "CHé".to_owned()]);
        assert_eq!(Cursor::parse(&cursor.token()), Some(cursor.clone()));
        assert_eq!(Cursor::parse_before(&cursor.token_before()), Cursor::parse(&cursor.token()));
        assert_eq!(Cursor::parse(&cursor.token_before()), None);
        for foreign in ["", "PT0", "PTzz", "PTff", "PT6100", "1700"] {
            assert_eq!(Cursor::parse(foreign), None, "{foreign}");
        }
    }
}
