// SPDX-License-Identifier: Apache-2.0
package dev.nervenet.examples;

import com.google.protobuf.util.Timestamps;
import dev.nervenet.v1.*;
import io.grpc.Status.Code;
import io.grpc.stub.StreamObserver;
import java.util.*;
import java.util.concurrent.*;

/**
 * Serves `summarize` of the licence audit over a node's gateway: the whole of AgentService.Connect as protos/README.md has
 * it. With CONFORMANCE=1 it serves what the conformance suite asks for instead.
 */
public final class Agent {
  private static final int CREDIT = 4;
  private static final long SILENCE = 6_000_000_000L;

  /** A task that we answer for until its result is acknowledged, whatever becomes of streams. */
  private static final class Held {
    HeldTask task;
    Thread handler;
    ConnectRequestItem result; // once the handler is over
  }

  private final Map<String, Handlers.Handler> handlers =
      System.getenv("CONFORMANCE") != null ? Conformance.HANDLERS : Map.of("summarize", Summarize::handle);
  private final Map<String, Held> held = new LinkedHashMap<>();
  private final Hello.Builder hello = Hello.newBuilder().setCredit(CREDIT);
  private StreamObserver<ConnectRequest> stream;
  private boolean drained; // our patience is over: what is stopped now is for others to do
  private volatile long heard;
  private volatile boolean gone;

  public static void main(String[] args) throws Exception {
    Runnable flush = Handlers.traced();
    Agent agent = new Agent();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> { agent.leave(); flush.run(); Runtime.getRuntime().halt(0); }));
    for (int turn = 0; !agent.gone; turn++) {
      Code code = agent.connect(Dial.address(turn));
      if (EnumSet.of(Code.INVALID_ARGUMENT, Code.UNAUTHENTICATED, Code.PERMISSION_DENIED).contains(code)) System.exit(1);
      Thread.sleep(100);
    }
  }

  private Agent() {
    var agent = hello.getAgentBuilder().setName(Dial.setting("NERVENET_AGENT_NAME", "java")).setRuntime("java " + Runtime.version());
    for (String name : new TreeSet<>(handlers.keySet())) agent.addCapabilities(Capability.newBuilder().setName(name).setSlots(CREDIT));
  }

  /** One stream, from hello to its end; handlers run on when it breaks. */
  private Code connect(String address) throws Exception {
    var channel = Dial.channel(address);
    var end = new CompletableFuture<Code>();
    heard = System.nanoTime();
    try {
      synchronized (this) {
        stream = AgentServiceGrpc.newStub(channel).withCallCredentials(Dial.CREDENTIALS).connect(new StreamObserver<>() {
          @Override public void onNext(ConnectResponse response) { hear(response, end); }
          @Override public void onError(Throwable error) { end.complete(io.grpc.Status.fromThrowable(error).getCode()); }
          @Override public void onCompleted() { end.complete(Code.OK); }
        });
        hello.clearRunning();
        for (Held one : held.values()) hello.addRunning(one.task);
        send(ConnectRequestItem.newBuilder().setHello(hello));
      }
      while (System.nanoTime() - heard < SILENCE) {
        try {
          return end.get(500, TimeUnit.MILLISECONDS);
        } catch (TimeoutException quiet) {
          send(ConnectRequestItem.newBuilder().setStatus(Status.getDefaultInstance()));
        }
      }
      return Code.UNAVAILABLE;
    } finally {
      channel.shutdownNow();
    }
  }

  private synchronized void hear(ConnectResponse response, CompletableFuture<Code> end) {
    heard = System.nanoTime();
    for (ConnectResponseItem item : response.getItemsList()) {
      switch (item.getItemCase()) {
        case WELCOME -> {
          hello.setLeaseId(item.getWelcome().getLeaseId()).getAgentBuilder().setAgentId(item.getWelcome().getAgentId());
          for (Held one : held.values()) if (one.result != null) send(one.result.toBuilder());
        }
        case TASK -> begin(item.getTask());
        case RESULT_ACK -> held.remove(key(item.getResultAck().getTaskId(), item.getResultAck().getAttempt()));
        case REJECTED -> held.remove(key(item.getRejected().getTaskId(), item.getRejected().getAttempt()));
        case TASK_CANCEL -> {
          Held one = held.get(key(item.getTaskCancel().getTaskId(), item.getTaskCancel().getAttempt()));
          if (one != null) one.handler.interrupt();
        }
        case RECONNECT -> end.complete(Code.UNAVAILABLE); // the next turn is another node
        default -> { } // nothing to do
      }
    }
  }

  private static String key(String task, int attempt) { return task + "#" + attempt; }

  /** Say something on the present stream; what a broken one lost is said again after its welcome. */
  private synchronized void send(ConnectRequestItem.Builder item) {
    try {
      stream.onNext(ConnectRequest.newBuilder().addItems(item).build());
    } catch (RuntimeException broken) { // connect notices
    }
  }

  private void begin(TaskEnvelope task) {
    String key = key(task.getTaskId(), task.getAttempt());
    if (held.containsKey(key)) {
      if (held.get(key).result != null) send(held.get(key).result.toBuilder());
      return;
    }
    Held one = new Held();
    one.task = HeldTask.newBuilder().setTask(task.toBuilder().clearInput()).setStartTime(Timestamps.now()).build();
    one.handler = new Thread(() -> {
      TaskResult result = Handlers.run(handlers.get(task.getCapability()), task, news -> send(ConnectRequestItem.newBuilder()
          .setTaskProgress(TaskReport.newBuilder().setTaskId(task.getTaskId()).setProgress(news.setAttempt(task.getAttempt())))));
      synchronized (this) {
        if (drained && result.getFailure().getCode() == FailureCode.FAILURE_CODE_CANCELED)
          result = result.toBuilder().setFailure(result.getFailure().toBuilder().setCode(FailureCode.FAILURE_CODE_AGENT_DRAINED)).build();
        var completion = TaskCompletion.newBuilder().setTaskId(task.getTaskId()).setResult(result);
        one.result = ConnectRequestItem.newBuilder().setTaskResult(completion).build();
        send(one.result.toBuilder());
      }
    });
    held.put(key, one);
    one.handler.start();
  }

  /** Finish what runs within our patience, give back the rest, say goodbye. */
  private void leave() {
    send(ConnectRequestItem.newBuilder().setStatus(Status.newBuilder().setCredit(0)));
    empty(Handlers.patience());
    synchronized (this) {
      drained = true;
      for (Held one : held.values()) one.handler.interrupt();
    }
    empty(5_000);
    gone = true;
    send(ConnectRequestItem.newBuilder().setGoodbye(Goodbye.newBuilder().setReason("stopped")));
    synchronized (this) { stream.onCompleted(); }
    pause(200); // for the words to leave
  }

  private void empty(long patience) {
    for (long end = System.nanoTime() + patience * 1_000_000; System.nanoTime() < end; pause(20))
      synchronized (this) { if (held.isEmpty()) return; }
  }

  private static void pause(long ms) {
    try { Thread.sleep(ms); } catch (InterruptedException stop) { Thread.currentThread().interrupt(); }
  }
}
