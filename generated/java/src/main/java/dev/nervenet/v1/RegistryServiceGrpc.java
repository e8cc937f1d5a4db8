package dev.nervenet.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Who is alive, what they can do, how busy they are. Served by every node; kept in etcd.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class RegistryServiceGrpc {

  private RegistryServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "nervenet.v1.RegistryService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.RegisterAgentRequest,
      dev.nervenet.v1.RegisterAgentResponse> getRegisterAgentMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "RegisterAgent",
      requestType = dev.nervenet.v1.RegisterAgentRequest.class,
      responseType = dev.nervenet.v1.RegisterAgentResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.RegisterAgentRequest,
      dev.nervenet.v1.RegisterAgentResponse> getRegisterAgentMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.RegisterAgentRequest, dev.nervenet.v1.RegisterAgentResponse> getRegisterAgentMethod;
    if ((getRegisterAgentMethod = RegistryServiceGrpc.getRegisterAgentMethod) == null) {
      synchronized (RegistryServiceGrpc.class) {
        if ((getRegisterAgentMethod = RegistryServiceGrpc.getRegisterAgentMethod) == null) {
          RegistryServiceGrpc.getRegisterAgentMethod = getRegisterAgentMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.RegisterAgentRequest, dev.nervenet.v1.RegisterAgentResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "RegisterAgent"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.RegisterAgentRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.RegisterAgentResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RegistryServiceMethodDescriptorSupplier("RegisterAgent"))
              .build();
        }
      }
    }
    return getRegisterAgentMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.HeartbeatRequest,
      dev.nervenet.v1.HeartbeatResponse> getHeartbeatMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Heartbeat",
      requestType = dev.nervenet.v1.HeartbeatRequest.class,
      responseType = dev.nervenet.v1.HeartbeatResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.HeartbeatRequest,
      dev.nervenet.v1.HeartbeatResponse> getHeartbeatMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.HeartbeatRequest, dev.nervenet.v1.HeartbeatResponse> getHeartbeatMethod;
    if ((getHeartbeatMethod = RegistryServiceGrpc.getHeartbeatMethod) == null) {
      synchronized (RegistryServiceGrpc.class) {
        if ((getHeartbeatMethod = RegistryServiceGrpc.getHeartbeatMethod) == null) {
          RegistryServiceGrpc.getHeartbeatMethod = getHeartbeatMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.HeartbeatRequest, dev.nervenet.v1.HeartbeatResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Heartbeat"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.HeartbeatRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.HeartbeatResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RegistryServiceMethodDescriptorSupplier("Heartbeat"))
              .build();
        }
      }
    }
    return getHeartbeatMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.DeregisterAgentRequest,
      dev.nervenet.v1.DeregisterAgentResponse> getDeregisterAgentMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "DeregisterAgent",
      requestType = dev.nervenet.v1.DeregisterAgentRequest.class,
      responseType = dev.nervenet.v1.DeregisterAgentResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.DeregisterAgentRequest,
      dev.nervenet.v1.DeregisterAgentResponse> getDeregisterAgentMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.DeregisterAgentRequest, dev.nervenet.v1.DeregisterAgentResponse> getDeregisterAgentMethod;
    if ((getDeregisterAgentMethod = RegistryServiceGrpc.getDeregisterAgentMethod) == null) {
      synchronized (RegistryServiceGrpc.class) {
        if ((getDeregisterAgentMethod = RegistryServiceGrpc.getDeregisterAgentMethod) == null) {
          RegistryServiceGrpc.getDeregisterAgentMethod = getDeregisterAgentMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.DeregisterAgentRequest, dev.nervenet.v1.DeregisterAgentResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "DeregisterAgent"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.DeregisterAgentRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.DeregisterAgentResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RegistryServiceMethodDescriptorSupplier("DeregisterAgent"))
              .build();
        }
      }
    }
    return getDeregisterAgentMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.GetAgentRequest,
      dev.nervenet.v1.GetAgentResponse> getGetAgentMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetAgent",
      requestType = dev.nervenet.v1.GetAgentRequest.class,
      responseType = dev.nervenet.v1.GetAgentResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.GetAgentRequest,
      dev.nervenet.v1.GetAgentResponse> getGetAgentMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.GetAgentRequest, dev.nervenet.v1.GetAgentResponse> getGetAgentMethod;
    if ((getGetAgentMethod = RegistryServiceGrpc.getGetAgentMethod) == null) {
      synchronized (RegistryServiceGrpc.class) {
        if ((getGetAgentMethod = RegistryServiceGrpc.getGetAgentMethod) == null) {
          RegistryServiceGrpc.getGetAgentMethod = getGetAgentMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.GetAgentRequest, dev.nervenet.v1.GetAgentResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetAgent"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.GetAgentRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.GetAgentResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RegistryServiceMethodDescriptorSupplier("GetAgent"))
              .build();
        }
      }
    }
    return getGetAgentMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.ListAgentsRequest,
      dev.nervenet.v1.ListAgentsResponse> getListAgentsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListAgents",
      requestType = dev.nervenet.v1.ListAgentsRequest.class,
      responseType = dev.nervenet.v1.ListAgentsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.ListAgentsRequest,
      dev.nervenet.v1.ListAgentsResponse> getListAgentsMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.ListAgentsRequest, dev.nervenet.v1.ListAgentsResponse> getListAgentsMethod;
    if ((getListAgentsMethod = RegistryServiceGrpc.getListAgentsMethod) == null) {
      synchronized (RegistryServiceGrpc.class) {
        if ((getListAgentsMethod = RegistryServiceGrpc.getListAgentsMethod) == null) {
          RegistryServiceGrpc.getListAgentsMethod = getListAgentsMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.ListAgentsRequest, dev.nervenet.v1.ListAgentsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListAgents"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.ListAgentsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.ListAgentsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RegistryServiceMethodDescriptorSupplier("ListAgents"))
              .build();
        }
      }
    }
    return getListAgentsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.ListEjectionsRequest,
      dev.nervenet.v1.ListEjectionsResponse> getListEjectionsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListEjections",
      requestType = dev.nervenet.v1.ListEjectionsRequest.class,
      responseType = dev.nervenet.v1.ListEjectionsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.ListEjectionsRequest,
      dev.nervenet.v1.ListEjectionsResponse> getListEjectionsMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.ListEjectionsRequest, dev.nervenet.v1.ListEjectionsResponse> getListEjectionsMethod;
    if ((getListEjectionsMethod = RegistryServiceGrpc.getListEjectionsMethod) == null) {
      synchronized (RegistryServiceGrpc.class) {
        if ((getListEjectionsMethod = RegistryServiceGrpc.getListEjectionsMethod) == null) {
          RegistryServiceGrpc.getListEjectionsMethod = getListEjectionsMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.ListEjectionsRequest, dev.nervenet.v1.ListEjectionsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListEjections"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.ListEjectionsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.ListEjectionsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RegistryServiceMethodDescriptorSupplier("ListEjections"))
              .build();
        }
      }
    }
    return getListEjectionsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.WatchAgentsRequest,
      dev.nervenet.v1.WatchAgentsResponse> getWatchAgentsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "WatchAgents",
      requestType = dev.nervenet.v1.WatchAgentsRequest.class,
      responseType = dev.nervenet.v1.WatchAgentsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.WatchAgentsRequest,
      dev.nervenet.v1.WatchAgentsResponse> getWatchAgentsMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.WatchAgentsRequest, dev.nervenet.v1.WatchAgentsResponse> getWatchAgentsMethod;
    if ((getWatchAgentsMethod = RegistryServiceGrpc.getWatchAgentsMethod) == null) {
      synchronized (RegistryServiceGrpc.class) {
        if ((getWatchAgentsMethod = RegistryServiceGrpc.getWatchAgentsMethod) == null) {
          RegistryServiceGrpc.getWatchAgentsMethod = getWatchAgentsMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.WatchAgentsRequest, dev.nervenet.v1.WatchAgentsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "WatchAgents"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.WatchAgentsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.WatchAgentsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RegistryServiceMethodDescriptorSupplier("WatchAgents"))
              .build();
        }
      }
    }
    return getWatchAgentsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.SelectAgentRequest,
      dev.nervenet.v1.SelectAgentResponse> getSelectAgentMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "SelectAgent",
      requestType = dev.nervenet.v1.SelectAgentRequest.class,
      responseType = dev.nervenet.v1.SelectAgentResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.SelectAgentRequest,
      dev.nervenet.v1.SelectAgentResponse> getSelectAgentMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.SelectAgentRequest, dev.nervenet.v1.SelectAgentResponse> getSelectAgentMethod;
    if ((getSelectAgentMethod = RegistryServiceGrpc.getSelectAgentMethod) == null) {
      synchronized (RegistryServiceGrpc.class) {
        if ((getSelectAgentMethod = RegistryServiceGrpc.getSelectAgentMethod) == null) {
          RegistryServiceGrpc.getSelectAgentMethod = getSelectAgentMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.SelectAgentRequest, dev.nervenet.v1.SelectAgentResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "SelectAgent"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.SelectAgentRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.SelectAgentResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RegistryServiceMethodDescriptorSupplier("SelectAgent"))
              .build();
        }
      }
    }
    return getSelectAgentMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.ListNodesRequest,
      dev.nervenet.v1.ListNodesResponse> getListNodesMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListNodes",
      requestType = dev.nervenet.v1.ListNodesRequest.class,
      responseType = dev.nervenet.v1.ListNodesResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.ListNodesRequest,
      dev.nervenet.v1.ListNodesResponse> getListNodesMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.ListNodesRequest, dev.nervenet.v1.ListNodesResponse> getListNodesMethod;
    if ((getListNodesMethod = RegistryServiceGrpc.getListNodesMethod) == null) {
      synchronized (RegistryServiceGrpc.class) {
        if ((getListNodesMethod = RegistryServiceGrpc.getListNodesMethod) == null) {
          RegistryServiceGrpc.getListNodesMethod = getListNodesMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.ListNodesRequest, dev.nervenet.v1.ListNodesResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListNodes"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.ListNodesRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.ListNodesResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RegistryServiceMethodDescriptorSupplier("ListNodes"))
              .build();
        }
      }
    }
    return getListNodesMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.DrainNodeRequest,
      dev.nervenet.v1.DrainNodeResponse> getDrainNodeMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "DrainNode",
      requestType = dev.nervenet.v1.DrainNodeRequest.class,
      responseType = dev.nervenet.v1.DrainNodeResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.DrainNodeRequest,
      dev.nervenet.v1.DrainNodeResponse> getDrainNodeMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.DrainNodeRequest, dev.nervenet.v1.DrainNodeResponse> getDrainNodeMethod;
    if ((getDrainNodeMethod = RegistryServiceGrpc.getDrainNodeMethod) == null) {
      synchronized (RegistryServiceGrpc.class) {
        if ((getDrainNodeMethod = RegistryServiceGrpc.getDrainNodeMethod) == null) {
          RegistryServiceGrpc.getDrainNodeMethod = getDrainNodeMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.DrainNodeRequest, dev.nervenet.v1.DrainNodeResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "DrainNode"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.DrainNodeRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.DrainNodeResponse.getDefaultInstance()))
              .setSchemaDescriptor(new RegistryServiceMethodDescriptorSupplier("DrainNode"))
              .build();
        }
      }
    }
    return getDrainNodeMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static RegistryServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<RegistryServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<RegistryServiceStub>() {
        @java.lang.Override
        public RegistryServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new RegistryServiceStub(channel, callOptions);
        }
      };
    return RegistryServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static RegistryServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<RegistryServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<RegistryServiceBlockingV2Stub>() {
        @java.lang.Override
        public RegistryServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new RegistryServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return RegistryServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static RegistryServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<RegistryServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<RegistryServiceBlockingStub>() {
        @java.lang.Override
        public RegistryServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new RegistryServiceBlockingStub(channel, callOptions);
        }
      };
    return RegistryServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static RegistryServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<RegistryServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<RegistryServiceFutureStub>() {
        @java.lang.Override
        public RegistryServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new RegistryServiceFutureStub(channel, callOptions);
        }
      };
    return RegistryServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Who is alive, what they can do, how busy they are. Served by every node; kept in etcd.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Registers an agent under a lease of its own, which the heartbeat keeps.
     * </pre>
     */
    default void registerAgent(dev.nervenet.v1.RegisterAgentRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.RegisterAgentResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getRegisterAgentMethod(), responseObserver);
    }

    /**
     * <pre>
     * The agent sends its load and gets the state that is wanted, at any node. A broken stream is a hint of death, never the proof.
     * </pre>
     */
    default io.grpc.stub.StreamObserver<dev.nervenet.v1.HeartbeatRequest> heartbeat(
        io.grpc.stub.StreamObserver<dev.nervenet.v1.HeartbeatResponse> responseObserver) {
      return io.grpc.stub.ServerCalls.asyncUnimplementedStreamingCall(getHeartbeatMethod(), responseObserver);
    }

    /**
     * <pre>
     * Leaves at once.
     * </pre>
     */
    default void deregisterAgent(dev.nervenet.v1.DeregisterAgentRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.DeregisterAgentResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getDeregisterAgentMethod(), responseObserver);
    }

    /**
     * <pre>
     * Reads one agent.
     * </pre>
     */
    default void getAgent(dev.nervenet.v1.GetAgentRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.GetAgentResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetAgentMethod(), responseObserver);
    }

    /**
     * <pre>
     * Lists agents, by name.
     * </pre>
     */
    default void listAgents(dev.nervenet.v1.ListAgentsRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.ListAgentsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListAgentsMethod(), responseObserver);
    }

    /**
     * <pre>
     * Agents to which the node that is called sends nothing for a while. ListAgents asks every node with it.
     * </pre>
     */
    default void listEjections(dev.nervenet.v1.ListEjectionsRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.ListEjectionsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListEjectionsMethod(), responseObserver);
    }

    /**
     * <pre>
     * Follows the registry; resumes by revision.
     * </pre>
     */
    default void watchAgents(dev.nervenet.v1.WatchAgentsRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.WatchAgentsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getWatchAgentsMethod(), responseObserver);
    }

    /**
     * <pre>
     * Picks an agent as a coordinator would; with `explain` says how.
     * </pre>
     */
    default void selectAgent(dev.nervenet.v1.SelectAgentRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.SelectAgentResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getSelectAgentMethod(), responseObserver);
    }

    /**
     * <pre>
     * Lists nodes.
     * </pre>
     */
    default void listNodes(dev.nervenet.v1.ListNodesRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.ListNodesResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListNodesMethod(), responseObserver);
    }

    /**
     * <pre>
     * A node takes nothing new and gives its workflows to others, as before its end. It keeps serving until its process is
     * stopped. Any node forwards the request. Draining a node that drains is not an error.
     * </pre>
     */
    default void drainNode(dev.nervenet.v1.DrainNodeRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.DrainNodeResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getDrainNodeMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service RegistryService.
   * <pre>
   * Who is alive, what they can do, how busy they are. Served by every node; kept in etcd.
   * </pre>
   */
  public static abstract class RegistryServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return RegistryServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service RegistryService.
   * <pre>
   * Who is alive, what they can do, how busy they are. Served by every node; kept in etcd.
   * </pre>
   */
  public static final class RegistryServiceStub
      extends io.grpc.stub.AbstractAsyncStub<RegistryServiceStub> {
    private RegistryServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected RegistryServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new RegistryServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Registers an agent under a lease of its own, which the heartbeat keeps.
     * </pre>
     */
    public void registerAgent(dev.nervenet.v1.RegisterAgentRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.RegisterAgentResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getRegisterAgentMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * The agent sends its load and gets the state that is wanted, at any node. A broken stream is a hint of death, never the proof.
     * </pre>
     */
    public io.grpc.stub.StreamObserver<dev.nervenet.v1.HeartbeatRequest> heartbeat(
        io.grpc.stub.StreamObserver<dev.nervenet.v1.HeartbeatResponse> responseObserver) {
      return io.grpc.stub.ClientCalls.asyncBidiStreamingCall(
          getChannel().newCall(getHeartbeatMethod(), getCallOptions()), responseObserver);
    }

    /**
     * <pre>
     * Leaves at once.
     * </pre>
     */
    public void deregisterAgent(dev.nervenet.v1.DeregisterAgentRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.DeregisterAgentResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getDeregisterAgentMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Reads one agent.
     * </pre>
     */
    public void getAgent(dev.nervenet.v1.GetAgentRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.GetAgentResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetAgentMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Lists agents, by name.
     * </pre>
     */
    public void listAgents(dev.nervenet.v1.ListAgentsRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.ListAgentsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListAgentsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Agents to which the node that is called sends nothing for a while. ListAgents asks every node with it.
     * </pre>
     */
    public void listEjections(dev.nervenet.v1.ListEjectionsRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.ListEjectionsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListEjectionsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Follows the registry; resumes by revision.
     * </pre>
     */
    public void watchAgents(dev.nervenet.v1.WatchAgentsRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.WatchAgentsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getWatchAgentsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Picks an agent as a coordinator would; with `explain` says how.
     * </pre>
     */
    public void selectAgent(dev.nervenet.v1.SelectAgentRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.SelectAgentResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getSelectAgentMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Lists nodes.
     * </pre>
     */
    public void listNodes(dev.nervenet.v1.ListNodesRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.ListNodesResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListNodesMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * A node takes nothing new and gives its workflows to others, as before its end. It keeps serving until its process is
     * stopped. Any node forwards the request. Draining a node that drains is not an error.
     * </pre>
     */
    public void drainNode(dev.nervenet.v1.DrainNodeRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.DrainNodeResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getDrainNodeMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service RegistryService.
   * <pre>
   * Who is alive, what they can do, how busy they are. Served by every node; kept in etcd.
   * </pre>
   */
  public static final class RegistryServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<RegistryServiceBlockingV2Stub> {
    private RegistryServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected RegistryServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new RegistryServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Registers an agent under a lease of its own, which the heartbeat keeps.
     * </pre>
     */
    public dev.nervenet.v1.RegisterAgentResponse registerAgent(dev.nervenet.v1.RegisterAgentRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getRegisterAgentMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * The agent sends its load and gets the state that is wanted, at any node. A broken stream is a hint of death, never the proof.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<dev.nervenet.v1.HeartbeatRequest, dev.nervenet.v1.HeartbeatResponse>
        heartbeat() {
      return io.grpc.stub.ClientCalls.blockingBidiStreamingCall(
          getChannel(), getHeartbeatMethod(), getCallOptions());
    }

    /**
     * <pre>
     * Leaves at once.
     * </pre>
     */
    public dev.nervenet.v1.DeregisterAgentResponse deregisterAgent(dev.nervenet.v1.DeregisterAgentRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getDeregisterAgentMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Reads one agent.
     * </pre>
     */
    public dev.nervenet.v1.GetAgentResponse getAgent(dev.nervenet.v1.GetAgentRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetAgentMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists agents, by name.
     * </pre>
     */
    public dev.nervenet.v1.ListAgentsResponse listAgents(dev.nervenet.v1.ListAgentsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListAgentsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Agents to which the node that is called sends nothing for a while. ListAgents asks every node with it.
     * </pre>
     */
    public dev.nervenet.v1.ListEjectionsResponse listEjections(dev.nervenet.v1.ListEjectionsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListEjectionsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Follows the registry; resumes by revision.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, dev.nervenet.v1.WatchAgentsResponse>
        watchAgents(dev.nervenet.v1.WatchAgentsRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getWatchAgentsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Picks an agent as a coordinator would; with `explain` says how.
     * </pre>
     */
    public dev.nervenet.v1.SelectAgentResponse selectAgent(dev.nervenet.v1.SelectAgentRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getSelectAgentMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists nodes.
     * </pre>
     */
    public dev.nervenet.v1.ListNodesResponse listNodes(dev.nervenet.v1.ListNodesRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListNodesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * A node takes nothing new and gives its workflows to others, as before its end. It keeps serving until its process is
     * stopped. Any node forwards the request. Draining a node that drains is not an error.
     * </pre>
     */
    public dev.nervenet.v1.DrainNodeResponse drainNode(dev.nervenet.v1.DrainNodeRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getDrainNodeMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service RegistryService.
   * <pre>
   * Who is alive, what they can do, how busy they are. Served by every node; kept in etcd.
   * </pre>
   */
  public static final class RegistryServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<RegistryServiceBlockingStub> {
    private RegistryServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected RegistryServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new RegistryServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Registers an agent under a lease of its own, which the heartbeat keeps.
     * </pre>
     */
    public dev.nervenet.v1.RegisterAgentResponse registerAgent(dev.nervenet.v1.RegisterAgentRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getRegisterAgentMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Leaves at once.
     * </pre>
     */
    public dev.nervenet.v1.DeregisterAgentResponse deregisterAgent(dev.nervenet.v1.DeregisterAgentRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getDeregisterAgentMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Reads one agent.
     * </pre>
     */
    public dev.nervenet.v1.GetAgentResponse getAgent(dev.nervenet.v1.GetAgentRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetAgentMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists agents, by name.
     * </pre>
     */
    public dev.nervenet.v1.ListAgentsResponse listAgents(dev.nervenet.v1.ListAgentsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListAgentsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Agents to which the node that is called sends nothing for a while. ListAgents asks every node with it.
     * </pre>
     */
    public dev.nervenet.v1.ListEjectionsResponse listEjections(dev.nervenet.v1.ListEjectionsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListEjectionsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Follows the registry; resumes by revision.
     * </pre>
     */
    public java.util.Iterator<dev.nervenet.v1.WatchAgentsResponse> watchAgents(
        dev.nervenet.v1.WatchAgentsRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getWatchAgentsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Picks an agent as a coordinator would; with `explain` says how.
     * </pre>
     */
    public dev.nervenet.v1.SelectAgentResponse selectAgent(dev.nervenet.v1.SelectAgentRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getSelectAgentMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists nodes.
     * </pre>
     */
    public dev.nervenet.v1.ListNodesResponse listNodes(dev.nervenet.v1.ListNodesRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListNodesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * A node takes nothing new and gives its workflows to others, as before its end. It keeps serving until its process is
     * stopped. Any node forwards the request. Draining a node that drains is not an error.
     * </pre>
     */
    public dev.nervenet.v1.DrainNodeResponse drainNode(dev.nervenet.v1.DrainNodeRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getDrainNodeMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service RegistryService.
   * <pre>
   * Who is alive, what they can do, how busy they are. Served by every node; kept in etcd.
   * </pre>
   */
  public static final class RegistryServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<RegistryServiceFutureStub> {
    private RegistryServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected RegistryServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new RegistryServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Registers an agent under a lease of its own, which the heartbeat keeps.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.RegisterAgentResponse> registerAgent(
        dev.nervenet.v1.RegisterAgentRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getRegisterAgentMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Leaves at once.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.DeregisterAgentResponse> deregisterAgent(
        dev.nervenet.v1.DeregisterAgentRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getDeregisterAgentMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Reads one agent.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.GetAgentResponse> getAgent(
        dev.nervenet.v1.GetAgentRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetAgentMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Lists agents, by name.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.ListAgentsResponse> listAgents(
        dev.nervenet.v1.ListAgentsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListAgentsMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Agents to which the node that is called sends nothing for a while. ListAgents asks every node with it.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.ListEjectionsResponse> listEjections(
        dev.nervenet.v1.ListEjectionsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListEjectionsMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Picks an agent as a coordinator would; with `explain` says how.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.SelectAgentResponse> selectAgent(
        dev.nervenet.v1.SelectAgentRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getSelectAgentMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Lists nodes.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.ListNodesResponse> listNodes(
        dev.nervenet.v1.ListNodesRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListNodesMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * A node takes nothing new and gives its workflows to others, as before its end. It keeps serving until its process is
     * stopped. Any node forwards the request. Draining a node that drains is not an error.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.DrainNodeResponse> drainNode(
        dev.nervenet.v1.DrainNodeRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getDrainNodeMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_REGISTER_AGENT = 0;
  private static final int METHODID_DEREGISTER_AGENT = 1;
  private static final int METHODID_GET_AGENT = 2;
  private static final int METHODID_LIST_AGENTS = 3;
  private static final int METHODID_LIST_EJECTIONS = 4;
  private static final int METHODID_WATCH_AGENTS = 5;
  private static final int METHODID_SELECT_AGENT = 6;
  private static final int METHODID_LIST_NODES = 7;
  private static final int METHODID_DRAIN_NODE = 8;
  private static final int METHODID_HEARTBEAT = 9;

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
        case METHODID_REGISTER_AGENT:
          serviceImpl.registerAgent((dev.nervenet.v1.RegisterAgentRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.RegisterAgentResponse>) responseObserver);
          break;
        case METHODID_DEREGISTER_AGENT:
          serviceImpl.deregisterAgent((dev.nervenet.v1.DeregisterAgentRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.DeregisterAgentResponse>) responseObserver);
          break;
        case METHODID_GET_AGENT:
          serviceImpl.getAgent((dev.nervenet.v1.GetAgentRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.GetAgentResponse>) responseObserver);
          break;
        case METHODID_LIST_AGENTS:
          serviceImpl.listAgents((dev.nervenet.v1.ListAgentsRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.ListAgentsResponse>) responseObserver);
          break;
        case METHODID_LIST_EJECTIONS:
          serviceImpl.listEjections((dev.nervenet.v1.ListEjectionsRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.ListEjectionsResponse>) responseObserver);
          break;
        case METHODID_WATCH_AGENTS:
          serviceImpl.watchAgents((dev.nervenet.v1.WatchAgentsRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.WatchAgentsResponse>) responseObserver);
          break;
        case METHODID_SELECT_AGENT:
          serviceImpl.selectAgent((dev.nervenet.v1.SelectAgentRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.SelectAgentResponse>) responseObserver);
          break;
        case METHODID_LIST_NODES:
          serviceImpl.listNodes((dev.nervenet.v1.ListNodesRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.ListNodesResponse>) responseObserver);
          break;
        case METHODID_DRAIN_NODE:
          serviceImpl.drainNode((dev.nervenet.v1.DrainNodeRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.DrainNodeResponse>) responseObserver);
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
        case METHODID_HEARTBEAT:
          return (io.grpc.stub.StreamObserver<Req>) serviceImpl.heartbeat(
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.HeartbeatResponse>) responseObserver);
        default:
          throw new AssertionError();
      }
    }
  }

  public static final io.grpc.ServerServiceDefinition bindService(AsyncService service) {
    return io.grpc.ServerServiceDefinition.builder(getServiceDescriptor())
        .addMethod(
          getRegisterAgentMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.RegisterAgentRequest,
              dev.nervenet.v1.RegisterAgentResponse>(
                service, METHODID_REGISTER_AGENT)))
        .addMethod(
          getHeartbeatMethod(),
          io.grpc.stub.ServerCalls.asyncBidiStreamingCall(
            new MethodHandlers<
              dev.nervenet.v1.HeartbeatRequest,
              dev.nervenet.v1.HeartbeatResponse>(
                service, METHODID_HEARTBEAT)))
        .addMethod(
          getDeregisterAgentMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.DeregisterAgentRequest,
              dev.nervenet.v1.DeregisterAgentResponse>(
                service, METHODID_DEREGISTER_AGENT)))
        .addMethod(
          getGetAgentMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.GetAgentRequest,
              dev.nervenet.v1.GetAgentResponse>(
                service, METHODID_GET_AGENT)))
        .addMethod(
          getListAgentsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.ListAgentsRequest,
              dev.nervenet.v1.ListAgentsResponse>(
                service, METHODID_LIST_AGENTS)))
        .addMethod(
          getListEjectionsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.ListEjectionsRequest,
              dev.nervenet.v1.ListEjectionsResponse>(
                service, METHODID_LIST_EJECTIONS)))
        .addMethod(
          getWatchAgentsMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              dev.nervenet.v1.WatchAgentsRequest,
              dev.nervenet.v1.WatchAgentsResponse>(
                service, METHODID_WATCH_AGENTS)))
        .addMethod(
          getSelectAgentMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.SelectAgentRequest,
              dev.nervenet.v1.SelectAgentResponse>(
                service, METHODID_SELECT_AGENT)))
        .addMethod(
          getListNodesMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.ListNodesRequest,
              dev.nervenet.v1.ListNodesResponse>(
                service, METHODID_LIST_NODES)))
        .addMethod(
          getDrainNodeMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.DrainNodeRequest,
              dev.nervenet.v1.DrainNodeResponse>(
                service, METHODID_DRAIN_NODE)))
        .build();
  }

  private static abstract class RegistryServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    RegistryServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return dev.nervenet.v1.RegistryServiceOuterClass.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("RegistryService");
    }
  }

  private static final class RegistryServiceFileDescriptorSupplier
      extends RegistryServiceBaseDescriptorSupplier {
    RegistryServiceFileDescriptorSupplier() {}
  }

  private static final class RegistryServiceMethodDescriptorSupplier
      extends RegistryServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    RegistryServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (RegistryServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new RegistryServiceFileDescriptorSupplier())
              .addMethod(getRegisterAgentMethod())
              .addMethod(getHeartbeatMethod())
              .addMethod(getDeregisterAgentMethod())
              .addMethod(getGetAgentMethod())
              .addMethod(getListAgentsMethod())
              .addMethod(getListEjectionsMethod())
              .addMethod(getWatchAgentsMethod())
              .addMethod(getSelectAgentMethod())
              .addMethod(getListNodesMethod())
              .addMethod(getDrainNodeMethod())
              .build();
        }
      }
    }
    return result;
  }
}
