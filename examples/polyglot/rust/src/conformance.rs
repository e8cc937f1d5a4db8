// SPDX-License-Identifier: Apache-2.0
//! The capability of the conformance suite that has something to do (tests/conformance/README.md).

use std::fs::OpenOptions;
use std::io::Write;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::pb::{Failure, FailureCode, Payload, TaskEnvelope, TaskProgress};
use crate::work::{Task, failure, invalid, json, text};

#[derive(Deserialize)]
struct Told {
    log: String,
    #[serde(default)]
    progress: Vec<(f64, String)>,
    #[serde(default)]
    emit: Vec<Box<RawValue>>,
    checkpoint: Option<Box<RawValue>>,
    #[serde(default)]
    sleep_ms: u64,
    #[serde(default)]
    crash: bool,
    fail: Option<Fail>,
    #[serde(default)]
    size: usize,
    number: Option<i64>,
}

#[derive(Deserialize)]
struct Fail {
    r#type: String,
    message: String,
    details: Option<Box<RawValue>>,
    retryable: Option<bool>,
    retry_after_ms: Option<u64>,
    until_attempt: Option<i32>,
}

#[derive(Serialize)]
struct Answer<'a> {
    attempt: i32,
    checkpoint: Option<&'a RawValue>,
    filler: String,
    successor: Option<i64>,
}

pub async fn work(task: Task) -> Result<Payload, Failure> {
    let told: Told = serde_json::from_str(text(&task.envelope.input).unwrap_or("null")).map_err(invalid)?;
    let mut log = Log { file: &told.log, task: &task.envelope, last: "canceled" };
    log.note("begin");
    for (fraction, message) in told.progress {
        task.report(TaskProgress { fraction: Some(fraction), message, ..Default::default() });
    }
    for part in told.emit {
        task.report(TaskProgress { partial: Some(json(part.get())), ..Default::default() });
    }
    if let Some(checkpoint) = told.checkpoint {
        task.report(TaskProgress { checkpoint: Some(json(checkpoint.get())), ..Default::default() });
    }
    tokio::time::sleep(Duration::from_millis(told.sleep_ms)).await;
    log.last = "end";
    drop(log);
    if told.crash {
        let nothing: Vec<Payload> = Vec::new();
        return Ok(nothing[told.size].clone()); // the crash that was asked for
    }
    let attempt = task.envelope.attempt;
    if let Some(fail) = told.fail.filter(|fail| fail.until_attempt.is_none_or(|until| attempt <= until)) {
        return Err(Failure {
            retryable: fail.retryable,
            retry_after: fail.retry_after_ms.and_then(|ms| Duration::from_millis(ms).try_into().ok()),
            details: fail.details.map(|details| json(details.get())),
            ..failure(FailureCode::Application, &fail.r#type, fail.message)
        });
    }
    let answer = Answer {
        attempt,
        checkpoint: text(&task.envelope.checkpoint).and_then(|left| serde_json::from_str(left).ok()),
        filler: "x".repeat(told.size),
        successor: told.number.map(|number| number + 1),
    };
    serde_json::to_string(&answer).map(json).map_err(invalid)
}

/// What the handler's file is told when the handler is over, wherever that is: a cancel drops it where it waits.
struct Log<'a> {
    file: &'a str,
    task: &'a TaskEnvelope,
    last: &'static str,
}

impl Log<'_> {
    fn note(&self, word: &str) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.file).expect("the log can be opened");
        let line = format!("{word} {} {}\n", self.task.task_id, self.task.attempt); // one write: handlers share the file
        file.write_all(line.as_bytes()).expect("the log can be written");
    }
}

impl Drop for Log<'_> {
    fn drop(&mut self) {
        self.note(self.last);
    }
}
