// SPDX-License-Identifier: Apache-2.0
//! The stubs, made from the protos at every build; and which Rust this is, for people.

use std::{env, error::Error, process::Command};

const PROTOS: &str = "../../../protos";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={PROTOS}/nervenet");
    let services = ["nervenet/v1/agent_service.proto", "nervenet/v1/coordinator_service.proto"];
    let files = protox::compile(services, [PROTOS])?;
    tonic_prost_build::configure().build_server(false).build_transport(false).compile_fds(files)?;

    let told = Command::new(env::var("RUSTC")?).arg("--version").output()?;
    let told = String::from_utf8(told.stdout)?;
    println!("cargo:rustc-env=RUNTIME=rust {}", told.split(' ').nth(1).unwrap_or_default());
    Ok(())
}
