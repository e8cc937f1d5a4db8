// SPDX-License-Identifier: Apache-2.0
package dev.nervenet.examples;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.google.protobuf.util.Durations;
import dev.nervenet.examples.Handlers.Failed;
import dev.nervenet.v1.Failure;
import dev.nervenet.v1.FailureCode;
import dev.nervenet.v1.Payload;
import dev.nervenet.v1.TaskEnvelope;
import dev.nervenet.v1.TaskProgress;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import java.util.function.Consumer;

/** The capabilities that the conformance suite asks for (tests/conformance/README.md). */
final class Conformance {
  static final Map<String, Handlers.Handler> HANDLERS =
      Map.of("conf_echo", (task, report) -> task.getInput(), "conf_work", Conformance::work);
  private static final ObjectMapper JSON = new ObjectMapper(); // integers of any size stay exact

  private static Payload work(TaskEnvelope task, Consumer<TaskProgress.Builder> report) throws Exception {
    JsonNode told = JSON.readTree(task.getInput().getJson());
    if (!told.path("log").isTextual()) throw Failed.invalid("an object with a log is wanted");
    Path log = Path.of(told.get("log").asText());
    note(log, "begin", task);
    for (JsonNode one : told.path("progress"))
      report.accept(TaskProgress.newBuilder().setFraction(one.get(0).asDouble()).setMessage(one.get(1).asText()));
    for (JsonNode part : told.path("emit")) report.accept(TaskProgress.newBuilder().setPartial(payload(part)));
    if (told.hasNonNull("checkpoint")) report.accept(TaskProgress.newBuilder().setCheckpoint(payload(told.get("checkpoint"))));
    try {
      Thread.sleep(told.path("sleep_ms").asLong());
    } catch (InterruptedException stopped) {
      note(log, "canceled", task);
      throw stopped;
    }
    note(log, "end", task);
    if (told.path("crash").asBoolean()) ((Object) null).hashCode(); // the crash that was asked for
    JsonNode fail = told.path("fail");
    if (fail.isObject() && task.getAttempt() <= fail.path("until_attempt").asInt(Integer.MAX_VALUE)) {
      var failure = Failure.newBuilder().setCode(FailureCode.FAILURE_CODE_APPLICATION).setType(fail.path("type").asText())
          .setMessage(fail.path("message").asText()).setRetryable(fail.path("retryable").asBoolean(true));
      if (fail.has("details")) failure.setDetails(payload(fail.get("details")));
      if (fail.has("retry_after_ms")) failure.setRetryAfter(Durations.fromMillis(fail.get("retry_after_ms").asLong()));
      throw new Failed(failure);
    }
    var answer = JSON.createObjectNode().put("attempt", task.getAttempt()).put("filler", "x".repeat(told.path("size").asInt()));
    answer.set("checkpoint", task.hasCheckpoint() ? JSON.readTree(task.getCheckpoint().getJson()) : null);
    answer.set("successor", null);
    if (told.hasNonNull("number")) answer.put("successor", told.get("number").bigIntegerValue().add(BigInteger.ONE));
    return payload(answer);
  }

  private static Payload payload(JsonNode value) { return Payload.newBuilder().setJson(value.toString()).build(); }

  private static void note(Path log, String word, TaskEnvelope task) throws IOException {
    Files.writeString(log, word + " " + task.getTaskId() + " " + task.getAttempt() + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
  }
}
