//! An explanation as text and as JSON.

use std::fmt;

use serde_json::{Value as Json, json};

use super::{Explanation, Outcome, Step};
use crate::refusal::{Check, Refusal};

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.verdict_text(f)?;
        for note in &self.notes[self.told_first..] {
            writeln!(f, "Note: {note}.")?;
        }
        writeln!(f)?;
        // A reason that holds for many checks is said once.
        for steps in self.steps.chunk_by(|a, b| a.is_skipped() && b.is_skipped() && a.found == b.found) {
            match steps {
                [first, .., last] if steps.len() > 3 => {
                    writeln!(f, "  -     {} to {}: {}", first.check, last.check, first.found)?;
                }
                _ => steps.iter().try_for_each(|step| step.fmt(f))?,
            }
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

impl Explanation {
    /// The first sentences: what this is, and whether and why it is refused.
    fn verdict_text(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.opening())?;
        let Some(refusal) = &self.refusal else {
            return f.write_str(match self.is_valid() {
                true => "\nIt is valid.\n",
                false => "\nNo check failed; those marked - could not be made.\n",
            });
        };
        let Refusal { code, check, found, .. } = refusal;
        let name = refusal.name();
        if (Check::ChatIdentity..Check::Revocation).contains(check) {
            write!(f, " It is good as such, but does not open the chat service.")?;
        }
        match check {
            Check::Revocation => writeln!(f, "\nIt is refused: {code} {name}."),
            Check::Form if self.told_first > 0 => writeln!(f, "\nAs it stands it is refused: {code} {name}."),
            _ => writeln!(f, "\nIt is refused: {code} {name} ({check}): found {found}."),
        }
    }

    /// What this is. What stands around a token or damaged it is the first cause, and so is a revocation when
    /// everything else is right.
    fn opening(&self) -> String {
        let kind = self.kind;
        let told = self.notes[..self.told_first].join("; ");
        match &self.refusal {
            Some(Refusal { check: Check::Revocation, found, .. }) => {
                format!("This is {kind} that was revoked: {found}.")
            }
            _ if told.is_empty() => format!("This is {kind}."),
            _ if self.is_wrapped => format!("This text contains {kind}: {told}."),
            _ => format!("This is {kind}, but damaged: {told}."),
        }
    }
}

impl Step {
    fn is_skipped(&self) -> bool {
        self.outcome == Outcome::Skipped
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
    /// `valid`, `refused`, or `unknown` when no check failed but some could not be made.
    fn verdict(&self) -> &'static str {
        match &self.refusal {
            Some(_) => "refused",
            None if self.is_valid() => "valid",
            None => "unknown",
        }
    }

    /// The explanation as JSON.
    #[must_use]
    pub fn to_json(&self) -> Json {
        json!({
            "kind": self.kind.name(),
            "verdict": self.verdict(),
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
