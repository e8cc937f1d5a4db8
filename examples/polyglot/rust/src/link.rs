// SPDX-License-Identifier: Apache-2.0
//! Streams to the gateway, one after the other: at which node, when one counts as dead, when to try again. What is said on
//! them is the agent's business.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{sleep, timeout};
use tokio_stream::{StreamExt, wrappers::UnboundedReceiverStream};
use tonic::Status;
use tonic_types::StatusExt;

use crate::dial::{LARGEST, Way, hopeless};
use crate::pb::agent_service_client::AgentServiceClient;
use crate::pb::{ConnectRequest, ConnectRequestItem, connect_request_item, connect_response_item};

/// What an agent says, and what a node says.
pub use connect_request_item::Item as Ours;
pub use connect_response_item::Item as Theirs;

const SILENCE: Duration = Duration::from_secs(6);
const PAUSE: Duration = Duration::from_millis(100);

pub enum Event {
    /// There is a new stream: what is sent here is said on it, the hello first.
    Opening(UnboundedSender<Ours>),
    Heard(Theirs),
}

pub struct Link {
    way: Way,
    told: Vec<String>,
    nodes: VecDeque<String>,
    events: UnboundedSender<Event>,
}

impl Link {
    pub fn new(way: Way, told: Vec<String>) -> (Self, UnboundedReceiver<Event>) {
        let (events, heard) = unbounded_channel();
        (Self { way, nodes: told.clone().into(), told, events }, heard)
    }

    /// Until nobody listens to the events any more, or a status says that trying again is no help.
    pub async fn keep(mut self) -> Result<(), Status> {
        while !self.events.is_closed() {
            let address = self.nodes[0].clone();
            self.nodes.rotate_left(1); // the next turn is another node
            let mut pause = PAUSE;
            if let Err(status) = self.stream(&address).await {
                if hopeless(&status) {
                    return Err(status);
                }
                eprintln!("{address}: {status}");
                pause = status.get_details_retry_info().and_then(|told| told.retry_delay).unwrap_or(PAUSE);
            }
            sleep(pause).await;
        }
        Ok(())
    }

    /// One stream, to its end.
    async fn stream(&mut self, address: &str) -> Result<(), Status> {
        let channel = heard_within(SILENCE, self.way.channel(address)).await?;
        let (say, said) = unbounded_channel();
        let _ = self.events.send(Event::Opening(say));
        let said = UnboundedReceiverStream::new(said)
            .map(|item| ConnectRequest { items: vec![ConnectRequestItem { item: Some(item) }] });
        let mut client = AgentServiceClient::new(channel).max_decoding_message_size(LARGEST);
        let mut heard = heard_within(SILENCE, client.connect(self.way.call(said))).await?.into_inner();
        let mut silence = SILENCE;
        while let Some(response) = heard_within(silence, heard.message()).await? {
            for item in response.items.into_iter().filter_map(|one| one.item) {
                match &item {
                    Theirs::Welcome(welcome) => {
                        silence = interval(welcome.status_interval) * 3;
                        self.learn(&welcome.nodes);
                    }
                    Theirs::Reconnect(to) => {
                        self.nodes.retain(|node| !to.nodes.contains(node));
                        to.nodes.iter().rev().for_each(|node| self.nodes.push_front(node.clone()));
                        return Ok(());
                    }
                    _ => {}
                }
                let _ = self.events.send(Event::Heard(item));
            }
        }
        Ok(())
    }

    /// The nodes that live now, beside those that we were told of.
    fn learn(&mut self, live: &[String]) {
        self.nodes.retain(|node| self.told.contains(node) || live.contains(node));
        for node in live {
            if !self.nodes.contains(node) {
                self.nodes.push_back(node.clone());
            }
        }
    }
}

/// A node's `status_interval`.
pub fn interval(told: Option<prost_types::Duration>) -> Duration {
    told.and_then(|told| told.try_into().ok()).unwrap_or(Duration::from_secs(1))
}

async fn heard_within<T>(silence: Duration, word: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    timeout(silence, word).await.unwrap_or_else(|_| Err(Status::deadline_exceeded("the node is silent")))
}
