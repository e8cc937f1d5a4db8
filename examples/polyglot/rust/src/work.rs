// SPDX-License-Identifier: Apache-2.0
//! What a handler is, and how one is run; nothing here knows how tasks arrive.

use std::any::Any;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{FutureExt, Status, TraceContextExt};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::{AbortHandle, JoinError};

use crate::link::Ours;
use crate::pb::task_result::Outcome;
use crate::pb::{
    Failure, FailureCode, Payload, TaskCompletion, TaskEnvelope, TaskProgress, TaskReport, TaskResult, payload,
};
use crate::{conformance, dial::setting, summarize, traces};

/// One attempt, as a handler sees it. When nobody waits for the result any more, the handler is dropped where it waits.
pub struct Task {
    pub envelope: TaskEnvelope,
    say: UnboundedSender<Ours>,
}

impl Task {
    pub fn report(&self, news: TaskProgress) {
        let progress = TaskProgress { attempt: self.envelope.attempt, ..news };
        let report = TaskReport { task_id: self.envelope.task_id.clone(), progress: Some(progress) };
        let _ = self.say.send(Ours::TaskReport(report));
    }
}

pub fn capabilities() -> &'static [&'static str] {
    if setting("CONFORMANCE").is_some() { &["conf_echo", "conf_work"] } else { &["summarize"] }
}

async fn handle(task: Task) -> Result<Payload, Failure> {
    match task.envelope.capability.as_str() {
        "conf_echo" => Ok(task.envelope.input.unwrap_or_default()),
        "conf_work" => conformance::work(task).await,
        "summarize" => summarize::handle(&task),
        other => Err(failure(FailureCode::InvalidInput, "UnknownCapability", other)),
    }
}

/// Starts the handler as a task of its own, so that a panic or a cancel ends it alone, inside a span that continues the
/// task's trace. Whatever becomes of it is said as one result.
pub fn start(envelope: TaskEnvelope, say: UnboundedSender<Ours>) -> AbortHandle {
    let (task_id, attempt) = (envelope.task_id.clone(), envelope.attempt);
    let traced = traces::span(&envelope);
    let start_time = Some(SystemTime::now().into());
    let handler = tokio::spawn(handle(Task { envelope, say: say.clone() }).with_context(traced.clone()));
    let stop = handler.abort_handle();
    tokio::spawn(async move {
        let answer = handler.await.unwrap_or_else(|end| Err(ended(end)));
        if let Err(failure) = &answer {
            traced.span().set_status(Status::error(failure.message.clone()));
        }
        traced.span().end();
        let outcome = Some(answer.map_or_else(Outcome::Failure, Outcome::Output));
        let result =
            TaskResult { outcome, attempt, start_time, end_time: Some(SystemTime::now().into()), ..Default::default() };
        let _ = say.send(Ours::TaskCompletion(TaskCompletion { task_id, result: Some(result) }));
    });
    stop
}

/// A handler that did not come to its end: a bug costs one attempt, not the process.
fn ended(end: JoinError) -> Failure {
    match end.try_into_panic() {
        Ok(panic) => failure(FailureCode::Application, "panic", words(&*panic)),
        Err(_) => failure(FailureCode::Canceled, "Canceled", "told to stop"),
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words")
}

pub fn failure(code: FailureCode, kind: &str, message: impl ToString) -> Failure {
    Failure { code: code.into(), r#type: kind.into(), message: message.to_string(), ..Default::default() }
}

/// Input that does not fit: never tried again.
pub fn invalid(why: impl ToString) -> Failure {
    failure(FailureCode::InvalidInput, "InvalidInput", why)
}

/// A payload of this JSON text.
pub fn json(text: impl Into<String>) -> Payload {
    Payload { body: Some(payload::Body::Json(text.into())), ..Default::default() }
}

/// The JSON text of a payload; nothing where it has another form or none.
pub fn text(payload: &Option<Payload>) -> Option<&str> {
    match payload.as_ref()?.body.as_ref()? {
        payload::Body::Json(text) => Some(text),
        _ => None,
    }
}

/// How long tasks may run on after SIGTERM.
pub fn patience() -> Duration {
    let told = setting("NERVENET_DRAIN").and_then(|told| told.trim_end_matches('s').parse().ok());
    told.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(Duration::from_secs(30))
}
