// SPDX-License-Identifier: Apache-2.0
//! The licence audit's `summarize` in Rust: one paragraph a colleague can read, and a verdict that follows from the licences'
//! categories. A port of examples/licence_audit/summarize.py that gives the same answers.

use serde::{Deserialize, Serialize};

use crate::pb::{Failure, Payload};
use crate::spdx::{Verdict, verdict};
use crate::work::{Task, invalid, json, text};

#[derive(Deserialize)]
struct Audit {
    name: String,
    version: String,
    licence: String,
    facts: Facts,
    #[serde(default)]
    decision: String,
}

#[derive(Deserialize)]
struct Facts {
    holders: Vec<Holder>,
    permits: Vec<Clause>,
    requires: Vec<Clause>,
    forbids: Vec<Clause>,
    patents: Vec<String>,
}

#[derive(Deserialize)]
struct Holder {
    name: String,
    #[serde(default)]
    years: String,
}

#[derive(Deserialize)]
struct Clause {
    label: String,
}

#[derive(Serialize)]
struct Summary {
    text: String,
    verdict: Verdict,
    method: &'static str,
}

pub fn handle(task: &Task) -> Result<Payload, Failure> {
    let audit: Audit = serde_json::from_str(text(&task.envelope.input).unwrap_or("null")).map_err(invalid)?;
    let verdict = verdict(&audit.licence);
    let summary = Summary { text: paragraph(&audit, verdict), verdict, method: "rules" };
    serde_json::to_string(&summary).map(json).map_err(invalid)
}

fn paragraph(audit: &Audit, verdict: Verdict) -> String {
    let name = format!("{} {}", audit.name, audit.version);
    let name = name.trim();
    let mut sentences = vec![match audit.licence.as_str() {
        "" => format!("{name}: no licence."),
        licence => format!("{name} comes under {licence}, {}.", means(verdict)),
    }];
    sentences.push(who(&audit.facts.holders));
    let clauses =
        [("permits", &audit.facts.permits), ("requires", &audit.facts.requires), ("rules out", &audit.facts.forbids)];
    for (verb, clauses) in clauses {
        sentences.extend(listed(clauses).map(|labels| format!("It {verb} {labels}.")));
    }
    if !audit.facts.patents.is_empty() {
        sentences.push("It speaks of patents.".into());
    }
    if !audit.decision.is_empty() {
        sentences.push(audit.decision.clone());
    }
    sentences.join(" ")
}

fn means(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Permissive => "a permissive licence",
        Verdict::WeakCopyleft => "a weak copyleft licence: changes to its own files stay under it",
        Verdict::StrongCopyleft => "a strong copyleft licence: a work that contains it goes under it as a whole",
        Verdict::Unknown => "terms that could not be judged",
    }
}

fn who(holders: &[Holder]) -> String {
    let named = |one: &Holder| match one.years.as_str() {
        "" => one.name.clone(),
        years => format!("{} ({years})", one.name),
    };
    let first: Vec<String> = holders.iter().take(3).map(named).collect();
    match holders.len() {
        0 => "No copyright holder is named.".into(),
        count @ 4.. => format!("Copyright: {} and {} more.", first.join(", "), count - 3),
        _ => format!("Copyright: {}.", first.join(", ")),
    }
}

fn listed(clauses: &[Clause]) -> Option<String> {
    let labels: Vec<&str> = clauses.iter().map(|one| one.label.as_str()).collect();
    match labels.as_slice() {
        [] => None,
        [only] => Some(only.to_string()),
        [labels @ .., last] => Some(format!("{} and {last}", labels.join(", "))),
    }
}
