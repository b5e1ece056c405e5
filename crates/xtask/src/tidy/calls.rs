//! Where the service asks whether somebody may do a thing: every call of `roles::may`, and of what asks it.
//!
//! `tidy` holds that each call has its cases in the table of permissions; `mutate` leaves one out at a time.

use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::{Config, Tree, is_test_file};

/// Where they are.
pub(crate) const SOURCE: &str = "crates/server/src/";

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// Below [`SOURCE`].
    pub file: String,
    pub line: usize,
    /// The call on one line, without an `.await`.
    pub call: String,
    /// The bytes of the expression, with its `.await`.
    pub from: usize,
    pub until: usize,
}

/// All of them, by file and line. What is named `may…` counts, and what the list of `tidy.json` adds; not
/// what it says is about something else.
pub(crate) fn asks(tree: &Tree, config: &Config) -> Vec<Ask> {
    let (also, others) = (config.list("/asks/also"), config.entries("/asks/others"));
    let counts = |callee: &str| {
        let name = callee.rsplit([':', '.']).next().unwrap_or(callee);
        let is_other = others.iter().any(|(other, _)| *other == name || *other == callee);
        (name == "may" || name.starts_with("may_") || also.contains(&name)) && !is_other
    };
    let is_other = |path: &str| others.iter().any(|(other, _)| other.ends_with('/') && path.starts_with(other));
    let files = tree.below(SOURCE).filter(|(path, _)| path.ends_with(".rs") && !is_test_file(path) && !is_other(path));
    files.flat_map(|(path, text)| in_file(tree, path, text, &counts)).collect()
}

fn in_file(tree: &Tree, path: &str, text: &str, counts: &dyn Fn(&str) -> bool) -> Vec<Ask> {
    let Some(syntax) = tree.rust(path).and_then(|rust| rust.syntax.as_ref()) else { return Vec::new() };
    let file = path.strip_prefix(SOURCE).unwrap_or(path);
    let mut finder = Finder { file, text, counts, found: Vec::new() };
    finder.visit_file(syntax);
    finder.found.sort_by_key(|(open, _)| *open);
    finder.found.into_iter().map(|(_, ask)| ask).collect()
}

struct Finder<'t> {
    file: &'t str,
    text: &'t str,
    counts: &'t dyn Fn(&str) -> bool,
    /// Calls, with where their arguments begin.
    found: Vec<(usize, Ask)>,
}

impl Finder<'_> {
    /// Notes an expression if it is a call that counts; it reaches `until`, or to its own end.
    fn note(&mut self, expression: &syn::Expr, until: Option<usize>) {
        let parenthesis = match expression {
            syn::Expr::Call(call) if matches!(*call.func, syn::Expr::Path(_)) => call.paren_token,
            syn::Expr::MethodCall(call) => call.paren_token,
            _ => return,
        };
        let (whole, open) = (expression.span().byte_range(), parenthesis.span.open());
        if !(self.counts)(&one_line(&self.text[whole.start..open.byte_range().start])) {
            return;
        }
        let (file, line) = (self.file.to_owned(), open.start().line);
        let (from, until) = (whole.start, until.unwrap_or(whole.end));
        let ask = Ask { file, line, call: one_line(&self.text[whole]), from, until };
        self.found.push((open.byte_range().start, ask));
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_expr(&mut self, expression: &'ast syn::Expr) {
        if let syn::Expr::Await(wait) = expression {
            self.note(&wait.base, Some(wait.await_token.span.byte_range().end));
            // Its base has been noted; what is within the base has not.
            return visit::visit_expr(self, &wait.base);
        }
        self.note(expression, None);
        visit::visit_expr(self, expression);
    }

    /// Arguments of a macro, where they are expressions: `matches!`, `assert!`, `format!`.
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let Ok(arguments) = call.parse_body_with(Punctuated::<syn::Expr, syn::Token![,]>::parse_terminated) else {
            return;
        };
        let mut inside = Finder { file: self.file, text: self.text, counts: self.counts, found: Vec::new() };
        arguments.iter().for_each(|argument| inside.visit_expr(argument));
        self.found.append(&mut inside.found);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const LISTS: &str = r#""asks": {"also": ["must_see"], "others": {"may_read": "a socket", "keys::may": "a key", "crates/server/src/keys/": "keys"}}"#;

    #[test]
    fn calls_are_found_whole_and_nothing_else_is() {
        let text = "use roles::may;\nfn may(a: B) {}\n// not may(here)\nfn f() {\n    room\n        .x();\n    \
                    if a && !room.may(cx, P::One(1))\n        .await.is_ok() { may_read(); keys::may(x)?; }\n    \
                    enter(cx, (1, 2)).await?.must_see(cx)\n}\n#[cfg(test)]\nmod tests {\n fn g() { may(1); } }\n";
        let config = Config::parse(&format!("{{{LISTS}}}")).unwrap();
        let files = [
            ("crates/server/src/a/b.rs", text),
            ("crates/x/src/c.rs", "may(1);"),
            ("crates/server/src/keys/mod.rs", "may(1);"),
        ];
        let found = asks(&Tree::of(&files), &config);
        let seen: Vec<_> = found.iter().map(|ask| (ask.file.as_str(), ask.line, ask.call.as_str())).collect();
        let whole = "enter(cx, (1, 2)).await?.must_see(cx)";
        assert_eq!(seen, [("a/b.rs", 7, "room.may(cx, P::One(1))"), ("a/b.rs", 9, whole)]);
        assert_eq!(&text[found[1].from..found[1].until], whole);
        let text = "fn f() { may_be(cx).await?; }";
        let found = asks(&Tree::of(&[("crates/server/src/a.rs", text)]), &config);
        assert_eq!(&text[found[0].from..found[0].until], "may_be(cx).await");
    }
}
