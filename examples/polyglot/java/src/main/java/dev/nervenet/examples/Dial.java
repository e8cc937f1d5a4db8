// SPDX-License-Identifier: Apache-2.0
package dev.nervenet.examples;

import io.grpc.CallCredentials;
import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.TlsChannelCredentials;
import java.io.File;
import java.io.IOException;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;

/** The way to a node: addresses, TLS and token from the environment. */
final class Dial {
  private static final String[] ADDRESSES = setting("NERVENET_ADDRESS", "localhost:7700").split(",");

  /** Namespace and token, as every call carries them. */
  static final CallCredentials CREDENTIALS = new CallCredentials() {
    @Override public void applyRequestMetadata(RequestInfo call, Executor executor, MetadataApplier applier) {
      Metadata words = new Metadata();
      put(words, "nervenet-namespace", setting("NERVENET_NAMESPACE", ""));
      String token = setting("NERVENET_TOKEN", "");
      put(words, "authorization", token.isEmpty() ? "" : "Bearer " + token);
      applier.apply(words);
    }
  };

  static String address(int turn) { return ADDRESSES[turn % ADDRESSES.length]; }

  static ManagedChannel channel(String address) throws IOException {
    return Grpc.newChannelBuilder(address, credentials()).maxInboundMessageSize(12 << 20)
        .keepAliveTime(30, TimeUnit.SECONDS).keepAliveTimeout(10, TimeUnit.SECONDS).keepAliveWithoutCalls(true).build();
  }

  static String setting(String name, String otherwise) {
    String value = System.getenv(name);
    return value == null || value.isEmpty() ? otherwise : value;
  }

  private static ChannelCredentials credentials() throws IOException {
    String tls = setting("NERVENET_TLS", "off");
    if (tls.equals("off")) return InsecureChannelCredentials.create();
    var builder = TlsChannelCredentials.newBuilder();
    if (!tls.equals("on")) builder.trustManager(new File(tls));
    String cert = setting("NERVENET_TLS_CERT", "");
    if (!cert.isEmpty()) builder.keyManager(new File(cert), new File(setting("NERVENET_TLS_KEY", "")));
    return builder.build();
  }

  private static void put(Metadata words, String key, String value) {
    if (!value.isEmpty()) words.put(Metadata.Key.of(key, Metadata.ASCII_STRING_MARSHALLER), value);
  }
}
