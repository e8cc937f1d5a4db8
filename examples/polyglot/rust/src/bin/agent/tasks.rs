// SPDX-License-Identifier: Apache-2.0
//! What the agent answers for, and what it says about it.

use std::time::{Duration, SystemTime};

use nervenet_example::link::{Ours, Theirs, interval};
use nervenet_example::pb::{FailureCode, HeldTask, Status, TaskCompletion, TaskEnvelope, task_result::Outcome};
use nervenet_example::work;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::{Agent, beat};

/// A task that we answer for until its result is acknowledged, whatever becomes of streams.
pub struct Held {
    task: HeldTask,
    handler: AbortHandle,
    result: Option<Ours>, // once the handler is over
}

impl Agent {
    /// Say something on the present stream; what a broken one lost is said again after its welcome.
    pub fn say(&self, item: Ours) {
        let _ = self.stream.send(item);
    }

    /// The first word on a new stream.
    pub fn greet(&mut self, stream: UnboundedSender<Ours>) {
        self.stream = stream;
        self.hello.running = self.held.values().map(|one| one.task.clone()).collect();
        self.say(Ours::Hello(self.hello.clone()));
    }

    pub fn heard(&mut self, item: Theirs) {
        match item {
            Theirs::Welcome(welcome) => {
                let record = self.hello.agent.get_or_insert_default();
                (record.agent_id, self.hello.lease_id) = (welcome.agent_id, welcome.lease_id);
                self.beat = beat(interval(welcome.status_interval));
                self.held.values().filter_map(|one| one.result.clone()).for_each(|result| self.say(result));
                if self.leaving.is_some() {
                    self.say(Ours::Status(Status { credit: Some(0), ..Default::default() }));
                }
            }
            Theirs::Task(task) => self.begin(task),
            Theirs::ResultAck(ack) => drop(self.held.remove(&(ack.task_id, ack.attempt))),
            Theirs::Rejected(refused) => drop(self.held.remove(&(refused.task_id, refused.attempt))),
            Theirs::TaskCancel(unwanted) => {
                if let Some(one) = self.held.get(&(unwanted.task_id, unwanted.attempt)) {
                    one.handler.abort();
                }
            }
            _ => {} // the node keeps account of drain and resume; what we do not know we pass over
        }
    }

    /// Start a task's handler, unless we have the task.
    fn begin(&mut self, mut task: TaskEnvelope) {
        let key = (task.task_id.clone(), task.attempt);
        if let Some(one) = self.held.get(&key) {
            return one.result.iter().for_each(|result| self.say(result.clone()));
        }
        let input = task.input.take();
        let held = HeldTask { task: Some(task.clone()), start_time: Some(SystemTime::now().into()), ..Default::default() };
        let handler = work::start(TaskEnvelope { input, ..task }, self.handlers.clone());
        self.held.insert(key, Held { task: held, handler, result: None });
    }

    /// News of a handler, or its result; said only while the task is still ours.
    pub fn told(&mut self, mut item: Ours) {
        if let Ours::TaskCompletion(TaskCompletion { task_id, result: Some(result) }) = &mut item {
            if let Some(Outcome::Failure(failure)) = &mut result.outcome
                && failure.code() == FailureCode::Canceled
                && self.drained
            {
                failure.set_code(FailureCode::AgentDrained);
            }
            let Some(one) = self.held.get_mut(&(task_id.clone(), result.attempt)) else { return };
            one.result = Some(item.clone());
        }
        self.say(item);
    }

    /// Nothing new from now on; what runs may go on within our patience.
    pub fn leave(&mut self) {
        if self.leaving.is_none() {
            self.leaving = Some(Instant::now() + work::patience());
            self.say(Ours::Status(Status { credit: Some(0), ..Default::default() }));
        }
    }

    /// Our patience is over: what still runs is for others to do.
    pub fn give_back(&mut self) {
        (self.drained, self.leaving) = (true, Some(Instant::now() + Duration::from_secs(5)));
        self.held.values().for_each(|one| one.handler.abort());
    }
}
