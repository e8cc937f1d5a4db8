// SPDX-License-Identifier: Apache-2.0
//! What the agent and the client share. Only `link` and `bin/agent.rs` know how tasks arrive; `work` and the handlers do not.

pub mod conformance;
pub mod dial;
pub mod link;
pub mod spdx;
pub mod summarize;
pub mod traces;
pub mod work;

/// The contract, as `build.rs` made it from the protos.
#[allow(clippy::all)]
pub mod pb {
    tonic::include_proto!("nervenet.v1");
}

pub type Error = Box<dyn std::error::Error + Send + Sync>;
