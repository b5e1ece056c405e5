//! The modules of one crate, from its root on: the names in each, and the paths that its code mentions.

use std::collections::BTreeMap;

use syn::visit::{self, Visit};

use crate::tidy::Tree;
use crate::tidy::rust::paths_in;

/// A path is followed through so many re-exports at most.
const HOPS_MAX: usize = 16;

/// All modules of a crate that are built outside of tests. The root is the empty path.
pub(crate) struct Modules {
    modules: BTreeMap<String, Module>,
}

/// One module, which may share its file with others.
#[derive(Default)]
pub(crate) struct Module {
    pub file: String,
    pub mentions: Vec<Mention>,
    names: BTreeMap<String, Name>,
    globs: Vec<Vec<String>>,
}

/// What a name of a module stands for.
#[derive(Clone, Debug)]
enum Name {
    Module(String),
    Item,
    /// `use`, public or not.
    Path(Vec<String>),
}

/// A path that the code of a module mentions.
#[derive(Debug)]
pub(crate) struct Mention {
    pub line: usize,
    path: Vec<String>,
    /// Whether a `use` says it.
    imports: bool,
}

impl Mention {
    /// As it stands in the text.
    pub(crate) fn shown(&self) -> String {
        self.path.join("::")
    }
}

impl Modules {
    /// Follows `mod` from this file on; `None` when there is no such file.
    pub(crate) fn read(tree: &Tree, root: &str) -> Option<Modules> {
        let syntax = tree.rust(root)?.syntax.as_ref()?;
        let folder = &root[..=root.rfind('/')?];
        let mut modules = Modules { modules: BTreeMap::new() };
        modules.add(tree, "", root, folder, &syntax.items);
        Some(modules)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Module)> {
        self.modules.iter().map(|(path, module)| (path.as_str(), module))
    }

    fn add(&mut self, tree: &Tree, path: &str, file: &str, folder: &str, items: &[syn::Item]) {
        let mut reader = Reader { path, module: Module { file: file.to_owned(), ..Module::default() } };
        let mut exported = Vec::new();
        for item in items {
            reader.name(item, &mut exported);
            reader.visit_item(item);
        }
        self.modules.insert(path.to_owned(), reader.module);
        for name in exported {
            let at = joined(path, &name);
            let at = Name::Path(std::iter::once("crate").chain(at.split("::")).map(str::to_owned).collect());
            let root = self.modules.get_mut("").expect("the root is added first");
            root.names.entry(name).or_insert(at);
        }
        for item in items {
            if let syn::Item::Mod(module) = item {
                self.add_child(tree, path, file, folder, module);
            }
        }
    }

    fn add_child(&mut self, tree: &Tree, path: &str, file: &str, folder: &str, module: &syn::ItemMod) {
        let name = module.ident.to_string();
        let (path, folder) = (joined(path, &name), format!("{folder}{name}/"));
        if let Some((_, items)) = &module.content {
            return self.add(tree, &path, file, &folder, items);
        }
        let places = [format!("{}.rs", folder.trim_end_matches('/')), format!("{folder}mod.rs")];
        for place in places {
            if let Some(syntax) = tree.rust(&place).and_then(|rust| rust.syntax.as_ref()) {
                self.add(tree, &path, &place, &folder, &syntax.items);
            }
        }
    }

    /// The modules of this crate that a mention leads to, and those that it passes as re-exports. A re-export of
    /// the root is its table of contents, and does not count. Empty for what comes from elsewhere.
    pub(crate) fn resolve(&self, from: &str, mention: &Mention) -> Vec<String> {
        let mut found = Vec::new();
        let path = &mention.path;
        // Outside of a `use`, a single name has been imported by one, which is a mention of its own; or by a glob.
        let is_known =
            path.len() == 1 && self.modules.get(from).is_some_and(|module| module.names.contains_key(&path[0]));
        if mention.imports || !is_known {
            self.follow(from, path, &mut found, HOPS_MAX);
        }
        found
    }

    fn follow(&self, from: &str, path: &[String], found: &mut Vec<String>, hops: usize) {
        let (Some((first, mut rest)), true) = (path.split_first(), hops > 0) else { return };
        let mut at = match first.as_str() {
            "crate" => String::new(),
            "self" => from.to_owned(),
            "super" => parent(from),
            name => match self.name(from, name, hops) {
                Some((_, Name::Module(module))) => module,
                Some((holder, Name::Path(path))) if holder == from => {
                    return self.follow(from, &[path.as_slice(), rest].concat(), found, hops - 1);
                }
                Some((holder, name)) => return self.leave(holder, name, rest, found, hops),
                None => return,
            },
        };
        while let Some((name, after)) = rest.split_first() {
            rest = after;
            at = match (name.as_str(), self.name(&at, name, hops)) {
                ("super", _) => parent(&at),
                (_, Some((_, Name::Module(module)))) => module,
                (_, Some((holder, name))) => return self.leave(holder, name, rest, found, hops),
                // Made by a macro, or a name that only the compiler knows to be there.
                (_, None) => break,
            };
        }
        found.push(at);
    }

    /// Ends at an item, or goes on where a re-export leads.
    fn leave(&self, holder: String, name: Name, rest: &[String], found: &mut Vec<String>, hops: usize) {
        if let Name::Path(path) = name {
            self.follow(&holder, &[path.as_slice(), rest].concat(), found, hops - 1);
            if holder.is_empty() {
                return;
            }
        }
        found.push(holder);
    }

    /// What a name in a module stands for, and the module that says so; globs are looked through.
    fn name(&self, module: &str, name: &str, hops: usize) -> Option<(String, Name)> {
        let names = self.modules.get(module)?;
        if let Some(name) = names.names.get(name) {
            return Some((module.to_owned(), name.clone()));
        }
        // Globs of other crates are of no interest, and would be searched for by globs again.
        let is_ours = |glob: &&Vec<String>| {
            glob.first().is_some_and(|first| {
                ["crate", "self", "super"].contains(&first.as_str()) || names.names.contains_key(first)
            })
        };
        names.globs.iter().filter(is_ours).find_map(|glob| {
            let mut found = Vec::new();
            self.follow(module, glob, &mut found, hops.checked_sub(1)?);
            let target = found.last().filter(|target| *target != module)?;
            self.name(target, name, hops - 1)
        })
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}::{name}") }
}

fn parent(path: &str) -> String {
    path.rsplit_once("::").map_or_else(String::new, |(parent, _)| parent.to_owned())
}

struct Reader<'p> {
    path: &'p str,
    module: Module,
}

impl Reader<'_> {
    /// Enters what an item is called; `exported` gets the macros that belong to the root.
    fn name(&mut self, item: &syn::Item, exported: &mut Vec<String>) {
        let name = match item {
            syn::Item::Const(item) => &item.ident,
            syn::Item::Enum(item) => &item.ident,
            syn::Item::Fn(item) => &item.sig.ident,
            syn::Item::Static(item) => &item.ident,
            syn::Item::Struct(item) => &item.ident,
            syn::Item::Trait(item) => &item.ident,
            syn::Item::TraitAlias(item) => &item.ident,
            syn::Item::Type(item) => &item.ident,
            syn::Item::Union(item) => &item.ident,
            syn::Item::Mod(item) => {
                let (name, at) = (item.ident.to_string(), joined(self.path, &item.ident.to_string()));
                self.module.names.insert(name, Name::Module(at));
                return;
            }
            syn::Item::Macro(item) => {
                let Some(name) = &item.ident else { return };
                if item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export")) && !self.path.is_empty()
                {
                    exported.push(name.to_string());
                }
                name
            }
            _ => return,
        };
        // A function may be called as a module is; what goes on behind `::` is the module.
        self.module.names.entry(name.to_string()).or_insert(Name::Item);
    }

    fn mention(&mut self, line: usize, path: Vec<String>, imports: bool) {
        self.module.mentions.push(Mention { line, path, imports });
    }

    fn mention_tokens(&mut self, tokens: proc_macro2::TokenStream) {
        for (line, path) in paths_in(tokens) {
            self.mention(line, path, false);
        }
    }

    fn read_use(&mut self, tree: &syn::UseTree, before: &[String]) {
        match tree {
            syn::UseTree::Path(path) => {
                self.read_use(&path.tree, &[before, &[path.ident.to_string()]].concat());
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.read_use(tree, before)),
            syn::UseTree::Glob(glob) => {
                self.mention(glob.star_token.spans[0].start().line, before.to_vec(), true);
                self.module.globs.push(before.to_vec());
            }
            syn::UseTree::Name(name) => self.import(before, &name.ident, &name.ident),
            syn::UseTree::Rename(rename) => self.import(before, &rename.ident, &rename.rename),
        }
    }

    fn import(&mut self, before: &[String], name: &proc_macro2::Ident, alias: &proc_macro2::Ident) {
        let mut path = before.to_vec();
        let mut alias = alias.to_string();
        if name == "self" {
            // `use a::{self}` is called `a`.
            alias = if alias == "self" { before.last().cloned().unwrap_or_default() } else { alias };
        } else {
            path.push(name.to_string());
        }
        self.mention(name.span().start().line, path.clone(), true);
        // A module is seen by its own name without help; `use a;` of a crate would lead back to itself.
        if path.len() > 1 || path.first() != Some(&alias) {
            self.module.names.entry(alias).or_insert(Name::Path(path));
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    /// A module inside this one has a reader of its own.
    fn visit_item_mod(&mut self, _: &'ast syn::ItemMod) {}

    /// `pub(crate)` and `pub(super)` mention nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if item.leading_colon.is_none() {
            self.read_use(&item.tree, &[]);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if let (None, Some(first)) = (path.leading_colon, path.segments.first()) {
            let line = first.ident.span().start().line;
            self.mention(line, path.segments.iter().map(|segment| segment.ident.to_string()).collect(), false);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.mention_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    /// Derives name paths, and serde names functions by a path in a string.
    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let tokens = match &attribute.meta {
            syn::Meta::List(list) => list.tokens.clone(),
            _ => return,
        };
        for token in tokens.clone() {
            let proc_macro2::TokenTree::Literal(literal) = token else { continue };
            let written = literal.to_string();
            let named = written.trim_matches('"').parse().map(paths_in).unwrap_or_default();
            for (_, path) in named {
                self.mention(literal.span().start().line, path, false);
            }
        }
        self.mention_tokens(tokens);
    }
}
