//! An explanation as text and as JSON.

use std::fmt;

use serde_json::{Value as Json, json};

use super::{Explanation, Outcome, Step};

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "This is {}.", self.kind)?;
        match &self.refusal {
            Some(refusal) => writeln!(f, "It is refused: {} {}.", refusal.code, refusal.name())?,
            None if self.is_valid() => writeln!(f, "It is valid.")?,
            None => writeln!(f, "No check failed; those marked - could not be made.")?,
        }
        for note in &self.notes {
            writeln!(f, "Note: {note}.")?;
        }
        writeln!(f)?;
        for step in &self.steps {
            step.fmt(f)?;
        }
        if !self.changes.is_empty() {
            writeln!(f, "\nWhat to change:")?;
        }
        for change in &self.changes {
            writeln!(f, "  * {change}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Step { check, outcome, found, expected } = self;
        let name = check.name();
        match outcome {
            Outcome::Passed => writeln!(f, "  ok    {name:<15} {found}"),
            Outcome::Failed(code) => {
                writeln!(f, "  {code:<5} {name:<15} found {found}")?;
                writeln!(f, "  {:<21} expected {expected}", "")
            }
            Outcome::Skipped => writeln!(f, "  -     {name:<15} {found}"),
        }
    }
}

impl Explanation {
    /// The explanation as JSON.
    #[must_use]
    pub fn to_json(&self) -> Json {
        json!({
            "kind": self.kind.name(),
            "valid": self.is_valid(),
            "code": self.refusal.as_ref().map(|refusal| refusal.code),
            "message": self.refusal.as_ref().map(|refusal| refusal.name()),
            "failed_check": self.refusal.as_ref().map(|refusal| refusal.check.name()),
            "steps": self.steps.iter().map(step_json).collect::<Vec<_>>(),
            "notes": self.notes,
            "changes": self.changes,
            "payload": self.payload,
        })
    }
}

fn step_json(step: &Step) -> Json {
    let (outcome, code) = match step.outcome {
        Outcome::Passed => ("passed", None),
        Outcome::Failed(code) => ("failed", Some(code)),
        Outcome::Skipped => ("skipped", None),
    };
    json!({
        "check": step.check.name(),
        "outcome": outcome,
        "code": code,
        "found": step.found,
        "expected": step.expected,
    })
}
