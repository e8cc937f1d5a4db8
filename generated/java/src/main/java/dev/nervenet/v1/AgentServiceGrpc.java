package dev.nervenet.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Served by each agent for itself, and by each node, by `agent_id`, for all agents that it can reach.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class AgentServiceGrpc {

  private AgentServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "nervenet.v1.AgentService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.DescribeAgentRequest,
      dev.nervenet.v1.DescribeAgentResponse> getDescribeAgentMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "DescribeAgent",
      requestType = dev.nervenet.v1.DescribeAgentRequest.class,
      responseType = dev.nervenet.v1.DescribeAgentResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.DescribeAgentRequest,
      dev.nervenet.v1.DescribeAgentResponse> getDescribeAgentMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.DescribeAgentRequest, dev.nervenet.v1.DescribeAgentResponse> getDescribeAgentMethod;
    if ((getDescribeAgentMethod = AgentServiceGrpc.getDescribeAgentMethod) == null) {
      synchronized (AgentServiceGrpc.class) {
        if ((getDescribeAgentMethod = AgentServiceGrpc.getDescribeAgentMethod) == null) {
          AgentServiceGrpc.getDescribeAgentMethod = getDescribeAgentMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.DescribeAgentRequest, dev.nervenet.v1.DescribeAgentResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "DescribeAgent"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.DescribeAgentRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.DescribeAgentResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AgentServiceMethodDescriptorSupplier("DescribeAgent"))
              .build();
        }
      }
    }
    return getDescribeAgentMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.GetLoadRequest,
      dev.nervenet.v1.GetLoadResponse> getGetLoadMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetLoad",
      requestType = dev.nervenet.v1.GetLoadRequest.class,
      responseType = dev.nervenet.v1.GetLoadResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.GetLoadRequest,
      dev.nervenet.v1.GetLoadResponse> getGetLoadMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.GetLoadRequest, dev.nervenet.v1.GetLoadResponse> getGetLoadMethod;
    if ((getGetLoadMethod = AgentServiceGrpc.getGetLoadMethod) == null) {
      synchronized (AgentServiceGrpc.class) {
        if ((getGetLoadMethod = AgentServiceGrpc.getGetLoadMethod) == null) {
          AgentServiceGrpc.getGetLoadMethod = getGetLoadMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.GetLoadRequest, dev.nervenet.v1.GetLoadResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetLoad"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.GetLoadRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.GetLoadResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AgentServiceMethodDescriptorSupplier("GetLoad"))
              .build();
        }
      }
    }
    return getGetLoadMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.ListActiveTasksRequest,
      dev.nervenet.v1.ListActiveTasksResponse> getListActiveTasksMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListActiveTasks",
      requestType = dev.nervenet.v1.ListActiveTasksRequest.class,
      responseType = dev.nervenet.v1.ListActiveTasksResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.ListActiveTasksRequest,
      dev.nervenet.v1.ListActiveTasksResponse> getListActiveTasksMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.ListActiveTasksRequest, dev.nervenet.v1.ListActiveTasksResponse> getListActiveTasksMethod;
    if ((getListActiveTasksMethod = AgentServiceGrpc.getListActiveTasksMethod) == null) {
      synchronized (AgentServiceGrpc.class) {
        if ((getListActiveTasksMethod = AgentServiceGrpc.getListActiveTasksMethod) == null) {
          AgentServiceGrpc.getListActiveTasksMethod = getListActiveTasksMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.ListActiveTasksRequest, dev.nervenet.v1.ListActiveTasksResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListActiveTasks"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.ListActiveTasksRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.ListActiveTasksResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AgentServiceMethodDescriptorSupplier("ListActiveTasks"))
              .build();
        }
      }
    }
    return getListActiveTasksMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.DrainAgentRequest,
      dev.nervenet.v1.DrainAgentResponse> getDrainAgentMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "DrainAgent",
      requestType = dev.nervenet.v1.DrainAgentRequest.class,
      responseType = dev.nervenet.v1.DrainAgentResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.DrainAgentRequest,
      dev.nervenet.v1.DrainAgentResponse> getDrainAgentMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.DrainAgentRequest, dev.nervenet.v1.DrainAgentResponse> getDrainAgentMethod;
    if ((getDrainAgentMethod = AgentServiceGrpc.getDrainAgentMethod) == null) {
      synchronized (AgentServiceGrpc.class) {
        if ((getDrainAgentMethod = AgentServiceGrpc.getDrainAgentMethod) == null) {
          AgentServiceGrpc.getDrainAgentMethod = getDrainAgentMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.DrainAgentRequest, dev.nervenet.v1.DrainAgentResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "DrainAgent"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.DrainAgentRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.DrainAgentResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AgentServiceMethodDescriptorSupplier("DrainAgent"))
              .build();
        }
      }
    }
    return getDrainAgentMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.ResumeAgentRequest,
      dev.nervenet.v1.ResumeAgentResponse> getResumeAgentMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ResumeAgent",
      requestType = dev.nervenet.v1.ResumeAgentRequest.class,
      responseType = dev.nervenet.v1.ResumeAgentResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.ResumeAgentRequest,
      dev.nervenet.v1.ResumeAgentResponse> getResumeAgentMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.ResumeAgentRequest, dev.nervenet.v1.ResumeAgentResponse> getResumeAgentMethod;
    if ((getResumeAgentMethod = AgentServiceGrpc.getResumeAgentMethod) == null) {
      synchronized (AgentServiceGrpc.class) {
        if ((getResumeAgentMethod = AgentServiceGrpc.getResumeAgentMethod) == null) {
          AgentServiceGrpc.getResumeAgentMethod = getResumeAgentMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.ResumeAgentRequest, dev.nervenet.v1.ResumeAgentResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ResumeAgent"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.ResumeAgentRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.ResumeAgentResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AgentServiceMethodDescriptorSupplier("ResumeAgent"))
              .build();
        }
      }
    }
    return getResumeAgentMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.CancelTaskRequest,
      dev.nervenet.v1.CancelTaskResponse> getCancelTaskMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CancelTask",
      requestType = dev.nervenet.v1.CancelTaskRequest.class,
      responseType = dev.nervenet.v1.CancelTaskResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.CancelTaskRequest,
      dev.nervenet.v1.CancelTaskResponse> getCancelTaskMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.CancelTaskRequest, dev.nervenet.v1.CancelTaskResponse> getCancelTaskMethod;
    if ((getCancelTaskMethod = AgentServiceGrpc.getCancelTaskMethod) == null) {
      synchronized (AgentServiceGrpc.class) {
        if ((getCancelTaskMethod = AgentServiceGrpc.getCancelTaskMethod) == null) {
          AgentServiceGrpc.getCancelTaskMethod = getCancelTaskMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.CancelTaskRequest, dev.nervenet.v1.CancelTaskResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CancelTask"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.CancelTaskRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.CancelTaskResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AgentServiceMethodDescriptorSupplier("CancelTask"))
              .build();
        }
      }
    }
    return getCancelTaskMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.ConnectRequest,
      dev.nervenet.v1.ConnectResponse> getConnectMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Connect",
      requestType = dev.nervenet.v1.ConnectRequest.class,
      responseType = dev.nervenet.v1.ConnectResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.ConnectRequest,
      dev.nervenet.v1.ConnectResponse> getConnectMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.ConnectRequest, dev.nervenet.v1.ConnectResponse> getConnectMethod;
    if ((getConnectMethod = AgentServiceGrpc.getConnectMethod) == null) {
      synchronized (AgentServiceGrpc.class) {
        if ((getConnectMethod = AgentServiceGrpc.getConnectMethod) == null) {
          AgentServiceGrpc.getConnectMethod = getConnectMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.ConnectRequest, dev.nervenet.v1.ConnectResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Connect"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.ConnectRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.ConnectResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AgentServiceMethodDescriptorSupplier("Connect"))
              .build();
        }
      }
    }
    return getConnectMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static AgentServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AgentServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AgentServiceStub>() {
        @java.lang.Override
        public AgentServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AgentServiceStub(channel, callOptions);
        }
      };
    return AgentServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static AgentServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AgentServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AgentServiceBlockingV2Stub>() {
        @java.lang.Override
        public AgentServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AgentServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return AgentServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static AgentServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AgentServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AgentServiceBlockingStub>() {
        @java.lang.Override
        public AgentServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AgentServiceBlockingStub(channel, callOptions);
        }
      };
    return AgentServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static AgentServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AgentServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AgentServiceFutureStub>() {
        @java.lang.Override
        public AgentServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AgentServiceFutureStub(channel, callOptions);
        }
      };
    return AgentServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Served by each agent for itself, and by each node, by `agent_id`, for all agents that it can reach.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Who the agent is and how busy.
     * </pre>
     */
    default void describeAgent(dev.nervenet.v1.DescribeAgentRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.DescribeAgentResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getDescribeAgentMethod(), responseObserver);
    }

    /**
     * <pre>
     * How busy it is now.
     * </pre>
     */
    default void getLoad(dev.nervenet.v1.GetLoadRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.GetLoadResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetLoadMethod(), responseObserver);
    }

    /**
     * <pre>
     * What it runs.
     * </pre>
     */
    default void listActiveTasks(dev.nervenet.v1.ListActiveTasksRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.ListActiveTasksResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListActiveTasksMethod(), responseObserver);
    }

    /**
     * <pre>
     * Finish what runs, take nothing new.
     * </pre>
     */
    default void drainAgent(dev.nervenet.v1.DrainAgentRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.DrainAgentResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getDrainAgentMethod(), responseObserver);
    }

    /**
     * <pre>
     * Take tasks again after a drain.
     * </pre>
     */
    default void resumeAgent(dev.nervenet.v1.ResumeAgentRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.ResumeAgentResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getResumeAgentMethod(), responseObserver);
    }

    /**
     * <pre>
     * Stop one running task. The workflow's journal decides; this only makes it fast.
     * </pre>
     */
    default void cancelTask(dev.nervenet.v1.CancelTaskRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.CancelTaskResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCancelTaskMethod(), responseObserver);
    }

    /**
     * <pre>
     * The gateway, on nodes only: tasks down, results up, for agents that speak only gRPC. Handshake first; the credit
     * bounds what is in flight; a result is acknowledged once it is durable. protos/README.md has the whole protocol.
     * </pre>
     */
    default io.grpc.stub.StreamObserver<dev.nervenet.v1.ConnectRequest> connect(
        io.grpc.stub.StreamObserver<dev.nervenet.v1.ConnectResponse> responseObserver) {
      return io.grpc.stub.ServerCalls.asyncUnimplementedStreamingCall(getConnectMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service AgentService.
   * <pre>
   * Served by each agent for itself, and by each node, by `agent_id`, for all agents that it can reach.
   * </pre>
   */
  public static abstract class AgentServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return AgentServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service AgentService.
   * <pre>
   * Served by each agent for itself, and by each node, by `agent_id`, for all agents that it can reach.
   * </pre>
   */
  public static final class AgentServiceStub
      extends io.grpc.stub.AbstractAsyncStub<AgentServiceStub> {
    private AgentServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AgentServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AgentServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Who the agent is and how busy.
     * </pre>
     */
    public void describeAgent(dev.nervenet.v1.DescribeAgentRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.DescribeAgentResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getDescribeAgentMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * How busy it is now.
     * </pre>
     */
    public void getLoad(dev.nervenet.v1.GetLoadRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.GetLoadResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetLoadMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * What it runs.
     * </pre>
     */
    public void listActiveTasks(dev.nervenet.v1.ListActiveTasksRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.ListActiveTasksResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListActiveTasksMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Finish what runs, take nothing new.
     * </pre>
     */
    public void drainAgent(dev.nervenet.v1.DrainAgentRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.DrainAgentResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getDrainAgentMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Take tasks again after a drain.
     * </pre>
     */
    public void resumeAgent(dev.nervenet.v1.ResumeAgentRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.ResumeAgentResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getResumeAgentMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Stop one running task. The workflow's journal decides; this only makes it fast.
     * </pre>
     */
    public void cancelTask(dev.nervenet.v1.CancelTaskRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.CancelTaskResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCancelTaskMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * The gateway, on nodes only: tasks down, results up, for agents that speak only gRPC. Handshake first; the credit
     * bounds what is in flight; a result is acknowledged once it is durable. protos/README.md has the whole protocol.
     * </pre>
     */
    public io.grpc.stub.StreamObserver<dev.nervenet.v1.ConnectRequest> connect(
        io.grpc.stub.StreamObserver<dev.nervenet.v1.ConnectResponse> responseObserver) {
      return io.grpc.stub.ClientCalls.asyncBidiStreamingCall(
          getChannel().newCall(getConnectMethod(), getCallOptions()), responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service AgentService.
   * <pre>
   * Served by each agent for itself, and by each node, by `agent_id`, for all agents that it can reach.
   * </pre>
   */
  public static final class AgentServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<AgentServiceBlockingV2Stub> {
    private AgentServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AgentServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AgentServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Who the agent is and how busy.
     * </pre>
     */
    public dev.nervenet.v1.DescribeAgentResponse describeAgent(dev.nervenet.v1.DescribeAgentRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getDescribeAgentMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * How busy it is now.
     * </pre>
     */
    public dev.nervenet.v1.GetLoadResponse getLoad(dev.nervenet.v1.GetLoadRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetLoadMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * What it runs.
     * </pre>
     */
    public dev.nervenet.v1.ListActiveTasksResponse listActiveTasks(dev.nervenet.v1.ListActiveTasksRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListActiveTasksMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Finish what runs, take nothing new.
     * </pre>
     */
    public dev.nervenet.v1.DrainAgentResponse drainAgent(dev.nervenet.v1.DrainAgentRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getDrainAgentMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Take tasks again after a drain.
     * </pre>
     */
    public dev.nervenet.v1.ResumeAgentResponse resumeAgent(dev.nervenet.v1.ResumeAgentRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getResumeAgentMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Stop one running task. The workflow's journal decides; this only makes it fast.
     * </pre>
     */
    public dev.nervenet.v1.CancelTaskResponse cancelTask(dev.nervenet.v1.CancelTaskRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCancelTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * The gateway, on nodes only: tasks down, results up, for agents that speak only gRPC. Handshake first; the credit
     * bounds what is in flight; a result is acknowledged once it is durable. protos/README.md has the whole protocol.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<dev.nervenet.v1.ConnectRequest, dev.nervenet.v1.ConnectResponse>
        connect() {
      return io.grpc.stub.ClientCalls.blockingBidiStreamingCall(
          getChannel(), getConnectMethod(), getCallOptions());
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service AgentService.
   * <pre>
   * Served by each agent for itself, and by each node, by `agent_id`, for all agents that it can reach.
   * </pre>
   */
  public static final class AgentServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<AgentServiceBlockingStub> {
    private AgentServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AgentServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AgentServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Who the agent is and how busy.
     * </pre>
     */
    public dev.nervenet.v1.DescribeAgentResponse describeAgent(dev.nervenet.v1.DescribeAgentRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getDescribeAgentMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * How busy it is now.
     * </pre>
     */
    public dev.nervenet.v1.GetLoadResponse getLoad(dev.nervenet.v1.GetLoadRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetLoadMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * What it runs.
     * </pre>
     */
    public dev.nervenet.v1.ListActiveTasksResponse listActiveTasks(dev.nervenet.v1.ListActiveTasksRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListActiveTasksMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Finish what runs, take nothing new.
     * </pre>
     */
    public dev.nervenet.v1.DrainAgentResponse drainAgent(dev.nervenet.v1.DrainAgentRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getDrainAgentMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Take tasks again after a drain.
     * </pre>
     */
    public dev.nervenet.v1.ResumeAgentResponse resumeAgent(dev.nervenet.v1.ResumeAgentRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getResumeAgentMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Stop one running task. The workflow's journal decides; this only makes it fast.
     * </pre>
     */
    public dev.nervenet.v1.CancelTaskResponse cancelTask(dev.nervenet.v1.CancelTaskRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCancelTaskMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service AgentService.
   * <pre>
   * Served by each agent for itself, and by each node, by `agent_id`, for all agents that it can reach.
   * </pre>
   */
  public static final class AgentServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<AgentServiceFutureStub> {
    private AgentServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AgentServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AgentServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Who the agent is and how busy.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.DescribeAgentResponse> describeAgent(
        dev.nervenet.v1.DescribeAgentRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getDescribeAgentMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * How busy it is now.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.GetLoadResponse> getLoad(
        dev.nervenet.v1.GetLoadRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetLoadMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * What it runs.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.ListActiveTasksResponse> listActiveTasks(
        dev.nervenet.v1.ListActiveTasksRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListActiveTasksMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Finish what runs, take nothing new.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.DrainAgentResponse> drainAgent(
        dev.nervenet.v1.DrainAgentRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getDrainAgentMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Take tasks again after a drain.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.ResumeAgentResponse> resumeAgent(
        dev.nervenet.v1.ResumeAgentRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getResumeAgentMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Stop one running task. The workflow's journal decides; this only makes it fast.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.CancelTaskResponse> cancelTask(
        dev.nervenet.v1.CancelTaskRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCancelTaskMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_DESCRIBE_AGENT = 0;
  private static final int METHODID_GET_LOAD = 1;
  private static final int METHODID_LIST_ACTIVE_TASKS = 2;
  private static final int METHODID_DRAIN_AGENT = 3;
  private static final int METHODID_RESUME_AGENT = 4;
  private static final int METHODID_CANCEL_TASK = 5;
  private static final int METHODID_CONNECT = 6;

  private static final class MethodHandlers<Req, Resp> implements
      io.grpc.stub.ServerCalls.UnaryMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ServerStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ClientStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.BidiStreamingMethod<Req, Resp> {
    private final AsyncService serviceImpl;
    private final int methodId;

    MethodHandlers(AsyncService serviceImpl, int methodId) {
      this.serviceImpl = serviceImpl;
      this.methodId = methodId;
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public void invoke(Req request, io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        case METHODID_DESCRIBE_AGENT:
          serviceImpl.describeAgent((dev.nervenet.v1.DescribeAgentRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.DescribeAgentResponse>) responseObserver);
          break;
        case METHODID_GET_LOAD:
          serviceImpl.getLoad((dev.nervenet.v1.GetLoadRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.GetLoadResponse>) responseObserver);
          break;
        case METHODID_LIST_ACTIVE_TASKS:
          serviceImpl.listActiveTasks((dev.nervenet.v1.ListActiveTasksRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.ListActiveTasksResponse>) responseObserver);
          break;
        case METHODID_DRAIN_AGENT:
          serviceImpl.drainAgent((dev.nervenet.v1.DrainAgentRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.DrainAgentResponse>) responseObserver);
          break;
        case METHODID_RESUME_AGENT:
          serviceImpl.resumeAgent((dev.nervenet.v1.ResumeAgentRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.ResumeAgentResponse>) responseObserver);
          break;
        case METHODID_CANCEL_TASK:
          serviceImpl.cancelTask((dev.nervenet.v1.CancelTaskRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.CancelTaskResponse>) responseObserver);
          break;
        default:
          throw new AssertionError();
      }
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public io.grpc.stub.StreamObserver<Req> invoke(
        io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        case METHODID_CONNECT:
          return (io.grpc.stub.StreamObserver<Req>) serviceImpl.connect(
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.ConnectResponse>) responseObserver);
        default:
          throw new AssertionError();
      }
    }
  }

  public static final io.grpc.ServerServiceDefinition bindService(AsyncService service) {
    return io.grpc.ServerServiceDefinition.builder(getServiceDescriptor())
        .addMethod(
          getDescribeAgentMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.DescribeAgentRequest,
              dev.nervenet.v1.DescribeAgentResponse>(
                service, METHODID_DESCRIBE_AGENT)))
        .addMethod(
          getGetLoadMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.GetLoadRequest,
              dev.nervenet.v1.GetLoadResponse>(
                service, METHODID_GET_LOAD)))
        .addMethod(
          getListActiveTasksMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.ListActiveTasksRequest,
              dev.nervenet.v1.ListActiveTasksResponse>(
                service, METHODID_LIST_ACTIVE_TASKS)))
        .addMethod(
          getDrainAgentMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.DrainAgentRequest,
              dev.nervenet.v1.DrainAgentResponse>(
                service, METHODID_DRAIN_AGENT)))
        .addMethod(
          getResumeAgentMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.ResumeAgentRequest,
              dev.nervenet.v1.ResumeAgentResponse>(
                service, METHODID_RESUME_AGENT)))
        .addMethod(
          getCancelTaskMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.CancelTaskRequest,
              dev.nervenet.v1.CancelTaskResponse>(
                service, METHODID_CANCEL_TASK)))
        .addMethod(
          getConnectMethod(),
          io.grpc.stub.ServerCalls.asyncBidiStreamingCall(
            new MethodHandlers<
              dev.nervenet.v1.ConnectRequest,
              dev.nervenet.v1.ConnectResponse>(
                service, METHODID_CONNECT)))
        .build();
  }

  private static abstract class AgentServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    AgentServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return dev.nervenet.v1.AgentServiceOuterClass.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("AgentService");
    }
  }

  private static final class AgentServiceFileDescriptorSupplier
      extends AgentServiceBaseDescriptorSupplier {
    AgentServiceFileDescriptorSupplier() {}
  }

  private static final class AgentServiceMethodDescriptorSupplier
      extends AgentServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    AgentServiceMethodDescriptorSupplier(java.lang.String methodName) {
      this.methodName = methodName;
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.MethodDescriptor getMethodDescriptor() {
      return getServiceDescriptor().findMethodByName(methodName);
    }
  }

  private static volatile io.grpc.ServiceDescriptor serviceDescriptor;

  public static io.grpc.ServiceDescriptor getServiceDescriptor() {
    io.grpc.ServiceDescriptor result = serviceDescriptor;
    if (result == null) {
      synchronized (AgentServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new AgentServiceFileDescriptorSupplier())
              .addMethod(getDescribeAgentMethod())
              .addMethod(getGetLoadMethod())
              .addMethod(getListActiveTasksMethod())
              .addMethod(getDrainAgentMethod())
              .addMethod(getResumeAgentMethod())
              .addMethod(getCancelTaskMethod())
              .addMethod(getConnectMethod())
              .build();
        }
      }
    }
    return result;
  }
}
