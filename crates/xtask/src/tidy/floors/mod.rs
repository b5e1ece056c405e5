//! The import rule: the rooms of a crate stand on floors, and nothing uses what is above it.
//!
//! A room is a module below the crate's root with all that is in it, a deeper module that `tidy.json` names, or
//! several modules that it declares to be one. Rooms of one floor may use each other, but not in a circle.

mod modules;
mod plan;
mod summary;

use std::collections::{BTreeMap, BTreeSet};

use modules::Modules;
use plan::{Plan, ROOT};
pub(crate) use summary::{exceptions, summary};

use super::config::{Config, FILE};
use super::{Problem, Tree};

/// One use of a room by another.
#[derive(Clone, Debug)]
struct Arrow {
    from: String,
    to: String,
    file: String,
    line: usize,
    path: String,
}

/// A crate's rooms and arrows, beside its plan.
struct Survey<'c> {
    plan: &'c Plan<'c>,
    /// Every module, with its file.
    modules: BTreeMap<String, String>,
    arrows: Vec<Arrow>,
}

pub(crate) fn check(tree: &Tree, config: &Config) -> Vec<Problem> {
    let plans = Plan::all(config);
    let mut problems = without_plan(tree, &plans);
    for plan in &plans {
        problems.extend(unreadable(tree, plan));
        problems.extend(Survey::of(tree, plan).problems());
    }
    problems
}

/// A crate that nobody has given floors is one where nothing is checked.
fn without_plan(tree: &Tree, plans: &[Plan<'_>]) -> Vec<Problem> {
    let roots = tree.below("crates/").filter_map(|(path, _)| {
        let (krate, file) = path.strip_prefix("crates/")?.split_once('/')?;
        ["src/lib.rs", "src/main.rs"].contains(&file).then_some(krate)
    });
    let crates: BTreeSet<&str> = roots.collect();
    let missing = crates.iter().filter(|krate| plans.iter().all(|plan| plan.krate != **krate));
    let problem = |krate: &&str| {
        let what = format!("the crate `{krate}` has no floors");
        Problem::new(FILE, 0, what, format!("write \"{krate}\" under \"floors\", with its modules, bottom first"))
    };
    missing.map(problem).collect()
}

fn unreadable(tree: &Tree, plan: &Plan<'_>) -> Vec<Problem> {
    let source = plan.source();
    let files = tree.below(&source).filter(|(path, _)| tree.rust(path).is_some_and(|rust| rust.syntax.is_none()));
    let problem = |(path, _)| Problem::new(path, 0, "cannot be read as Rust", "see what `cargo check` says of it");
    files.map(problem).collect()
}

impl<'c> Survey<'c> {
    fn of(tree: &Tree, plan: &'c Plan<'c>) -> Survey<'c> {
        let mut survey = Survey { plan, modules: BTreeMap::new(), arrows: Vec::new() };
        for root in ["lib.rs", "main.rs"] {
            if let Some(modules) = Modules::read(tree, &format!("{}{root}", plan.source())) {
                survey.add(&modules);
            }
        }
        survey
    }

    fn add(&mut self, modules: &Modules) {
        for (path, module) in modules.iter() {
            self.modules.insert(path.to_owned(), module.file.clone());
            let from = self.plan.room(path);
            for mention in &module.mentions {
                let targets = modules.resolve(path, mention);
                for to in targets.iter().map(|target| self.plan.room(target)).collect::<BTreeSet<&str>>() {
                    if to != from {
                        let (from, to, file) = (from.to_owned(), to.to_owned(), module.file.clone());
                        self.arrows.push(Arrow { from, to, file, line: mention.line, path: mention.shown() });
                    }
                }
            }
        }
    }

    fn rooms(&self) -> BTreeSet<&str> {
        self.modules.keys().map(|module| self.plan.room(module)).filter(|room| *room != ROOT).collect()
    }

    fn is_upward(&self, arrow: &Arrow) -> bool {
        self.plan.floor(&arrow.from) < self.plan.floor(&arrow.to)
    }

    fn is_level(&self, arrow: &Arrow) -> bool {
        self.plan.floor(&arrow.from) == self.plan.floor(&arrow.to)
    }

    fn problems(&self) -> Vec<Problem> {
        let mut problems = self.faults_of_the_plan();
        let counted = |arrow: &&Arrow| !self.plan.excepts(&arrow.file, &arrow.to);
        problems
            .extend(self.arrows.iter().filter(counted).filter(|arrow| self.is_upward(arrow)).map(|a| self.upward(a)));
        let level: Vec<&Arrow> = self.arrows.iter().filter(counted).filter(|arrow| self.is_level(arrow)).collect();
        problems.extend(circles(&level).iter().map(|rooms| self.circle(&level, rooms)));
        problems.extend(self.exceptions_without_need());
        problems
    }

    /// Rooms without a floor, floors without a room, and declared rooms without a reason.
    fn faults_of_the_plan(&self) -> Vec<Problem> {
        let krate = self.plan.krate;
        let problem = |what: String, fix: &str| Problem::new(FILE, 0, format!("{krate}: {what}"), fix);
        let rooms = self.rooms();
        let mut problems = Vec::new();
        for room in rooms.iter().filter(|room| self.plan.floor(room).is_none()) {
            let file = self.modules.get(*room).map_or(FILE, String::as_str);
            let fix = format!("enter it on the lowest floor that holds all it uses, under \"floors\" in {FILE}");
            problems.push(Problem::new(file, 0, format!("the room `{room}` of {krate} stands on no floor"), fix));
        }
        let mut placed = BTreeSet::new();
        for room in self.plan.floors.iter().flat_map(|floor| &floor.rooms) {
            if !placed.insert(room) {
                problems.push(problem(format!("the room `{room}` stands on two floors"), "leave it on one"));
            }
            if !rooms.contains(room) {
                problems.push(problem(format!("the room `{room}` has no module"), "remove it from its floor"));
            }
        }
        for (room, (is, reason)) in &self.plan.one {
            if reason.is_empty() {
                let fix = "say why its modules are one thing, or give each a floor of its own";
                problems.push(problem(format!("`{room}` is declared as one room without a reason"), fix));
            }
            for module in is.iter().filter(|module| !self.modules.contains_key(**module)) {
                problems.push(problem(format!("`{room}` has a module `{module}`, which is gone"), "remove it"));
            }
        }
        problems
    }

    fn upward(&self, arrow: &Arrow) -> Problem {
        let (from, to) = (&arrow.from, &arrow.to);
        let floor = |room: &str| self.plan.floor_name(room);
        let what = format!(
            "`{from}` (floor {}) uses `{to}` (floor {}), which stands above it: {}",
            floor(from),
            floor(to),
            arrow.path
        );
        let fix = format!(
            "move what both need down to `{from}` or below it, pass it in as an argument, or call `{from}` from \
             above; if the floors are wrong, mend them in {FILE}"
        );
        Problem::new(&arrow.file, arrow.line, what, fix)
    }

    fn circle(&self, arrows: &[&Arrow], rooms: &[String]) -> Problem {
        let round: Vec<&Arrow> = (0..rooms.len()).filter_map(|at| between(arrows, rooms, at)).collect();
        let steps: Vec<String> = round
            .iter()
            .map(|arrow| format!("`{}` uses `{}` ({}:{})", arrow.from, arrow.to, arrow.file, arrow.line))
            .collect();
        let floor = self.plan.floor_name(&rooms[0]);
        let what = format!("rooms of the floor {floor} use each other in a circle: {}", steps.join(", "));
        let fix = format!(
            "move the definition that one of these needs to where both can use it; or declare the modules one room \
             in {FILE}, with the reason why they are one thing"
        );
        let (file, line) = round.first().map_or((FILE, 0), |arrow| (arrow.file.as_str(), arrow.line));
        Problem::new(file, line, what, fix)
    }

    /// Arrows that exceptions are for: those against the order, and those that close a circle.
    fn against_order(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let level: Vec<&Arrow> = self.arrows.iter().filter(|arrow| self.is_level(arrow)).collect();
        let knots = knots(&level);
        let is_in_knot =
            |arrow: &Arrow| knots.iter().any(|knot| knot.contains(&arrow.from) && knot.contains(&arrow.to));
        let mut against: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for arrow in self.arrows.iter().filter(|arrow| self.is_upward(arrow) || is_in_knot(arrow)) {
            against.entry(&arrow.file).or_default().insert(&arrow.to);
        }
        against
    }

    fn exceptions_without_need(&self) -> Vec<Problem> {
        let against = self.against_order();
        let mut problems = Vec::new();
        for (file, rooms) in &self.plan.exceptions {
            let needed = |room: &&&str| against.get(file).is_some_and(|rooms| rooms.contains(**room));
            for room in rooms.iter().filter(|room| !needed(room)) {
                let what = format!("{file} may use `{room}` against the order, and no longer does");
                problems.push(Problem::new(FILE, 0, what, format!("thank you; remove `{room}` from its exceptions")));
            }
        }
        problems
    }
}

/// The first arrow from a room of a circle to the next one.
fn between<'a>(arrows: &[&'a Arrow], rooms: &[String], at: usize) -> Option<&'a Arrow> {
    let (from, to) = (&rooms[at], &rooms[(at + 1) % rooms.len()]);
    arrows.iter().find(|arrow| arrow.from == *from && arrow.to == *to).copied()
}

fn graph<'a>(arrows: &[&'a Arrow]) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut graph: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for arrow in arrows {
        graph.entry(&arrow.from).or_default().insert(&arrow.to);
    }
    graph
}

fn reached<'a>(graph: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut next: Vec<&str> = graph.get(from).into_iter().flatten().copied().collect();
    while let Some(room) = next.pop() {
        if seen.insert(room) {
            next.extend(graph.get(room).into_iter().flatten());
        }
    }
    seen
}

/// Sets of rooms that each reach all others of their set.
fn knots(arrows: &[&Arrow]) -> Vec<BTreeSet<String>> {
    let graph = graph(arrows);
    let reach: BTreeMap<&str, BTreeSet<&str>> = graph.keys().map(|room| (*room, reached(&graph, room))).collect();
    let mut knots: BTreeSet<BTreeSet<String>> = BTreeSet::new();
    for (room, reached) in reach.iter().filter(|(room, reached)| reached.contains(*room)) {
        let comes_back = |other: &&&str| reach.get(**other).is_some_and(|back| back.contains(room));
        knots.insert(reached.iter().filter(comes_back).map(|other| (*other).to_owned()).collect());
    }
    knots.into_iter().collect()
}

/// One shortest way round in each knot.
fn circles(arrows: &[&Arrow]) -> Vec<Vec<String>> {
    let graph = graph(arrows);
    let rounds = |knot: &BTreeSet<String>| knot.iter().filter_map(|room| way_round(&graph, room)).min_by_key(Vec::len);
    knots(arrows).iter().filter_map(rounds).collect()
}

/// The rooms of a shortest way from a room back to itself.
fn way_round(graph: &BTreeMap<&str, BTreeSet<&str>>, start: &str) -> Option<Vec<String>> {
    let mut ways = vec![vec![start]];
    let mut seen = BTreeSet::new();
    let mut at = 0;
    while let Some(way) = ways.get(at).cloned() {
        at += 1;
        for next in graph.get(way.last()?).into_iter().flatten() {
            if *next == start {
                return Some(way.iter().map(|room| (*room).to_owned()).collect());
            }
            if seen.insert(*next) {
                ways.push([way.as_slice(), &[*next]].concat());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests;
