// SPDX-License-Identifier: Apache-2.0
//! The way to a node for the agent and the client: addresses, TLS and token from the environment.

use std::{env, fs, time::Duration};

use tonic::metadata::MetadataMap;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};

use crate::Error;

/// Nodes answer with at most twice the payload limit and 4 MiB.
pub const LARGEST: usize = 12 << 20;

/// An environment variable; one that is empty is none.
pub fn setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

pub fn addresses() -> Vec<String> {
    let all = setting("NERVENET_ADDRESS").unwrap_or_else(|| "localhost:7700".into());
    all.split(',').map(String::from).collect()
}

/// How to reach a node, whichever it is, and who we say we are.
pub struct Way {
    tls: Option<ClientTlsConfig>,
    words: MetadataMap,
}

impl Way {
    pub fn from_env() -> Result<Self, Error> {
        let mut words = MetadataMap::new();
        if let Some(namespace) = setting("NERVENET_NAMESPACE") {
            words.insert("nervenet-namespace", namespace.parse()?);
        }
        if let Some(token) = setting("NERVENET_TOKEN") {
            words.insert("authorization", format!("Bearer {token}").parse()?);
        }
        Ok(Self { tls: tls()?, words })
    }

    pub async fn channel(&self, address: &str) -> Result<Channel, Status> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"));
        let connected = async {
            let mut endpoint = endpoint?
                .connect_timeout(Duration::from_secs(1))
                .http2_keep_alive_interval(Duration::from_secs(30))
                .keep_alive_timeout(Duration::from_secs(10))
                .keep_alive_while_idle(true);
            if let Some(tls) = &self.tls {
                endpoint = endpoint.tls_config(tls.clone())?;
            }
            endpoint.connect().await
        };
        connected.await.map_err(|error: tonic::transport::Error| Status::from_error(error.into()))
    }

    /// The call's message or messages, with namespace and token.
    pub fn call<T>(&self, message: T) -> Request<T> {
        Request::from_parts(self.words.clone(), Default::default(), message)
    }
}

/// Whom we trust, and who we are.
fn tls() -> Result<Option<ClientTlsConfig>, Error> {
    let mut config = match setting("NERVENET_TLS").as_deref() {
        None | Some("off") => return Ok(None),
        Some("on") => ClientTlsConfig::new().with_native_roots(),
        Some(file) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(fs::read(file)?)),
    };
    if let (Some(cert), Some(key)) = (setting("NERVENET_TLS_CERT"), setting("NERVENET_TLS_KEY")) {
        config = config.identity(Identity::from_pem(fs::read(cert)?, fs::read(key)?));
    }
    Ok(Some(config))
}

/// Trying again is no help: the program or its settings are wrong.
pub fn hopeless(status: &Status) -> bool {
    matches!(status.code(), Code::InvalidArgument | Code::Unauthenticated | Code::PermissionDenied)
}
