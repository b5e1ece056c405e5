//! One Rust file as `syn` reads it: its syntax without test code, and what of its text is code, strings or tests.

use std::ops::{Range, RangeInclusive};

use proc_macro2::{Delimiter, Group, LineColumn, Literal, Spacing, Span, TokenStream, TokenTree};

/// A string literal: the line that it begins on, and what stands between its quotes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub line: usize,
    pub text: String,
}

impl Text {
    /// Its lines, with their numbers.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (self.line + index, line))
    }
}

/// What the rules need to know about one Rust file.
pub(crate) struct Rust {
    /// The items of the product, without `#[cfg(test)]`; `None` when the text is not a whole file.
    pub syntax: Option<syn::File>,
    /// Strings, also those of tests.
    pub texts: Vec<Text>,
    /// The text with strings and comments blanked, by lines.
    code: Vec<String>,
    tests: Vec<RangeInclusive<usize>>,
}

impl Rust {
    pub(crate) fn read(text: &str) -> Rust {
        let stream = text.parse::<TokenStream>().unwrap_or_default();
        let lines =
            text.split_inclusive('\n').scan(0, |at, line| Some((std::mem::replace(at, *at + line.len()), line)));
        let lines = lines.map(|(start, line)| (start, line.is_ascii())).collect();
        let mut reader = Reader { source: text, lines, code: blank(text), texts: Vec::new(), tests: Vec::new() };
        let product = reader.read(stream, false);
        let code = String::from_utf8_lossy(&reader.code).lines().map(str::to_owned).collect();
        Rust { syntax: syn::parse2(product).ok(), texts: reader.texts, code, tests: reader.tests }
    }

    /// Whether this line belongs to what is built for tests only.
    pub(crate) fn is_test(&self, line: usize) -> bool {
        self.tests.iter().any(|lines| lines.contains(&line))
    }

    /// The lines of code, with their numbers.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.iter().enumerate().map(|(index, line)| (index + 1, line.as_str()))
    }
}

/// The text with every byte a space, so that code can be written into it where it stood.
fn blank(text: &str) -> Vec<u8> {
    text.bytes().map(|byte| if byte == b'\n' { byte } else { b' ' }).collect()
}

struct Reader<'t> {
    source: &'t str,
    /// Where each line begins, and whether its columns are its bytes.
    lines: Vec<(usize, bool)>,
    code: Vec<u8>,
    texts: Vec<Text>,
    tests: Vec<RangeInclusive<usize>>,
}

impl Reader<'_> {
    /// Notes what the tokens are, and gives them back without those of tests.
    fn read(&mut self, stream: TokenStream, is_test: bool) -> TokenStream {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let mut product = Vec::new();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            if self.is_comment(token) {
                at += comment_length(&tokens[at..]);
            } else if let Some(length) = test_length(&tokens[at..]) {
                let (first, last) = (&tokens[at], &tokens[at + length - 1]);
                self.tests.push(first.span().start().line..=last.span().end().line);
                let skipped = tokens[at..at + length].iter().cloned().collect();
                self.read(skipped_attribute(skipped), true);
                at += length;
            } else {
                product.push(self.token(token.clone(), is_test));
                at += 1;
            }
        }
        product.into_iter().collect()
    }

    /// A doc comment comes as an attribute whose `#` stands where the comment begins.
    fn is_comment(&self, token: &TokenTree) -> bool {
        is_punct(token, '#') && self.source[self.range(token.span())].starts_with('/')
    }

    /// The bytes of a token. `Span::byte_range` says the same, in four times the time.
    fn range(&self, span: Span) -> Range<usize> {
        self.byte(span.start())..self.byte(span.end())
    }

    fn byte(&self, at: LineColumn) -> usize {
        let Some((start, is_ascii)) = self.lines.get(at.line - 1) else { return self.source.len() };
        if *is_ascii {
            return start + at.column;
        }
        self.source[*start..].char_indices().nth(at.column).map_or(self.source.len(), |(byte, _)| start + byte)
    }

    fn token(&mut self, token: TokenTree, is_test: bool) -> TokenTree {
        match token {
            TokenTree::Group(group) => {
                self.copy(self.range(group.span_open()));
                self.copy(self.range(group.span_close()));
                let mut read = Group::new(group.delimiter(), self.read(group.stream(), is_test));
                read.set_span(group.span());
                TokenTree::Group(read)
            }
            TokenTree::Literal(literal) => {
                self.literal(&literal);
                TokenTree::Literal(literal)
            }
            other => {
                self.copy(self.range(other.span()));
                other
            }
        }
    }

    fn copy(&mut self, bytes: Range<usize>) {
        self.code[bytes.clone()].copy_from_slice(&self.source.as_bytes()[bytes]);
    }

    fn literal(&mut self, literal: &Literal) {
        let bytes = self.range(literal.span());
        let written = &self.source[bytes.clone()];
        match (written.find('"'), written.rfind('"')) {
            (Some(open), Some(close)) if open < close => {
                let text = written[open + 1..close].to_owned();
                self.texts.push(Text { line: literal.span().start().line, text });
            }
            _ if written.contains('\'') => {}
            _ => self.copy(bytes),
        }
    }
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

/// `#[doc = …]` and `#![doc = …]` are two tokens and three.
fn comment_length(tokens: &[TokenTree]) -> usize {
    if tokens.get(1).is_some_and(|token| is_punct(token, '!')) { 3 } else { 2 }
}

/// How many tokens belong to `#[cfg(test)]` and what it stands before, when these begin with it.
fn test_length(tokens: &[TokenTree]) -> Option<usize> {
    let (inner, group) = attribute(tokens)?;
    if !asks_for_test(group) {
        return None;
    }
    if inner {
        return Some(tokens.len());
    }
    let mut at = 2;
    while let Some((false, _)) = attribute(&tokens[at..]) {
        at += 2;
    }
    Some(at + thing_length(&tokens[at..]))
}

/// The attribute that tokens begin with, and whether it is an inner one (`#!`).
fn attribute(tokens: &[TokenTree]) -> Option<(bool, &Group)> {
    if !is_punct(tokens.first()?, '#') {
        return None;
    }
    let inner = is_punct(tokens.get(1)?, '!');
    match tokens.get(1 + usize::from(inner))? {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => Some((inner, group)),
        _ => None,
    }
}

/// `cfg(test)`, and `cfg(all(…, test, …))`.
fn asks_for_test(attribute: &Group) -> bool {
    let mut tokens = attribute.stream().into_iter();
    let is_cfg = matches!(tokens.next(), Some(TokenTree::Ident(name)) if name == "cfg");
    let condition = match tokens.next() {
        Some(TokenTree::Group(group)) if is_cfg => group.stream(),
        _ => return false,
    };
    let tokens: Vec<TokenTree> = condition.into_iter().collect();
    match tokens.as_slice() {
        [TokenTree::Ident(name)] => name == "test",
        [TokenTree::Ident(name), TokenTree::Group(group)] if name == "all" => {
            group.stream().into_iter().any(|token| matches!(token, TokenTree::Ident(name) if name == "test"))
        }
        _ => false,
    }
}

/// How many tokens an item, statement, field or arm has: it ends at `;`, at `,`, or with its block.
fn thing_length(tokens: &[TokenTree]) -> usize {
    let mut goes_on_after_a_block = false;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Ident(name) => {
                goes_on_after_a_block |= ["use", "let", "const", "static", "type"].iter().any(|word| name == word);
                // `const fn` ends with its block after all.
                goes_on_after_a_block &= name != "fn";
            }
            TokenTree::Punct(punct) if matches!(punct.as_char(), ';' | ',') => return at + 1,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace && !goes_on_after_a_block => {
                let has_comma = tokens.get(at + 1).is_some_and(|next| is_punct(next, ','));
                return at + 1 + usize::from(has_comma);
            }
            _ => {}
        }
    }
    tokens.len()
}

/// The tokens after the first attribute, so that reading them does not begin anew with it.
fn skipped_attribute(tokens: Vec<TokenTree>) -> TokenStream {
    let inner = tokens.get(1).is_some_and(|token| is_punct(token, '!'));
    tokens.into_iter().skip(2 + usize::from(inner)).collect()
}

/// Paths of at least two names in tokens that are not parsed, with the lines where they begin.
pub(crate) fn paths_in(stream: TokenStream) -> Vec<(usize, Vec<String>)> {
    let mut paths: Vec<(usize, Vec<String>)> = Vec::new();
    let mut now: Option<(usize, Vec<String>)> = None;
    let mut colons = 0;
    let mut end = |now: &mut Option<(usize, Vec<String>)>| paths.extend(now.take().filter(|(_, path)| path.len() > 1));
    let mut inside = Vec::new();
    for token in stream {
        match token {
            TokenTree::Ident(name) => {
                match &mut now {
                    Some((_, path)) if colons == 2 => path.push(name.to_string()),
                    _ => {
                        end(&mut now);
                        now = Some((name.span().start().line, vec![name.to_string()]));
                    }
                }
                colons = 0;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' => {
                colons = if colons == 1 || punct.spacing() == Spacing::Joint { colons + 1 } else { 0 };
            }
            other => {
                end(&mut now);
                colons = 0;
                if let TokenTree::Group(group) = other {
                    inside.push(group.stream());
                }
            }
        }
    }
    end(&mut now);
    paths.extend(inside.into_iter().flat_map(paths_in));
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(source: &str) -> Vec<String> {
        let rust = Rust::read(source);
        rust.code().map(|(_, line)| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    fn texts(source: &str) -> Vec<(usize, String)> {
        Rust::read(source).texts.into_iter().map(|text| (text.line, text.text)).collect()
    }

    #[test]
    fn strings_and_comments_are_not_code() {
        let source = "let a = \"x // y\"; // why\n/// doc\nb('\"', '\\'', 7); /* x /* y */ */ r#type";
        assert_eq!(code(source), ["let a = ;", "", "b( , , 7); r#type"]);
        assert_eq!(texts(source), [(1, "x // y".to_owned())]);
    }

    #[test]
    fn raw_strings_keep_their_text_and_long_ones_their_lines() {
        assert_eq!(texts("r#\"a \" b\"# br\"q\""), [(1, "a \" b".into()), (1, "q".into())]);
        let rust = Rust::read("f(\n\"SELECT\n FROM t\");");
        assert_eq!(rust.texts[0].lines().collect::<Vec<_>>(), [(2, "SELECT"), (3, " FROM t")]);
    }

    #[test]
    fn a_character_outside_ascii_moves_nothing() {
        assert_eq!(code("// é\nlet a = 'é'; f(\"ü\", b);"), ["", "let a = ; f( , b);"]);
    }

    #[test]
    fn test_code_is_left_out_of_the_syntax() {
        let source = "fn a() {}\n#[cfg(test)]\nuse x::{a, b};\n#[cfg(test)]\n#[path = \"p\"]\nmod tests {\n fn t() {}\n}\n\
                      struct S {\n #[cfg(test)]\n x: u8,\n y: u8,\n}\n#[cfg(all(unix, test))]\nconst fn c() {}\n\
                      #[cfg(any(test, unix))]\nfn d() {}\n";
        let rust = Rust::read(source);
        assert_eq!(rust.syntax.as_ref().unwrap().items.len(), 3);
        let tests: Vec<usize> = (1..=17).filter(|line| rust.is_test(*line)).collect();
        assert_eq!(tests, [2, 3, 4, 5, 6, 7, 8, 10, 11, 14, 15]);
        assert!(Rust::read("#![cfg(test)]\nfn a() {}").syntax.unwrap().items.is_empty());
    }

    #[test]
    fn paths_are_found_in_unparsed_tokens() {
        let stream = "a => $crate::x::y(b, c::d) : e".parse().unwrap();
        let paths: Vec<_> = paths_in(stream).into_iter().map(|(_, path)| path.join("::")).collect();
        assert_eq!(paths, ["crate::x::y", "c::d"]);
    }
}
