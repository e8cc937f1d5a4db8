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
  if (process.env.NERVENET_TOKEN) words.set("authorization", `Bearer ${process.env.NERVENET_TOKEN}`);
  return words;
}
