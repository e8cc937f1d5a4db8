// SPDX-License-Identifier: Apache-2.0
package dev.nervenet.examples;

import dev.nervenet.v1.AgentServiceGrpc;
import dev.nervenet.v1.Capability;
import dev.nervenet.v1.ConnectRequestItem;
import dev.nervenet.v1.ConnectResponse;
import dev.nervenet.v1.ConnectResponseItem;
import dev.nervenet.v1.Goodbye;
import dev.nervenet.v1.Hello;
import dev.nervenet.v1.Status;
import io.grpc.Status.Code;
import io.grpc.stub.StreamObserver;
import java.util.EnumSet;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Serves `summarize` of the licence audit over a node's gateway: the whole of AgentService.Connect as protos/README.md has
 * it. With CONFORMANCE=1 it serves what the conformance suite asks for instead. Tasks has what it answers for.
 */
public final class Agent {
  private static final int CREDIT = 4;
  private static final Set<Code> HOPELESS = EnumSet.of(Code.INVALID_ARGUMENT, Code.UNAUTHENTICATED, Code.PERMISSION_DENIED);

  private final Hello.Builder hello = Hello.newBuilder().setProtocolVersion(1).setCredit(CREDIT);
  private final Tasks tasks;
  private volatile long heard;
  private volatile long silence; // in nanoseconds: after it the node is taken for dead
  private volatile boolean gone;
  private volatile int exit;

  public static void main(String[] args) throws Exception {
    Runnable flush = Handlers.traced();
    Agent agent = new Agent(System.getenv("CONFORMANCE") != null ? Conformance.HANDLERS : Map.of("summarize", Summarize::handle));
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      agent.leave();
      flush.run();
      Runtime.getRuntime().halt(agent.exit);
    }));
    for (int turn = 0; !agent.gone; turn++) {
      var why = agent.connect(Dial.address(turn));
      if (HOPELESS.contains(why.getCode())) {
        System.err.println(why);
        System.exit(agent.exit = 1);
      }
      Thread.sleep(100);
    }
  }

  private Agent(Map<String, Handlers.Handler> handlers) {
    tasks = new Tasks(handlers);
    var record = hello.getAgentBuilder().setName(Dial.setting("NERVENET_AGENT_NAME", "java")).setRuntime("java " + Runtime.version());
    for (String name : new TreeSet<>(handlers.keySet())) record.addCapabilities(Capability.newBuilder().setName(name).setSlots(CREDIT));
  }

  /** One stream, from hello to its end; handlers run on when it breaks. */
  private io.grpc.Status connect(String address) throws Exception {
    var channel = Dial.channel(address);
    var end = new CompletableFuture<io.grpc.Status>();
    heard = System.nanoTime();
    silence = TimeUnit.SECONDS.toNanos(6); // until the welcome tells the node's interval
    try {
      var stream = AgentServiceGrpc.newStub(channel).withCallCredentials(Dial.CREDENTIALS).connect(new StreamObserver<>() {
        @Override public void onNext(ConnectResponse response) { hear(response, end); }
        @Override public void onError(Throwable error) { end.complete(io.grpc.Status.fromThrowable(error)); }
        @Override public void onCompleted() { end.complete(io.grpc.Status.OK); }
      });
      tasks.greet(stream, hello);
      while (System.nanoTime() - heard < silence) {
        try {
          return end.get(500, TimeUnit.MILLISECONDS);
        } catch (TimeoutException quiet) {
          tasks.send(ConnectRequestItem.newBuilder().setStatus(Status.getDefaultInstance()));
        }
      }
      return io.grpc.Status.UNAVAILABLE;
    } finally {
      channel.shutdownNow();
    }
  }

  private void hear(ConnectResponse response, CompletableFuture<io.grpc.Status> end) {
    heard = System.nanoTime();
    for (ConnectResponseItem item : response.getItemsList()) {
      switch (item.getItemCase()) {
        case WELCOME -> {
          var interval = item.getWelcome().getStatusInterval();
          silence = 3 * (TimeUnit.SECONDS.toNanos(interval.getSeconds()) + interval.getNanos());
          synchronized (tasks) {
            hello.setLeaseId(item.getWelcome().getLeaseId()).getAgentBuilder().setAgentId(item.getWelcome().getAgentId());
          }
          tasks.sayAgain();
        }
        case TASK -> tasks.begin(item.getTask());
        case RESULT_ACK -> tasks.forget(item.getResultAck().getTaskId(), item.getResultAck().getAttempt());
        case REJECTED -> tasks.forget(item.getRejected().getTaskId(), item.getRejected().getAttempt());
        case TASK_CANCEL -> tasks.stop(item.getTaskCancel().getTaskId(), item.getTaskCancel().getAttempt());
        case RECONNECT -> end.complete(io.grpc.Status.UNAVAILABLE); // the next turn is another node
        default -> { } // nothing to do
      }
    }
  }

  /** Finish what runs within our patience, give back the rest, say goodbye. */
  private void leave() {
    tasks.send(ConnectRequestItem.newBuilder().setStatus(Status.newBuilder().setCredit(0)));
    tasks.empty(Handlers.patience());
    tasks.giveBack();
    tasks.empty(5_000);
    gone = true;
    tasks.send(ConnectRequestItem.newBuilder().setGoodbye(Goodbye.newBuilder().setReason("stopped")));
    Tasks.pause(200); // for the words to leave
  }
}
