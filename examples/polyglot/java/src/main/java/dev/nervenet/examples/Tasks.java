// SPDX-License-Identifier: Apache-2.0
package dev.nervenet.examples;

import com.google.protobuf.util.Timestamps;
import dev.nervenet.v1.ConnectRequest;
import dev.nervenet.v1.ConnectRequestItem;
import dev.nervenet.v1.FailureCode;
import dev.nervenet.v1.HeldTask;
import dev.nervenet.v1.Hello;
import dev.nervenet.v1.TaskCompletion;
import dev.nervenet.v1.TaskEnvelope;
import dev.nervenet.v1.TaskReport;
import dev.nervenet.v1.TaskResult;
import io.grpc.stub.StreamObserver;
import java.util.LinkedHashMap;
import java.util.Map;

/** The tasks that we answer for until their results are acknowledged, whatever becomes of streams. */
final class Tasks {
  private static final class Held {
    HeldTask task;
    Thread handler;
    ConnectRequestItem result; // once the handler is over
  }

  private final Map<String, Handlers.Handler> handlers;
  private final Map<String, Held> held = new LinkedHashMap<>();
  private StreamObserver<ConnectRequest> stream;
  private boolean drained; // our patience is over: what is stopped now is for others to do

  Tasks(Map<String, Handlers.Handler> handlers) { this.handlers = handlers; }

  /** Say hello on a new stream, with everything that we have. */
  synchronized void greet(StreamObserver<ConnectRequest> opened, Hello.Builder hello) {
    stream = opened;
    hello.clearRunning();
    for (Held one : held.values()) hello.addRunning(one.task);
    send(ConnectRequestItem.newBuilder().setHello(hello));
  }

  /** Say something on the present stream; what a broken one lost is said again after its welcome. */
  synchronized void send(ConnectRequestItem.Builder item) {
    try {
      if (stream != null) stream.onNext(ConnectRequest.newBuilder().addItems(item).build());
    } catch (RuntimeException broken) { // connect notices
    }
  }

  synchronized void sayAgain() {
    for (Held one : held.values()) if (one.result != null) send(one.result.toBuilder());
  }

  synchronized void begin(TaskEnvelope task) {
    Held known = held.get(key(task.getTaskId(), task.getAttempt()));
    if (known != null) {
      if (known.result != null) send(known.result.toBuilder());
      return;
    }
    Held one = new Held();
    one.task = HeldTask.newBuilder().setTask(task.toBuilder().clearInput()).setStartTime(Timestamps.now()).build();
    one.handler = new Thread(() -> {
      TaskResult result = Handlers.run(handlers.get(task.getCapability()), task, news -> send(ConnectRequestItem.newBuilder()
          .setTaskReport(TaskReport.newBuilder().setTaskId(task.getTaskId()).setProgress(news.setAttempt(task.getAttempt())))));
      ended(one, result);
    });
    held.put(key(task.getTaskId(), task.getAttempt()), one);
    one.handler.start();
  }

  private synchronized void ended(Held one, TaskResult result) {
    var said = result.toBuilder();
    if (drained && result.getFailure().getCode() == FailureCode.FAILURE_CODE_CANCELED)
      said.getFailureBuilder().setCode(FailureCode.FAILURE_CODE_AGENT_DRAINED);
    var completion = TaskCompletion.newBuilder().setTaskId(one.task.getTask().getTaskId()).setResult(said);
    one.result = ConnectRequestItem.newBuilder().setTaskCompletion(completion).build();
    send(one.result.toBuilder());
  }

  synchronized void stop(String task, int attempt) {
    Held one = held.get(key(task, attempt));
    if (one != null) one.handler.interrupt();
  }

  synchronized void forget(String task, int attempt) { held.remove(key(task, attempt)); }

  synchronized void giveBack() {
    drained = true;
    for (Held one : held.values()) one.handler.interrupt();
  }

  /** Return once everything is acknowledged, or the patience (ms) is over. */
  void empty(long patience) {
    for (long end = System.nanoTime() + patience * 1_000_000; System.nanoTime() < end; pause(20))
      synchronized (this) { if (held.isEmpty()) return; }
  }

  static void pause(long ms) {
    try {
      Thread.sleep(ms);
    } catch (InterruptedException stop) {
      Thread.currentThread().interrupt();
    }
  }

  private static String key(String task, int attempt) { return task + "#" + attempt; }
}
