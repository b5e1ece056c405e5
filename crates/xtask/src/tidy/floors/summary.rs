//! What `cargo xtask tidy --floors` prints: the rooms by floor, the arrows against the order, and the circles.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::plan::Plan;
use super::{Arrow, Survey, knots};
use crate::tidy::{Config, Tree};

/// All crates, or those that are named; for a named one each arrow against the order, too.
pub(crate) fn summary(tree: &Tree, config: &Config, named: &[String]) -> Result<String, String> {
    let plans = Plan::all(config);
    if let Some(unknown) = named.iter().find(|name| plans.iter().all(|plan| plan.krate != **name)) {
        let known: Vec<&str> = plans.iter().map(|plan| plan.krate).collect();
        return Err(format!("no crate `{unknown}` has floors; there are {}", known.join(", ")));
    }
    let chosen = plans.iter().filter(|plan| named.is_empty() || named.iter().any(|name| name == plan.krate));
    Ok(chosen.map(|plan| of_crate(&Survey::of(tree, plan), !named.is_empty())).collect::<Vec<_>>().join("\n"))
}

/// The exceptions that a crate needs today, as they stand in tidy.json.
pub(crate) fn exceptions(tree: &Tree, config: &Config, krate: &str) -> Result<String, String> {
    let plans = Plan::all(config);
    let plan = plans.iter().find(|plan| plan.krate == krate).ok_or(format!("no crate `{krate}` has floors"))?;
    let survey = Survey::of(tree, plan);
    let lines = survey.against_order().into_iter().map(|(file, rooms)| {
        let rooms: Vec<String> = rooms.into_iter().map(|room| format!("\"{room}\"")).collect();
        format!("        \"{file}\": [{}]", rooms.join(", "))
    });
    Ok(lines.collect::<Vec<_>>().join(",\n"))
}

fn of_crate(survey: &Survey<'_>, in_detail: bool) -> String {
    let (plan, rooms) = (survey.plan, survey.rooms());
    let mut text = format!("{}: {} rooms on {} floors, top first\n", plan.krate, rooms.len(), plan.floors.len());
    for (number, floor) in plan.floors.iter().enumerate().rev() {
        let _ = writeln!(text, "  {:>2}  {:<18} {}", number + 1, floor.name, floor.rooms.join(" "));
    }
    for (room, (is, reason)) in &plan.one {
        let _ = writeln!(text, "      one room: {room} = {}: {reason}", is.join(" + "));
    }
    let upward: Vec<&Arrow> = survey.arrows.iter().filter(|arrow| survey.is_upward(arrow)).collect();
    let files: BTreeSet<&str> = upward.iter().map(|arrow| arrow.file.as_str()).collect();
    let pairs: BTreeSet<(&str, &str)> = upward.iter().map(|arrow| (arrow.file.as_str(), arrow.to.as_str())).collect();
    let excepted: usize = plan.exceptions.values().map(Vec::len).sum();
    let _ = writeln!(
        text,
        "  arrows upwards: {} (from {} files; {excepted} excepted), from all mentions {}",
        pairs.len(),
        files.len(),
        upward.len()
    );
    text.push_str(&by_room(&pairs));
    let arrows: Vec<&Arrow> = survey.arrows.iter().collect();
    let knots = knots(&arrows);
    let _ = writeln!(text, "  circles: {}", if knots.is_empty() { "none".to_owned() } else { knots.len().to_string() });
    for knot in knots {
        let rooms: Vec<&str> = knot.iter().map(String::as_str).collect();
        let _ = writeln!(text, "      of {}: {}", rooms.len(), rooms.join(" "));
    }
    if in_detail {
        for arrow in upward {
            let _ = writeln!(text, "  {}:{}  {} → {}  {}", arrow.file, arrow.line, arrow.from, arrow.to, arrow.path);
        }
    }
    text
}

/// The rooms that are used from below, and by how many files.
fn by_room(pairs: &BTreeSet<(&str, &str)>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    pairs.iter().for_each(|(_, to)| *counts.entry(to).or_default() += 1);
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(room, count)| (std::cmp::Reverse(*count), *room));
    let shown: Vec<String> = counts.iter().map(|(room, count)| format!("{room} {count}")).collect();
    if shown.is_empty() { String::new() } else { format!("      to {}\n", shown.join(", ")) }
}
