// SPDX-License-Identifier: Apache-2.0
package dev.nervenet.examples;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.nervenet.examples.Handlers.Failed;
import dev.nervenet.v1.Payload;
import dev.nervenet.v1.TaskEnvelope;
import dev.nervenet.v1.TaskProgress;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/**
 * The licence audit's `summarize` in Java: one paragraph a colleague can read, and a verdict that follows from the licences'
 * categories. A port of examples/licence_audit/summarize.py that gives the same answers.
 */
final class Summarize {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Map<String, String> MEANS = Map.of(
      "permissive", "a permissive licence",
      "weak copyleft", "a weak copyleft licence: changes to its own files stay under it",
      "strong copyleft", "a strong copyleft licence: a work that contains it goes under it as a whole",
      "unknown", "terms that could not be judged");

  static Payload handle(TaskEnvelope task, Consumer<TaskProgress.Builder> report) throws Exception {
    JsonNode audit = JSON.readTree(task.getInput().getJson());
    if (!audit.path("facts").isObject()) throw Failed.invalid("facts are wanted");
    String verdict = Spdx.verdict(audit.path("licence").asText());
    var answer = JSON.createObjectNode().put("text", paragraph(audit, verdict)).put("verdict", verdict).put("method", "rules");
    return Payload.newBuilder().setJson(answer.toString()).build();
  }

  private static String paragraph(JsonNode audit, String verdict) {
    String name = (audit.path("name").asText() + " " + audit.path("version").asText()).strip();
    String licence = audit.path("licence").asText();
    JsonNode facts = audit.get("facts");
    List<String> sentences = new ArrayList<>();
    sentences.add(licence.isEmpty() ? name + ": no licence." : name + " comes under " + licence + ", " + MEANS.get(verdict) + ".");
    sentences.add(who(facts.path("holders")));
    listed(sentences, "It permits", facts.path("permits"));
    listed(sentences, "It requires", facts.path("requires"));
    listed(sentences, "It rules out", facts.path("forbids"));
    if (!facts.path("patents").isEmpty()) sentences.add("It speaks of patents.");
    if (!audit.path("decision").asText().isEmpty()) sentences.add(audit.get("decision").asText());
    return String.join(" ", sentences);
  }

  private static String who(JsonNode holders) {
    if (holders.isEmpty()) return "No copyright holder is named.";
    List<String> names = new ArrayList<>();
    for (JsonNode one : holders) {
      String years = one.path("years").asText();
      names.add(one.get("name").asText() + (years.isEmpty() ? "" : " (" + years + ")"));
    }
    String more = names.size() > 3 ? " and " + (names.size() - 3) + " more" : "";
    return "Copyright: " + String.join(", ", names.subList(0, Math.min(3, names.size()))) + more + ".";
  }

  private static void listed(List<String> sentences, String verb, JsonNode clauses) {
    List<String> labels = new ArrayList<>();
    for (JsonNode one : clauses) labels.add(one.get("label").asText());
    if (labels.isEmpty()) return;
    String last = labels.remove(labels.size() - 1);
    sentences.add(verb + " " + (labels.isEmpty() ? last : String.join(", ", labels) + " and " + last) + ".");
  }
}
