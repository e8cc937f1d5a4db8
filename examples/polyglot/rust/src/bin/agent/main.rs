// SPDX-License-Identifier: Apache-2.0
//! Serves `summarize` of the licence audit over a node's gateway: the whole of AgentService.Connect as protos/README.md has
//! it. With CONFORMANCE=1 it serves what the conformance suite asks for instead.

mod tasks;

use std::collections::HashMap;
use std::time::Duration;

use nervenet_example::link::{Event, Link, Ours};
use nervenet_example::pb::{AgentRecord, Capability, Goodbye, Hello, Status};
use nervenet_example::{Error, dial, traces, work};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{self, Instant, Interval, MissedTickBehavior};

use crate::tasks::Held;

const CREDIT: i32 = 4;

struct Agent {
    hello: Hello,
    held: HashMap<(String, i32), Held>,
    stream: UnboundedSender<Ours>,
    beat: Interval,
    handlers: UnboundedSender<Ours>,
    leaving: Option<Instant>, // since we were told to stop: until when what runs may go on
    drained: bool,            // that is over: what is stopped now is for others to do
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let traces = traces::start()?;
    let (link, events) = Link::new(dial::Way::from_env()?, dial::addresses());
    let (handlers, said) = unbounded_channel();
    let served = Agent::new(handlers).serve(tokio::spawn(link.keep()), events, said).await;
    if let Some(Err(error)) = traces.map(|traces| traces.shutdown()) {
        eprintln!("traces are lost: {error}");
    }
    served
}

impl Agent {
    fn new(handlers: UnboundedSender<Ours>) -> Self {
        let capability = |name: &&str| Capability { name: name.to_string(), slots: CREDIT, ..Default::default() };
        let record = AgentRecord {
            name: dial::setting("NERVENET_AGENT_NAME").unwrap_or_else(|| "rust".into()),
            runtime: env!("RUNTIME").into(),
            capabilities: work::capabilities().iter().map(capability).collect(),
            ..Default::default()
        };
        let hello = Hello { protocol_version: 1, agent: Some(record), credit: CREDIT, ..Default::default() };
        let (stream, _) = unbounded_channel(); // nobody hears us yet
        let beat = beat(Duration::from_secs(1));
        Self { hello, held: HashMap::new(), stream, beat, handlers, leaving: None, drained: false }
    }

    /// Everything that happens, one thing at a time, until we were told to stop and everything is acknowledged.
    async fn serve(
        mut self,
        mut link: JoinHandle<Result<(), tonic::Status>>,
        mut events: UnboundedReceiver<Event>,
        mut said: UnboundedReceiver<Ours>,
    ) -> Result<(), Error> {
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        while self.leaving.is_none() || !self.held.is_empty() {
            tokio::select! {
                ended = &mut link => return Ok(ended??),
                Some(event) = events.recv() => match event {
                    Event::Opening(stream) => self.greet(stream),
                    Event::Heard(item) => self.heard(item),
                },
                Some(item) = said.recv() => self.told(item),
                _ = self.beat.tick() => self.say(Ours::Status(Status::default())),
                _ = term.recv() => self.leave(),
                _ = int.recv() => self.leave(),
                _ = time::sleep_until(self.leaving.unwrap_or_else(Instant::now)), if self.leaving.is_some() => {
                    if self.drained {
                        break; // no one acknowledges: the mesh finds out on its own
                    }
                    self.give_back();
                }
            }
        }
        self.say(Ours::Goodbye(Goodbye { reason: "stopped".into() }));
        drop((self.stream, events));
        let _ = time::timeout(Duration::from_secs(1), link).await;
        Ok(())
    }
}

/// Signs of life: twice in each interval, and never in a rush after we were frozen.
fn beat(interval: Duration) -> Interval {
    let mut beat = time::interval(interval / 2);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat
}
