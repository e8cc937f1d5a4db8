// SPDX-License-Identifier: Apache-2.0
// The way to a node, for the agent and the client: addresses, TLS and token from the environment.
import { readFileSync } from "node:fs";
import { ChannelCredentials, type ChannelOptions, Metadata } from "@grpc/grpc-js";

export const addresses = (process.env.NERVENET_ADDRESS ?? "localhost:7700").split(",");

export const options: ChannelOptions = {
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 10_000,
  "grpc.keepalive_permit_without_calls": 1,
  "grpc.max_receive_message_length": 12 << 20,
};

export function credentials(): ChannelCredentials {
  const tls = process.env.NERVENET_TLS ?? "off";
  if (tls === "off") return ChannelCredentials.createInsecure();
  const [cert, key] = [process.env.NERVENET_TLS_CERT, process.env.NERVENET_TLS_KEY].map((file) => (file ? readFileSync(file) : null));
  return ChannelCredentials.createSsl(tls === "on" ? null : readFileSync(tls), key, cert);
}

export function metadata(): Metadata {
  const words = new Metadata();
  if (process.env.NERVENET_NAMESPACE) words.set("nervenet-namespace", process.env.NERVENET_NAMESPACE);
  const shown = token();
  if (shown) words.set("authorization", `Bearer ${shown}`);
  return words;
}

let lastToken = "";

// What proves who we are. A file is read for each call, because somebody renews it; while it is being written, the last one counts.
function token(): string {
  const file = process.env.NERVENET_TOKEN_FILE;
  if (!file) return process.env.NERVENET_TOKEN ?? "";
  try {
    lastToken = readFileSync(file, "utf8").trim() || lastToken;
  } catch {
    // it is being replaced
  }
  return lastToken;
}

// Our credentials were good and have ended: the file may have new ones. The reason is an ErrorInfo in the details of the status.
export function expired(why: { metadata?: Metadata }): boolean {
  const details = why.metadata?.get("grpc-status-details-bin")[0];
  return Boolean(process.env.NERVENET_TOKEN_FILE) && details !== undefined && details.toString().includes("CREDENTIALS_EXPIRED");
}
