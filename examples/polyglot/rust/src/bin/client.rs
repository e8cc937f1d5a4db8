// SPDX-License-Identifier: Apache-2.0
//! Its own coordinator: runs one task, durably, and prints what came of it.
//!
//!     client REQUEST_ID CAPABILITY JSON
//!
//! The request id is the task's name. A caller that asks again with it, after a crash or from another machine, gets the one result.

use std::{env, time::Duration};

use nervenet_example::Error;
use nervenet_example::dial::{LARGEST, Way, addresses};
use nervenet_example::pb::coordinator_service_client::CoordinatorServiceClient;
use nervenet_example::pb::{PayloadFormat, RunTaskRequest, Workflow, WorkflowState};
use nervenet_example::work::{json, text};
use tokio::time::sleep;
use tonic::{Code, Status};
use tonic_types::StatusExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let Ok([request_id, capability, input]) = <[String; 3]>::try_from(env::args().skip(1).collect::<Vec<_>>()) else {
        return Err("usage: client REQUEST_ID CAPABILITY JSON".into());
    };
    let request = RunTaskRequest {
        request_id,
        capability,
        input: Some(json(input)),
        wait: Some(Duration::from_secs(30).try_into()?),
        payload_format: PayloadFormat::Raw.into(),
        ..Default::default()
    };
    let (way, mut nodes) = (Way::from_env()?, addresses());
    loop {
        match ask(&way, &nodes[0], &request).await {
            Ok(workflow) if workflow.state() == WorkflowState::Succeeded => {
                println!("{}", text(&workflow.output).unwrap_or_default());
                return Ok(());
            }
            Ok(workflow) if workflow.close_time.is_some() => {
                let why = workflow.failure.clone().unwrap_or_default().message;
                return Err(format!("{}: {why}", workflow.state().as_str_name()).into());
            }
            Ok(_) => {}
            Err(status) if passing(&status) => {
                nodes.rotate_left(1); // the same request, at another node
                sleep(Duration::from_millis(100)).await;
            }
            Err(status) => return Err(status.into()),
        }
    }
}

async fn ask(way: &Way, address: &str, request: &RunTaskRequest) -> Result<Workflow, Status> {
    let mut client = CoordinatorServiceClient::new(way.channel(address).await?).max_decoding_message_size(LARGEST);
    let mut call = way.call(request.clone());
    call.set_timeout(Duration::from_secs(60));
    Ok(client.run_task(call).await?.into_inner().workflow.unwrap_or_default())
}

/// The node leaves, or it was not the node that answered: its own errors carry an ErrorInfo.
fn passing(status: &Status) -> bool {
    status.code() == Code::Unavailable || status.get_details_error_info().is_none()
}
