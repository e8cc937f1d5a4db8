package dev.nervenet.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Starts, reads, watches and steers workflows. Every node answers for every workflow.
 * A refusal is a status with ErrorInfo (domain "nervenet", a reason). RESOURCE_EXHAUSTED is one of NODE_FULL (no node has
 * room for another workflow), QUEUE_FULL (too many tasks wait for that capability), JOURNAL_FULL (the workflow's journal
 * takes no more signals before it begins a fresh one), all three with RetryInfo, and PAYLOAD_TOO_LARGE.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class CoordinatorServiceGrpc {

  private CoordinatorServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "nervenet.v1.CoordinatorService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.StartWorkflowRequest,
      dev.nervenet.v1.StartWorkflowResponse> getStartWorkflowMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "StartWorkflow",
      requestType = dev.nervenet.v1.StartWorkflowRequest.class,
      responseType = dev.nervenet.v1.StartWorkflowResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.StartWorkflowRequest,
      dev.nervenet.v1.StartWorkflowResponse> getStartWorkflowMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.StartWorkflowRequest, dev.nervenet.v1.StartWorkflowResponse> getStartWorkflowMethod;
    if ((getStartWorkflowMethod = CoordinatorServiceGrpc.getStartWorkflowMethod) == null) {
      synchronized (CoordinatorServiceGrpc.class) {
        if ((getStartWorkflowMethod = CoordinatorServiceGrpc.getStartWorkflowMethod) == null) {
          CoordinatorServiceGrpc.getStartWorkflowMethod = getStartWorkflowMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.StartWorkflowRequest, dev.nervenet.v1.StartWorkflowResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "StartWorkflow"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.StartWorkflowRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.StartWorkflowResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinatorServiceMethodDescriptorSupplier("StartWorkflow"))
              .build();
        }
      }
    }
    return getStartWorkflowMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.StartWorkflowsRequest,
      dev.nervenet.v1.StartWorkflowsResponse> getStartWorkflowsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "StartWorkflows",
      requestType = dev.nervenet.v1.StartWorkflowsRequest.class,
      responseType = dev.nervenet.v1.StartWorkflowsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.StartWorkflowsRequest,
      dev.nervenet.v1.StartWorkflowsResponse> getStartWorkflowsMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.StartWorkflowsRequest, dev.nervenet.v1.StartWorkflowsResponse> getStartWorkflowsMethod;
    if ((getStartWorkflowsMethod = CoordinatorServiceGrpc.getStartWorkflowsMethod) == null) {
      synchronized (CoordinatorServiceGrpc.class) {
        if ((getStartWorkflowsMethod = CoordinatorServiceGrpc.getStartWorkflowsMethod) == null) {
          CoordinatorServiceGrpc.getStartWorkflowsMethod = getStartWorkflowsMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.StartWorkflowsRequest, dev.nervenet.v1.StartWorkflowsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "StartWorkflows"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.StartWorkflowsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.StartWorkflowsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinatorServiceMethodDescriptorSupplier("StartWorkflows"))
              .build();
        }
      }
    }
    return getStartWorkflowsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.StreamStartsRequest,
      dev.nervenet.v1.StreamStartsResponse> getStreamStartsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "StreamStarts",
      requestType = dev.nervenet.v1.StreamStartsRequest.class,
      responseType = dev.nervenet.v1.StreamStartsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.StreamStartsRequest,
      dev.nervenet.v1.StreamStartsResponse> getStreamStartsMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.StreamStartsRequest, dev.nervenet.v1.StreamStartsResponse> getStreamStartsMethod;
    if ((getStreamStartsMethod = CoordinatorServiceGrpc.getStreamStartsMethod) == null) {
      synchronized (CoordinatorServiceGrpc.class) {
        if ((getStreamStartsMethod = CoordinatorServiceGrpc.getStreamStartsMethod) == null) {
          CoordinatorServiceGrpc.getStreamStartsMethod = getStreamStartsMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.StreamStartsRequest, dev.nervenet.v1.StreamStartsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "StreamStarts"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.StreamStartsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.StreamStartsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinatorServiceMethodDescriptorSupplier("StreamStarts"))
              .build();
        }
      }
    }
    return getStreamStartsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.AwaitWorkflowsRequest,
      dev.nervenet.v1.AwaitWorkflowsResponse> getAwaitWorkflowsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "AwaitWorkflows",
      requestType = dev.nervenet.v1.AwaitWorkflowsRequest.class,
      responseType = dev.nervenet.v1.AwaitWorkflowsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.AwaitWorkflowsRequest,
      dev.nervenet.v1.AwaitWorkflowsResponse> getAwaitWorkflowsMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.AwaitWorkflowsRequest, dev.nervenet.v1.AwaitWorkflowsResponse> getAwaitWorkflowsMethod;
    if ((getAwaitWorkflowsMethod = CoordinatorServiceGrpc.getAwaitWorkflowsMethod) == null) {
      synchronized (CoordinatorServiceGrpc.class) {
        if ((getAwaitWorkflowsMethod = CoordinatorServiceGrpc.getAwaitWorkflowsMethod) == null) {
          CoordinatorServiceGrpc.getAwaitWorkflowsMethod = getAwaitWorkflowsMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.AwaitWorkflowsRequest, dev.nervenet.v1.AwaitWorkflowsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "AwaitWorkflows"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.AwaitWorkflowsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.AwaitWorkflowsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinatorServiceMethodDescriptorSupplier("AwaitWorkflows"))
              .build();
        }
      }
    }
    return getAwaitWorkflowsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.GetWorkflowRequest,
      dev.nervenet.v1.GetWorkflowResponse> getGetWorkflowMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetWorkflow",
      requestType = dev.nervenet.v1.GetWorkflowRequest.class,
      responseType = dev.nervenet.v1.GetWorkflowResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.GetWorkflowRequest,
      dev.nervenet.v1.GetWorkflowResponse> getGetWorkflowMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.GetWorkflowRequest, dev.nervenet.v1.GetWorkflowResponse> getGetWorkflowMethod;
    if ((getGetWorkflowMethod = CoordinatorServiceGrpc.getGetWorkflowMethod) == null) {
      synchronized (CoordinatorServiceGrpc.class) {
        if ((getGetWorkflowMethod = CoordinatorServiceGrpc.getGetWorkflowMethod) == null) {
          CoordinatorServiceGrpc.getGetWorkflowMethod = getGetWorkflowMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.GetWorkflowRequest, dev.nervenet.v1.GetWorkflowResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetWorkflow"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.GetWorkflowRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.GetWorkflowResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinatorServiceMethodDescriptorSupplier("GetWorkflow"))
              .build();
        }
      }
    }
    return getGetWorkflowMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.ListWorkflowsRequest,
      dev.nervenet.v1.ListWorkflowsResponse> getListWorkflowsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListWorkflows",
      requestType = dev.nervenet.v1.ListWorkflowsRequest.class,
      responseType = dev.nervenet.v1.ListWorkflowsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.ListWorkflowsRequest,
      dev.nervenet.v1.ListWorkflowsResponse> getListWorkflowsMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.ListWorkflowsRequest, dev.nervenet.v1.ListWorkflowsResponse> getListWorkflowsMethod;
    if ((getListWorkflowsMethod = CoordinatorServiceGrpc.getListWorkflowsMethod) == null) {
      synchronized (CoordinatorServiceGrpc.class) {
        if ((getListWorkflowsMethod = CoordinatorServiceGrpc.getListWorkflowsMethod) == null) {
          CoordinatorServiceGrpc.getListWorkflowsMethod = getListWorkflowsMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.ListWorkflowsRequest, dev.nervenet.v1.ListWorkflowsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListWorkflows"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.ListWorkflowsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.ListWorkflowsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinatorServiceMethodDescriptorSupplier("ListWorkflows"))
              .build();
        }
      }
    }
    return getListWorkflowsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.ListWaitsRequest,
      dev.nervenet.v1.ListWaitsResponse> getListWaitsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListWaits",
      requestType = dev.nervenet.v1.ListWaitsRequest.class,
      responseType = dev.nervenet.v1.ListWaitsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.ListWaitsRequest,
      dev.nervenet.v1.ListWaitsResponse> getListWaitsMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.ListWaitsRequest, dev.nervenet.v1.ListWaitsResponse> getListWaitsMethod;
    if ((getListWaitsMethod = CoordinatorServiceGrpc.getListWaitsMethod) == null) {
      synchronized (CoordinatorServiceGrpc.class) {
        if ((getListWaitsMethod = CoordinatorServiceGrpc.getListWaitsMethod) == null) {
          CoordinatorServiceGrpc.getListWaitsMethod = getListWaitsMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.ListWaitsRequest, dev.nervenet.v1.ListWaitsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListWaits"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.ListWaitsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.ListWaitsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinatorServiceMethodDescriptorSupplier("ListWaits"))
              .build();
        }
      }
    }
    return getListWaitsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.ListJournalRequest,
      dev.nervenet.v1.ListJournalResponse> getListJournalMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListJournal",
      requestType = dev.nervenet.v1.ListJournalRequest.class,
      responseType = dev.nervenet.v1.ListJournalResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.ListJournalRequest,
      dev.nervenet.v1.ListJournalResponse> getListJournalMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.ListJournalRequest, dev.nervenet.v1.ListJournalResponse> getListJournalMethod;
    if ((getListJournalMethod = CoordinatorServiceGrpc.getListJournalMethod) == null) {
      synchronized (CoordinatorServiceGrpc.class) {
        if ((getListJournalMethod = CoordinatorServiceGrpc.getListJournalMethod) == null) {
          CoordinatorServiceGrpc.getListJournalMethod = getListJournalMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.ListJournalRequest, dev.nervenet.v1.ListJournalResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListJournal"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.ListJournalRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.ListJournalResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinatorServiceMethodDescriptorSupplier("ListJournal"))
              .build();
        }
      }
    }
    return getListJournalMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.WatchWorkflowRequest,
      dev.nervenet.v1.WatchWorkflowResponse> getWatchWorkflowMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "WatchWorkflow",
      requestType = dev.nervenet.v1.WatchWorkflowRequest.class,
      responseType = dev.nervenet.v1.WatchWorkflowResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.WatchWorkflowRequest,
      dev.nervenet.v1.WatchWorkflowResponse> getWatchWorkflowMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.WatchWorkflowRequest, dev.nervenet.v1.WatchWorkflowResponse> getWatchWorkflowMethod;
    if ((getWatchWorkflowMethod = CoordinatorServiceGrpc.getWatchWorkflowMethod) == null) {
      synchronized (CoordinatorServiceGrpc.class) {
        if ((getWatchWorkflowMethod = CoordinatorServiceGrpc.getWatchWorkflowMethod) == null) {
          CoordinatorServiceGrpc.getWatchWorkflowMethod = getWatchWorkflowMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.WatchWorkflowRequest, dev.nervenet.v1.WatchWorkflowResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "WatchWorkflow"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.WatchWorkflowRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.WatchWorkflowResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinatorServiceMethodDescriptorSupplier("WatchWorkflow"))
              .build();
        }
      }
    }
    return getWatchWorkflowMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.SignalWorkflowRequest,
      dev.nervenet.v1.SignalWorkflowResponse> getSignalWorkflowMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "SignalWorkflow",
      requestType = dev.nervenet.v1.SignalWorkflowRequest.class,
      responseType = dev.nervenet.v1.SignalWorkflowResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.SignalWorkflowRequest,
      dev.nervenet.v1.SignalWorkflowResponse> getSignalWorkflowMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.SignalWorkflowRequest, dev.nervenet.v1.SignalWorkflowResponse> getSignalWorkflowMethod;
    if ((getSignalWorkflowMethod = CoordinatorServiceGrpc.getSignalWorkflowMethod) == null) {
      synchronized (CoordinatorServiceGrpc.class) {
        if ((getSignalWorkflowMethod = CoordinatorServiceGrpc.getSignalWorkflowMethod) == null) {
          CoordinatorServiceGrpc.getSignalWorkflowMethod = getSignalWorkflowMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.SignalWorkflowRequest, dev.nervenet.v1.SignalWorkflowResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "SignalWorkflow"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.SignalWorkflowRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.SignalWorkflowResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinatorServiceMethodDescriptorSupplier("SignalWorkflow"))
              .build();
        }
      }
    }
    return getSignalWorkflowMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.CancelWorkflowRequest,
      dev.nervenet.v1.CancelWorkflowResponse> getCancelWorkflowMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CancelWorkflow",
      requestType = dev.nervenet.v1.CancelWorkflowRequest.class,
      responseType = dev.nervenet.v1.CancelWorkflowResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.CancelWorkflowRequest,
      dev.nervenet.v1.CancelWorkflowResponse> getCancelWorkflowMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.CancelWorkflowRequest, dev.nervenet.v1.CancelWorkflowResponse> getCancelWorkflowMethod;
    if ((getCancelWorkflowMethod = CoordinatorServiceGrpc.getCancelWorkflowMethod) == null) {
      synchronized (CoordinatorServiceGrpc.class) {
        if ((getCancelWorkflowMethod = CoordinatorServiceGrpc.getCancelWorkflowMethod) == null) {
          CoordinatorServiceGrpc.getCancelWorkflowMethod = getCancelWorkflowMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.CancelWorkflowRequest, dev.nervenet.v1.CancelWorkflowResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CancelWorkflow"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.CancelWorkflowRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.CancelWorkflowResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinatorServiceMethodDescriptorSupplier("CancelWorkflow"))
              .build();
        }
      }
    }
    return getCancelWorkflowMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.RetryWorkflowRequest,
      dev.nervenet.v1.RetryWorkflowResponse> getRetryWorkflowMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "RetryWorkflow",
      requestType = dev.nervenet.v1.RetryWorkflowRequest.class,
      responseType = dev.nervenet.v1.RetryWorkflowResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.RetryWorkflowRequest,
      dev.nervenet.v1.RetryWorkflowResponse> getRetryWorkflowMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.RetryWorkflowRequest, dev.nervenet.v1.RetryWorkflowResponse> getRetryWorkflowMethod;
    if ((getRetryWorkflowMethod = CoordinatorServiceGrpc.getRetryWorkflowMethod) == null) {
      synchronized (CoordinatorServiceGrpc.class) {
        if ((getRetryWorkflowMethod = CoordinatorServiceGrpc.getRetryWorkflowMethod) == null) {
          CoordinatorServiceGrpc.getRetryWorkflowMethod = getRetryWorkflowMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.RetryWorkflowRequest, dev.nervenet.v1.RetryWorkflowResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "RetryWorkflow"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.RetryWorkflowRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.RetryWorkflowResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinatorServiceMethodDescriptorSupplier("RetryWorkflow"))
              .build();
        }
      }
    }
    return getRetryWorkflowMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.RestartWorkflowRequest,
      dev.nervenet.v1.RestartWorkflowResponse> getRestartWorkflowMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "RestartWorkflow",
      requestType = dev.nervenet.v1.RestartWorkflowRequest.class,
      responseType = dev.nervenet.v1.RestartWorkflowResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.RestartWorkflowRequest,
      dev.nervenet.v1.RestartWorkflowResponse> getRestartWorkflowMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.RestartWorkflowRequest, dev.nervenet.v1.RestartWorkflowResponse> getRestartWorkflowMethod;
    if ((getRestartWorkflowMethod = CoordinatorServiceGrpc.getRestartWorkflowMethod) == null) {
      synchronized (CoordinatorServiceGrpc.class) {
        if ((getRestartWorkflowMethod = CoordinatorServiceGrpc.getRestartWorkflowMethod) == null) {
          CoordinatorServiceGrpc.getRestartWorkflowMethod = getRestartWorkflowMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.RestartWorkflowRequest, dev.nervenet.v1.RestartWorkflowResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "RestartWorkflow"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.RestartWorkflowRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.RestartWorkflowResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinatorServiceMethodDescriptorSupplier("RestartWorkflow"))
              .build();
        }
      }
    }
    return getRestartWorkflowMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.RunTaskRequest,
      dev.nervenet.v1.RunTaskResponse> getRunTaskMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "RunTask",
      requestType = dev.nervenet.v1.RunTaskRequest.class,
      responseType = dev.nervenet.v1.RunTaskResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.RunTaskRequest,
      dev.nervenet.v1.RunTaskResponse> getRunTaskMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.RunTaskRequest, dev.nervenet.v1.RunTaskResponse> getRunTaskMethod;
    if ((getRunTaskMethod = CoordinatorServiceGrpc.getRunTaskMethod) == null) {
      synchronized (CoordinatorServiceGrpc.class) {
        if ((getRunTaskMethod = CoordinatorServiceGrpc.getRunTaskMethod) == null) {
          CoordinatorServiceGrpc.getRunTaskMethod = getRunTaskMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.RunTaskRequest, dev.nervenet.v1.RunTaskResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "RunTask"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.RunTaskRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.RunTaskResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinatorServiceMethodDescriptorSupplier("RunTask"))
              .build();
        }
      }
    }
    return getRunTaskMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.ListEscalationsRequest,
      dev.nervenet.v1.ListEscalationsResponse> getListEscalationsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListEscalations",
      requestType = dev.nervenet.v1.ListEscalationsRequest.class,
      responseType = dev.nervenet.v1.ListEscalationsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.ListEscalationsRequest,
      dev.nervenet.v1.ListEscalationsResponse> getListEscalationsMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.ListEscalationsRequest, dev.nervenet.v1.ListEscalationsResponse> getListEscalationsMethod;
    if ((getListEscalationsMethod = CoordinatorServiceGrpc.getListEscalationsMethod) == null) {
      synchronized (CoordinatorServiceGrpc.class) {
        if ((getListEscalationsMethod = CoordinatorServiceGrpc.getListEscalationsMethod) == null) {
          CoordinatorServiceGrpc.getListEscalationsMethod = getListEscalationsMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.ListEscalationsRequest, dev.nervenet.v1.ListEscalationsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListEscalations"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.ListEscalationsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.ListEscalationsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinatorServiceMethodDescriptorSupplier("ListEscalations"))
              .build();
        }
      }
    }
    return getListEscalationsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.GetEscalationRequest,
      dev.nervenet.v1.GetEscalationResponse> getGetEscalationMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetEscalation",
      requestType = dev.nervenet.v1.GetEscalationRequest.class,
      responseType = dev.nervenet.v1.GetEscalationResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.GetEscalationRequest,
      dev.nervenet.v1.GetEscalationResponse> getGetEscalationMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.GetEscalationRequest, dev.nervenet.v1.GetEscalationResponse> getGetEscalationMethod;
    if ((getGetEscalationMethod = CoordinatorServiceGrpc.getGetEscalationMethod) == null) {
      synchronized (CoordinatorServiceGrpc.class) {
        if ((getGetEscalationMethod = CoordinatorServiceGrpc.getGetEscalationMethod) == null) {
          CoordinatorServiceGrpc.getGetEscalationMethod = getGetEscalationMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.GetEscalationRequest, dev.nervenet.v1.GetEscalationResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetEscalation"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.GetEscalationRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.GetEscalationResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinatorServiceMethodDescriptorSupplier("GetEscalation"))
              .build();
        }
      }
    }
    return getGetEscalationMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.ResolveEscalationRequest,
      dev.nervenet.v1.ResolveEscalationResponse> getResolveEscalationMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ResolveEscalation",
      requestType = dev.nervenet.v1.ResolveEscalationRequest.class,
      responseType = dev.nervenet.v1.ResolveEscalationResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.ResolveEscalationRequest,
      dev.nervenet.v1.ResolveEscalationResponse> getResolveEscalationMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.ResolveEscalationRequest, dev.nervenet.v1.ResolveEscalationResponse> getResolveEscalationMethod;
    if ((getResolveEscalationMethod = CoordinatorServiceGrpc.getResolveEscalationMethod) == null) {
      synchronized (CoordinatorServiceGrpc.class) {
        if ((getResolveEscalationMethod = CoordinatorServiceGrpc.getResolveEscalationMethod) == null) {
          CoordinatorServiceGrpc.getResolveEscalationMethod = getResolveEscalationMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.ResolveEscalationRequest, dev.nervenet.v1.ResolveEscalationResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ResolveEscalation"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.ResolveEscalationRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.ResolveEscalationResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinatorServiceMethodDescriptorSupplier("ResolveEscalation"))
              .build();
        }
      }
    }
    return getResolveEscalationMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.PutDefinitionRequest,
      dev.nervenet.v1.PutDefinitionResponse> getPutDefinitionMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "PutDefinition",
      requestType = dev.nervenet.v1.PutDefinitionRequest.class,
      responseType = dev.nervenet.v1.PutDefinitionResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.PutDefinitionRequest,
      dev.nervenet.v1.PutDefinitionResponse> getPutDefinitionMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.PutDefinitionRequest, dev.nervenet.v1.PutDefinitionResponse> getPutDefinitionMethod;
    if ((getPutDefinitionMethod = CoordinatorServiceGrpc.getPutDefinitionMethod) == null) {
      synchronized (CoordinatorServiceGrpc.class) {
        if ((getPutDefinitionMethod = CoordinatorServiceGrpc.getPutDefinitionMethod) == null) {
          CoordinatorServiceGrpc.getPutDefinitionMethod = getPutDefinitionMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.PutDefinitionRequest, dev.nervenet.v1.PutDefinitionResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "PutDefinition"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.PutDefinitionRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.PutDefinitionResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinatorServiceMethodDescriptorSupplier("PutDefinition"))
              .build();
        }
      }
    }
    return getPutDefinitionMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.GetDefinitionRequest,
      dev.nervenet.v1.GetDefinitionResponse> getGetDefinitionMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetDefinition",
      requestType = dev.nervenet.v1.GetDefinitionRequest.class,
      responseType = dev.nervenet.v1.GetDefinitionResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.GetDefinitionRequest,
      dev.nervenet.v1.GetDefinitionResponse> getGetDefinitionMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.GetDefinitionRequest, dev.nervenet.v1.GetDefinitionResponse> getGetDefinitionMethod;
    if ((getGetDefinitionMethod = CoordinatorServiceGrpc.getGetDefinitionMethod) == null) {
      synchronized (CoordinatorServiceGrpc.class) {
        if ((getGetDefinitionMethod = CoordinatorServiceGrpc.getGetDefinitionMethod) == null) {
          CoordinatorServiceGrpc.getGetDefinitionMethod = getGetDefinitionMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.GetDefinitionRequest, dev.nervenet.v1.GetDefinitionResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetDefinition"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.GetDefinitionRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.GetDefinitionResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinatorServiceMethodDescriptorSupplier("GetDefinition"))
              .build();
        }
      }
    }
    return getGetDefinitionMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.nervenet.v1.ListDefinitionsRequest,
      dev.nervenet.v1.ListDefinitionsResponse> getListDefinitionsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListDefinitions",
      requestType = dev.nervenet.v1.ListDefinitionsRequest.class,
      responseType = dev.nervenet.v1.ListDefinitionsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.nervenet.v1.ListDefinitionsRequest,
      dev.nervenet.v1.ListDefinitionsResponse> getListDefinitionsMethod() {
    io.grpc.MethodDescriptor<dev.nervenet.v1.ListDefinitionsRequest, dev.nervenet.v1.ListDefinitionsResponse> getListDefinitionsMethod;
    if ((getListDefinitionsMethod = CoordinatorServiceGrpc.getListDefinitionsMethod) == null) {
      synchronized (CoordinatorServiceGrpc.class) {
        if ((getListDefinitionsMethod = CoordinatorServiceGrpc.getListDefinitionsMethod) == null) {
          CoordinatorServiceGrpc.getListDefinitionsMethod = getListDefinitionsMethod =
              io.grpc.MethodDescriptor.<dev.nervenet.v1.ListDefinitionsRequest, dev.nervenet.v1.ListDefinitionsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListDefinitions"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.ListDefinitionsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.nervenet.v1.ListDefinitionsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinatorServiceMethodDescriptorSupplier("ListDefinitions"))
              .build();
        }
      }
    }
    return getListDefinitionsMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static CoordinatorServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<CoordinatorServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<CoordinatorServiceStub>() {
        @java.lang.Override
        public CoordinatorServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new CoordinatorServiceStub(channel, callOptions);
        }
      };
    return CoordinatorServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static CoordinatorServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<CoordinatorServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<CoordinatorServiceBlockingV2Stub>() {
        @java.lang.Override
        public CoordinatorServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new CoordinatorServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return CoordinatorServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static CoordinatorServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<CoordinatorServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<CoordinatorServiceBlockingStub>() {
        @java.lang.Override
        public CoordinatorServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new CoordinatorServiceBlockingStub(channel, callOptions);
        }
      };
    return CoordinatorServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static CoordinatorServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<CoordinatorServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<CoordinatorServiceFutureStub>() {
        @java.lang.Override
        public CoordinatorServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new CoordinatorServiceFutureStub(channel, callOptions);
        }
      };
    return CoordinatorServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Starts, reads, watches and steers workflows. Every node answers for every workflow.
   * A refusal is a status with ErrorInfo (domain "nervenet", a reason). RESOURCE_EXHAUSTED is one of NODE_FULL (no node has
   * room for another workflow), QUEUE_FULL (too many tasks wait for that capability), JOURNAL_FULL (the workflow's journal
   * takes no more signals before it begins a fresh one), all three with RetryInfo, and PAYLOAD_TOO_LARGE.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Starts a workflow, or returns the one that exists. With `wait` it answers with the result if that comes in time.
     * </pre>
     */
    default void startWorkflow(dev.nervenet.v1.StartWorkflowRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.StartWorkflowResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getStartWorkflowMethod(), responseObserver);
    }

    /**
     * <pre>
     * Starts many in one call; each has its own outcome.
     * </pre>
     */
    default void startWorkflows(dev.nervenet.v1.StartWorkflowsRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.StartWorkflowsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getStartWorkflowsMethod(), responseObserver);
    }

    /**
     * <pre>
     * StartWorkflows as messages of a stream, which cost a quarter of calls: for a client that starts again and again. Each message is
     * judged, recorded and answered as a call of StartWorkflows, and has 64 KiB at most. Answers come when they are ready. A stream that breaks leaves
     * unknown what its last messages did: send their starts again. Releases before 0.2 answer UNIMPLEMENTED.
     * </pre>
     */
    default io.grpc.stub.StreamObserver<dev.nervenet.v1.StreamStartsRequest> streamStarts(
        io.grpc.stub.StreamObserver<dev.nervenet.v1.StreamStartsResponse> responseObserver) {
      return io.grpc.stub.ServerCalls.asyncUnimplementedStreamingCall(getStreamStartsMethod(), responseObserver);
    }

    /**
     * <pre>
     * Send ids as workflows are started; each workflow is returned when it closes. One stream serves thousands of waiting callers.
     * </pre>
     */
    default io.grpc.stub.StreamObserver<dev.nervenet.v1.AwaitWorkflowsRequest> awaitWorkflows(
        io.grpc.stub.StreamObserver<dev.nervenet.v1.AwaitWorkflowsResponse> responseObserver) {
      return io.grpc.stub.ServerCalls.asyncUnimplementedStreamingCall(getAwaitWorkflowsMethod(), responseObserver);
    }

    /**
     * <pre>
     * Reads one workflow; with `wait` it answers when the workflow closes or the time is over.
     * </pre>
     */
    default void getWorkflow(dev.nervenet.v1.GetWorkflowRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.GetWorkflowResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetWorkflowMethod(), responseObserver);
    }

    /**
     * <pre>
     * Lists workflows, newest first.
     * </pre>
     */
    default void listWorkflows(dev.nervenet.v1.ListWorkflowsRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.ListWorkflowsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListWorkflowsMethod(), responseObserver);
    }

    /**
     * <pre>
     * What open workflows of the node that is called wait for, from its memory; workflows of other nodes are left out.
     * ListWorkflows asks every owner with it.
     * </pre>
     */
    default void listWaits(dev.nervenet.v1.ListWaitsRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.ListWaitsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListWaitsMethod(), responseObserver);
    }

    /**
     * <pre>
     * Reads a workflow's journal.
     * </pre>
     */
    default void listJournal(dev.nervenet.v1.ListJournalRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.ListJournalResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListJournalMethod(), responseObserver);
    }

    /**
     * <pre>
     * Follows a workflow from any entry to its end.
     * </pre>
     */
    default void watchWorkflow(dev.nervenet.v1.WatchWorkflowRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.WatchWorkflowResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getWatchWorkflowMethod(), responseObserver);
    }

    /**
     * <pre>
     * Sends a signal; recorded once by its id. The same request again is answered like the first one, also when the
     * workflow has closed since; the same request_id with another signal or payload: ALREADY_EXISTS. INVALID_ARGUMENT: the
     * workflow's code receives none of that name, or its value does not fit.
     * </pre>
     */
    default void signalWorkflow(dev.nervenet.v1.SignalWorkflowRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.SignalWorkflowResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getSignalWorkflowMethod(), responseObserver);
    }

    /**
     * <pre>
     * Asks a workflow to stop; recorded once. Again, also when it has closed since: `created` is false. A workflow that
     * closed before it was asked to stop: FAILED_PRECONDITION.
     * </pre>
     */
    default void cancelWorkflow(dev.nervenet.v1.CancelWorkflowRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.CancelWorkflowResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCancelWorkflowMethod(), responseObserver);
    }

    /**
     * <pre>
     * Replays a BLOCKED workflow now, with the code that its node has; no step runs twice. The answer is its state behind
     * that: it continues, or it is BLOCKED still. A workflow that is not BLOCKED stays as it is: `retried` is false.
     * </pre>
     */
    default void retryWorkflow(dev.nervenet.v1.RetryWorkflowRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.RetryWorkflowResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getRetryWorkflowMethod(), responseObserver);
    }

    /**
     * <pre>
     * Begins the next run of a workflow with the input of the run that is over, or that is BLOCKED: that one is canceled
     * first, without clean-up. FAILED_PRECONDITION: it is open and not BLOCKED. With `run` set, a repeated request begins
     * one run: `created` is false the second time.
     * </pre>
     */
    default void restartWorkflow(dev.nervenet.v1.RestartWorkflowRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.RestartWorkflowResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getRestartWorkflowMethod(), responseObserver);
    }

    /**
     * <pre>
     * Runs one task, durably and deduplicated by request_id, for a program that is its own coordinator. The same
     * request_id with another capability or input: ALREADY_EXISTS.
     * </pre>
     */
    default void runTask(dev.nervenet.v1.RunTaskRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.RunTaskResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getRunTaskMethod(), responseObserver);
    }

    /**
     * <pre>
     * Lists what waits for a human.
     * </pre>
     */
    default void listEscalations(dev.nervenet.v1.ListEscalationsRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.ListEscalationsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListEscalationsMethod(), responseObserver);
    }

    /**
     * <pre>
     * Reads one escalation.
     * </pre>
     */
    default void getEscalation(dev.nervenet.v1.GetEscalationRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.GetEscalationResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetEscalationMethod(), responseObserver);
    }

    /**
     * <pre>
     * Decides an escalation; of two people at once one wins and the other learns the decision. The same decision again is
     * answered like the first one.
     * </pre>
     */
    default void resolveEscalation(dev.nervenet.v1.ResolveEscalationRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.ResolveEscalationResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getResolveEscalationMethod(), responseObserver);
    }

    /**
     * <pre>
     * Stores a workflow as data; the same content again changes nothing. Every problem of the definition is one field
     * violation of the INVALID_ARGUMENT. ALREADY_EXISTS: other content is stored under that name and version.
     * </pre>
     */
    default void putDefinition(dev.nervenet.v1.PutDefinitionRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.PutDefinitionResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getPutDefinitionMethod(), responseObserver);
    }

    /**
     * <pre>
     * Reads a stored definition.
     * </pre>
     */
    default void getDefinition(dev.nervenet.v1.GetDefinitionRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.GetDefinitionResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetDefinitionMethod(), responseObserver);
    }

    /**
     * <pre>
     * Lists the stored definitions by name.
     * </pre>
     */
    default void listDefinitions(dev.nervenet.v1.ListDefinitionsRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.ListDefinitionsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListDefinitionsMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service CoordinatorService.
   * <pre>
   * Starts, reads, watches and steers workflows. Every node answers for every workflow.
   * A refusal is a status with ErrorInfo (domain "nervenet", a reason). RESOURCE_EXHAUSTED is one of NODE_FULL (no node has
   * room for another workflow), QUEUE_FULL (too many tasks wait for that capability), JOURNAL_FULL (the workflow's journal
   * takes no more signals before it begins a fresh one), all three with RetryInfo, and PAYLOAD_TOO_LARGE.
   * </pre>
   */
  public static abstract class CoordinatorServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return CoordinatorServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service CoordinatorService.
   * <pre>
   * Starts, reads, watches and steers workflows. Every node answers for every workflow.
   * A refusal is a status with ErrorInfo (domain "nervenet", a reason). RESOURCE_EXHAUSTED is one of NODE_FULL (no node has
   * room for another workflow), QUEUE_FULL (too many tasks wait for that capability), JOURNAL_FULL (the workflow's journal
   * takes no more signals before it begins a fresh one), all three with RetryInfo, and PAYLOAD_TOO_LARGE.
   * </pre>
   */
  public static final class CoordinatorServiceStub
      extends io.grpc.stub.AbstractAsyncStub<CoordinatorServiceStub> {
    private CoordinatorServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected CoordinatorServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new CoordinatorServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Starts a workflow, or returns the one that exists. With `wait` it answers with the result if that comes in time.
     * </pre>
     */
    public void startWorkflow(dev.nervenet.v1.StartWorkflowRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.StartWorkflowResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getStartWorkflowMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Starts many in one call; each has its own outcome.
     * </pre>
     */
    public void startWorkflows(dev.nervenet.v1.StartWorkflowsRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.StartWorkflowsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getStartWorkflowsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * StartWorkflows as messages of a stream, which cost a quarter of calls: for a client that starts again and again. Each message is
     * judged, recorded and answered as a call of StartWorkflows, and has 64 KiB at most. Answers come when they are ready. A stream that breaks leaves
     * unknown what its last messages did: send their starts again. Releases before 0.2 answer UNIMPLEMENTED.
     * </pre>
     */
    public io.grpc.stub.StreamObserver<dev.nervenet.v1.StreamStartsRequest> streamStarts(
        io.grpc.stub.StreamObserver<dev.nervenet.v1.StreamStartsResponse> responseObserver) {
      return io.grpc.stub.ClientCalls.asyncBidiStreamingCall(
          getChannel().newCall(getStreamStartsMethod(), getCallOptions()), responseObserver);
    }

    /**
     * <pre>
     * Send ids as workflows are started; each workflow is returned when it closes. One stream serves thousands of waiting callers.
     * </pre>
     */
    public io.grpc.stub.StreamObserver<dev.nervenet.v1.AwaitWorkflowsRequest> awaitWorkflows(
        io.grpc.stub.StreamObserver<dev.nervenet.v1.AwaitWorkflowsResponse> responseObserver) {
      return io.grpc.stub.ClientCalls.asyncBidiStreamingCall(
          getChannel().newCall(getAwaitWorkflowsMethod(), getCallOptions()), responseObserver);
    }

    /**
     * <pre>
     * Reads one workflow; with `wait` it answers when the workflow closes or the time is over.
     * </pre>
     */
    public void getWorkflow(dev.nervenet.v1.GetWorkflowRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.GetWorkflowResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetWorkflowMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Lists workflows, newest first.
     * </pre>
     */
    public void listWorkflows(dev.nervenet.v1.ListWorkflowsRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.ListWorkflowsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListWorkflowsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * What open workflows of the node that is called wait for, from its memory; workflows of other nodes are left out.
     * ListWorkflows asks every owner with it.
     * </pre>
     */
    public void listWaits(dev.nervenet.v1.ListWaitsRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.ListWaitsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListWaitsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Reads a workflow's journal.
     * </pre>
     */
    public void listJournal(dev.nervenet.v1.ListJournalRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.ListJournalResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListJournalMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Follows a workflow from any entry to its end.
     * </pre>
     */
    public void watchWorkflow(dev.nervenet.v1.WatchWorkflowRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.WatchWorkflowResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getWatchWorkflowMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Sends a signal; recorded once by its id. The same request again is answered like the first one, also when the
     * workflow has closed since; the same request_id with another signal or payload: ALREADY_EXISTS. INVALID_ARGUMENT: the
     * workflow's code receives none of that name, or its value does not fit.
     * </pre>
     */
    public void signalWorkflow(dev.nervenet.v1.SignalWorkflowRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.SignalWorkflowResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getSignalWorkflowMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Asks a workflow to stop; recorded once. Again, also when it has closed since: `created` is false. A workflow that
     * closed before it was asked to stop: FAILED_PRECONDITION.
     * </pre>
     */
    public void cancelWorkflow(dev.nervenet.v1.CancelWorkflowRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.CancelWorkflowResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCancelWorkflowMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Replays a BLOCKED workflow now, with the code that its node has; no step runs twice. The answer is its state behind
     * that: it continues, or it is BLOCKED still. A workflow that is not BLOCKED stays as it is: `retried` is false.
     * </pre>
     */
    public void retryWorkflow(dev.nervenet.v1.RetryWorkflowRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.RetryWorkflowResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getRetryWorkflowMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Begins the next run of a workflow with the input of the run that is over, or that is BLOCKED: that one is canceled
     * first, without clean-up. FAILED_PRECONDITION: it is open and not BLOCKED. With `run` set, a repeated request begins
     * one run: `created` is false the second time.
     * </pre>
     */
    public void restartWorkflow(dev.nervenet.v1.RestartWorkflowRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.RestartWorkflowResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getRestartWorkflowMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Runs one task, durably and deduplicated by request_id, for a program that is its own coordinator. The same
     * request_id with another capability or input: ALREADY_EXISTS.
     * </pre>
     */
    public void runTask(dev.nervenet.v1.RunTaskRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.RunTaskResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getRunTaskMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Lists what waits for a human.
     * </pre>
     */
    public void listEscalations(dev.nervenet.v1.ListEscalationsRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.ListEscalationsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListEscalationsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Reads one escalation.
     * </pre>
     */
    public void getEscalation(dev.nervenet.v1.GetEscalationRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.GetEscalationResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetEscalationMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Decides an escalation; of two people at once one wins and the other learns the decision. The same decision again is
     * answered like the first one.
     * </pre>
     */
    public void resolveEscalation(dev.nervenet.v1.ResolveEscalationRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.ResolveEscalationResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getResolveEscalationMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Stores a workflow as data; the same content again changes nothing. Every problem of the definition is one field
     * violation of the INVALID_ARGUMENT. ALREADY_EXISTS: other content is stored under that name and version.
     * </pre>
     */
    public void putDefinition(dev.nervenet.v1.PutDefinitionRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.PutDefinitionResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getPutDefinitionMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Reads a stored definition.
     * </pre>
     */
    public void getDefinition(dev.nervenet.v1.GetDefinitionRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.GetDefinitionResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetDefinitionMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Lists the stored definitions by name.
     * </pre>
     */
    public void listDefinitions(dev.nervenet.v1.ListDefinitionsRequest request,
        io.grpc.stub.StreamObserver<dev.nervenet.v1.ListDefinitionsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListDefinitionsMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service CoordinatorService.
   * <pre>
   * Starts, reads, watches and steers workflows. Every node answers for every workflow.
   * A refusal is a status with ErrorInfo (domain "nervenet", a reason). RESOURCE_EXHAUSTED is one of NODE_FULL (no node has
   * room for another workflow), QUEUE_FULL (too many tasks wait for that capability), JOURNAL_FULL (the workflow's journal
   * takes no more signals before it begins a fresh one), all three with RetryInfo, and PAYLOAD_TOO_LARGE.
   * </pre>
   */
  public static final class CoordinatorServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<CoordinatorServiceBlockingV2Stub> {
    private CoordinatorServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected CoordinatorServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new CoordinatorServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Starts a workflow, or returns the one that exists. With `wait` it answers with the result if that comes in time.
     * </pre>
     */
    public dev.nervenet.v1.StartWorkflowResponse startWorkflow(dev.nervenet.v1.StartWorkflowRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getStartWorkflowMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Starts many in one call; each has its own outcome.
     * </pre>
     */
    public dev.nervenet.v1.StartWorkflowsResponse startWorkflows(dev.nervenet.v1.StartWorkflowsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getStartWorkflowsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * StartWorkflows as messages of a stream, which cost a quarter of calls: for a client that starts again and again. Each message is
     * judged, recorded and answered as a call of StartWorkflows, and has 64 KiB at most. Answers come when they are ready. A stream that breaks leaves
     * unknown what its last messages did: send their starts again. Releases before 0.2 answer UNIMPLEMENTED.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<dev.nervenet.v1.StreamStartsRequest, dev.nervenet.v1.StreamStartsResponse>
        streamStarts() {
      return io.grpc.stub.ClientCalls.blockingBidiStreamingCall(
          getChannel(), getStreamStartsMethod(), getCallOptions());
    }

    /**
     * <pre>
     * Send ids as workflows are started; each workflow is returned when it closes. One stream serves thousands of waiting callers.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<dev.nervenet.v1.AwaitWorkflowsRequest, dev.nervenet.v1.AwaitWorkflowsResponse>
        awaitWorkflows() {
      return io.grpc.stub.ClientCalls.blockingBidiStreamingCall(
          getChannel(), getAwaitWorkflowsMethod(), getCallOptions());
    }

    /**
     * <pre>
     * Reads one workflow; with `wait` it answers when the workflow closes or the time is over.
     * </pre>
     */
    public dev.nervenet.v1.GetWorkflowResponse getWorkflow(dev.nervenet.v1.GetWorkflowRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetWorkflowMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists workflows, newest first.
     * </pre>
     */
    public dev.nervenet.v1.ListWorkflowsResponse listWorkflows(dev.nervenet.v1.ListWorkflowsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListWorkflowsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * What open workflows of the node that is called wait for, from its memory; workflows of other nodes are left out.
     * ListWorkflows asks every owner with it.
     * </pre>
     */
    public dev.nervenet.v1.ListWaitsResponse listWaits(dev.nervenet.v1.ListWaitsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListWaitsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Reads a workflow's journal.
     * </pre>
     */
    public dev.nervenet.v1.ListJournalResponse listJournal(dev.nervenet.v1.ListJournalRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListJournalMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Follows a workflow from any entry to its end.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, dev.nervenet.v1.WatchWorkflowResponse>
        watchWorkflow(dev.nervenet.v1.WatchWorkflowRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getWatchWorkflowMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Sends a signal; recorded once by its id. The same request again is answered like the first one, also when the
     * workflow has closed since; the same request_id with another signal or payload: ALREADY_EXISTS. INVALID_ARGUMENT: the
     * workflow's code receives none of that name, or its value does not fit.
     * </pre>
     */
    public dev.nervenet.v1.SignalWorkflowResponse signalWorkflow(dev.nervenet.v1.SignalWorkflowRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getSignalWorkflowMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Asks a workflow to stop; recorded once. Again, also when it has closed since: `created` is false. A workflow that
     * closed before it was asked to stop: FAILED_PRECONDITION.
     * </pre>
     */
    public dev.nervenet.v1.CancelWorkflowResponse cancelWorkflow(dev.nervenet.v1.CancelWorkflowRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCancelWorkflowMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Replays a BLOCKED workflow now, with the code that its node has; no step runs twice. The answer is its state behind
     * that: it continues, or it is BLOCKED still. A workflow that is not BLOCKED stays as it is: `retried` is false.
     * </pre>
     */
    public dev.nervenet.v1.RetryWorkflowResponse retryWorkflow(dev.nervenet.v1.RetryWorkflowRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getRetryWorkflowMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Begins the next run of a workflow with the input of the run that is over, or that is BLOCKED: that one is canceled
     * first, without clean-up. FAILED_PRECONDITION: it is open and not BLOCKED. With `run` set, a repeated request begins
     * one run: `created` is false the second time.
     * </pre>
     */
    public dev.nervenet.v1.RestartWorkflowResponse restartWorkflow(dev.nervenet.v1.RestartWorkflowRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getRestartWorkflowMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Runs one task, durably and deduplicated by request_id, for a program that is its own coordinator. The same
     * request_id with another capability or input: ALREADY_EXISTS.
     * </pre>
     */
    public dev.nervenet.v1.RunTaskResponse runTask(dev.nervenet.v1.RunTaskRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getRunTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists what waits for a human.
     * </pre>
     */
    public dev.nervenet.v1.ListEscalationsResponse listEscalations(dev.nervenet.v1.ListEscalationsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListEscalationsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Reads one escalation.
     * </pre>
     */
    public dev.nervenet.v1.GetEscalationResponse getEscalation(dev.nervenet.v1.GetEscalationRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetEscalationMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Decides an escalation; of two people at once one wins and the other learns the decision. The same decision again is
     * answered like the first one.
     * </pre>
     */
    public dev.nervenet.v1.ResolveEscalationResponse resolveEscalation(dev.nervenet.v1.ResolveEscalationRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getResolveEscalationMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Stores a workflow as data; the same content again changes nothing. Every problem of the definition is one field
     * violation of the INVALID_ARGUMENT. ALREADY_EXISTS: other content is stored under that name and version.
     * </pre>
     */
    public dev.nervenet.v1.PutDefinitionResponse putDefinition(dev.nervenet.v1.PutDefinitionRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getPutDefinitionMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Reads a stored definition.
     * </pre>
     */
    public dev.nervenet.v1.GetDefinitionResponse getDefinition(dev.nervenet.v1.GetDefinitionRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetDefinitionMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the stored definitions by name.
     * </pre>
     */
    public dev.nervenet.v1.ListDefinitionsResponse listDefinitions(dev.nervenet.v1.ListDefinitionsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListDefinitionsMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service CoordinatorService.
   * <pre>
   * Starts, reads, watches and steers workflows. Every node answers for every workflow.
   * A refusal is a status with ErrorInfo (domain "nervenet", a reason). RESOURCE_EXHAUSTED is one of NODE_FULL (no node has
   * room for another workflow), QUEUE_FULL (too many tasks wait for that capability), JOURNAL_FULL (the workflow's journal
   * takes no more signals before it begins a fresh one), all three with RetryInfo, and PAYLOAD_TOO_LARGE.
   * </pre>
   */
  public static final class CoordinatorServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<CoordinatorServiceBlockingStub> {
    private CoordinatorServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected CoordinatorServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new CoordinatorServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Starts a workflow, or returns the one that exists. With `wait` it answers with the result if that comes in time.
     * </pre>
     */
    public dev.nervenet.v1.StartWorkflowResponse startWorkflow(dev.nervenet.v1.StartWorkflowRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getStartWorkflowMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Starts many in one call; each has its own outcome.
     * </pre>
     */
    public dev.nervenet.v1.StartWorkflowsResponse startWorkflows(dev.nervenet.v1.StartWorkflowsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getStartWorkflowsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Reads one workflow; with `wait` it answers when the workflow closes or the time is over.
     * </pre>
     */
    public dev.nervenet.v1.GetWorkflowResponse getWorkflow(dev.nervenet.v1.GetWorkflowRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetWorkflowMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists workflows, newest first.
     * </pre>
     */
    public dev.nervenet.v1.ListWorkflowsResponse listWorkflows(dev.nervenet.v1.ListWorkflowsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListWorkflowsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * What open workflows of the node that is called wait for, from its memory; workflows of other nodes are left out.
     * ListWorkflows asks every owner with it.
     * </pre>
     */
    public dev.nervenet.v1.ListWaitsResponse listWaits(dev.nervenet.v1.ListWaitsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListWaitsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Reads a workflow's journal.
     * </pre>
     */
    public dev.nervenet.v1.ListJournalResponse listJournal(dev.nervenet.v1.ListJournalRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListJournalMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Follows a workflow from any entry to its end.
     * </pre>
     */
    public java.util.Iterator<dev.nervenet.v1.WatchWorkflowResponse> watchWorkflow(
        dev.nervenet.v1.WatchWorkflowRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getWatchWorkflowMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Sends a signal; recorded once by its id. The same request again is answered like the first one, also when the
     * workflow has closed since; the same request_id with another signal or payload: ALREADY_EXISTS. INVALID_ARGUMENT: the
     * workflow's code receives none of that name, or its value does not fit.
     * </pre>
     */
    public dev.nervenet.v1.SignalWorkflowResponse signalWorkflow(dev.nervenet.v1.SignalWorkflowRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getSignalWorkflowMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Asks a workflow to stop; recorded once. Again, also when it has closed since: `created` is false. A workflow that
     * closed before it was asked to stop: FAILED_PRECONDITION.
     * </pre>
     */
    public dev.nervenet.v1.CancelWorkflowResponse cancelWorkflow(dev.nervenet.v1.CancelWorkflowRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCancelWorkflowMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Replays a BLOCKED workflow now, with the code that its node has; no step runs twice. The answer is its state behind
     * that: it continues, or it is BLOCKED still. A workflow that is not BLOCKED stays as it is: `retried` is false.
     * </pre>
     */
    public dev.nervenet.v1.RetryWorkflowResponse retryWorkflow(dev.nervenet.v1.RetryWorkflowRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getRetryWorkflowMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Begins the next run of a workflow with the input of the run that is over, or that is BLOCKED: that one is canceled
     * first, without clean-up. FAILED_PRECONDITION: it is open and not BLOCKED. With `run` set, a repeated request begins
     * one run: `created` is false the second time.
     * </pre>
     */
    public dev.nervenet.v1.RestartWorkflowResponse restartWorkflow(dev.nervenet.v1.RestartWorkflowRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getRestartWorkflowMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Runs one task, durably and deduplicated by request_id, for a program that is its own coordinator. The same
     * request_id with another capability or input: ALREADY_EXISTS.
     * </pre>
     */
    public dev.nervenet.v1.RunTaskResponse runTask(dev.nervenet.v1.RunTaskRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getRunTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists what waits for a human.
     * </pre>
     */
    public dev.nervenet.v1.ListEscalationsResponse listEscalations(dev.nervenet.v1.ListEscalationsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListEscalationsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Reads one escalation.
     * </pre>
     */
    public dev.nervenet.v1.GetEscalationResponse getEscalation(dev.nervenet.v1.GetEscalationRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetEscalationMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Decides an escalation; of two people at once one wins and the other learns the decision. The same decision again is
     * answered like the first one.
     * </pre>
     */
    public dev.nervenet.v1.ResolveEscalationResponse resolveEscalation(dev.nervenet.v1.ResolveEscalationRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getResolveEscalationMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Stores a workflow as data; the same content again changes nothing. Every problem of the definition is one field
     * violation of the INVALID_ARGUMENT. ALREADY_EXISTS: other content is stored under that name and version.
     * </pre>
     */
    public dev.nervenet.v1.PutDefinitionResponse putDefinition(dev.nervenet.v1.PutDefinitionRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getPutDefinitionMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Reads a stored definition.
     * </pre>
     */
    public dev.nervenet.v1.GetDefinitionResponse getDefinition(dev.nervenet.v1.GetDefinitionRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetDefinitionMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the stored definitions by name.
     * </pre>
     */
    public dev.nervenet.v1.ListDefinitionsResponse listDefinitions(dev.nervenet.v1.ListDefinitionsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListDefinitionsMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service CoordinatorService.
   * <pre>
   * Starts, reads, watches and steers workflows. Every node answers for every workflow.
   * A refusal is a status with ErrorInfo (domain "nervenet", a reason). RESOURCE_EXHAUSTED is one of NODE_FULL (no node has
   * room for another workflow), QUEUE_FULL (too many tasks wait for that capability), JOURNAL_FULL (the workflow's journal
   * takes no more signals before it begins a fresh one), all three with RetryInfo, and PAYLOAD_TOO_LARGE.
   * </pre>
   */
  public static final class CoordinatorServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<CoordinatorServiceFutureStub> {
    private CoordinatorServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected CoordinatorServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new CoordinatorServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Starts a workflow, or returns the one that exists. With `wait` it answers with the result if that comes in time.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.StartWorkflowResponse> startWorkflow(
        dev.nervenet.v1.StartWorkflowRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getStartWorkflowMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Starts many in one call; each has its own outcome.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.StartWorkflowsResponse> startWorkflows(
        dev.nervenet.v1.StartWorkflowsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getStartWorkflowsMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Reads one workflow; with `wait` it answers when the workflow closes or the time is over.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.GetWorkflowResponse> getWorkflow(
        dev.nervenet.v1.GetWorkflowRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetWorkflowMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Lists workflows, newest first.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.ListWorkflowsResponse> listWorkflows(
        dev.nervenet.v1.ListWorkflowsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListWorkflowsMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * What open workflows of the node that is called wait for, from its memory; workflows of other nodes are left out.
     * ListWorkflows asks every owner with it.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.ListWaitsResponse> listWaits(
        dev.nervenet.v1.ListWaitsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListWaitsMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Reads a workflow's journal.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.ListJournalResponse> listJournal(
        dev.nervenet.v1.ListJournalRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListJournalMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Sends a signal; recorded once by its id. The same request again is answered like the first one, also when the
     * workflow has closed since; the same request_id with another signal or payload: ALREADY_EXISTS. INVALID_ARGUMENT: the
     * workflow's code receives none of that name, or its value does not fit.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.SignalWorkflowResponse> signalWorkflow(
        dev.nervenet.v1.SignalWorkflowRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getSignalWorkflowMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Asks a workflow to stop; recorded once. Again, also when it has closed since: `created` is false. A workflow that
     * closed before it was asked to stop: FAILED_PRECONDITION.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.CancelWorkflowResponse> cancelWorkflow(
        dev.nervenet.v1.CancelWorkflowRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCancelWorkflowMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Replays a BLOCKED workflow now, with the code that its node has; no step runs twice. The answer is its state behind
     * that: it continues, or it is BLOCKED still. A workflow that is not BLOCKED stays as it is: `retried` is false.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.RetryWorkflowResponse> retryWorkflow(
        dev.nervenet.v1.RetryWorkflowRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getRetryWorkflowMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Begins the next run of a workflow with the input of the run that is over, or that is BLOCKED: that one is canceled
     * first, without clean-up. FAILED_PRECONDITION: it is open and not BLOCKED. With `run` set, a repeated request begins
     * one run: `created` is false the second time.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.RestartWorkflowResponse> restartWorkflow(
        dev.nervenet.v1.RestartWorkflowRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getRestartWorkflowMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Runs one task, durably and deduplicated by request_id, for a program that is its own coordinator. The same
     * request_id with another capability or input: ALREADY_EXISTS.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.RunTaskResponse> runTask(
        dev.nervenet.v1.RunTaskRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getRunTaskMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Lists what waits for a human.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.ListEscalationsResponse> listEscalations(
        dev.nervenet.v1.ListEscalationsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListEscalationsMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Reads one escalation.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.GetEscalationResponse> getEscalation(
        dev.nervenet.v1.GetEscalationRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetEscalationMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Decides an escalation; of two people at once one wins and the other learns the decision. The same decision again is
     * answered like the first one.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.ResolveEscalationResponse> resolveEscalation(
        dev.nervenet.v1.ResolveEscalationRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getResolveEscalationMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Stores a workflow as data; the same content again changes nothing. Every problem of the definition is one field
     * violation of the INVALID_ARGUMENT. ALREADY_EXISTS: other content is stored under that name and version.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.PutDefinitionResponse> putDefinition(
        dev.nervenet.v1.PutDefinitionRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getPutDefinitionMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Reads a stored definition.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.GetDefinitionResponse> getDefinition(
        dev.nervenet.v1.GetDefinitionRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetDefinitionMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Lists the stored definitions by name.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.nervenet.v1.ListDefinitionsResponse> listDefinitions(
        dev.nervenet.v1.ListDefinitionsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListDefinitionsMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_START_WORKFLOW = 0;
  private static final int METHODID_START_WORKFLOWS = 1;
  private static final int METHODID_GET_WORKFLOW = 2;
  private static final int METHODID_LIST_WORKFLOWS = 3;
  private static final int METHODID_LIST_WAITS = 4;
  private static final int METHODID_LIST_JOURNAL = 5;
  private static final int METHODID_WATCH_WORKFLOW = 6;
  private static final int METHODID_SIGNAL_WORKFLOW = 7;
  private static final int METHODID_CANCEL_WORKFLOW = 8;
  private static final int METHODID_RETRY_WORKFLOW = 9;
  private static final int METHODID_RESTART_WORKFLOW = 10;
  private static final int METHODID_RUN_TASK = 11;
  private static final int METHODID_LIST_ESCALATIONS = 12;
  private static final int METHODID_GET_ESCALATION = 13;
  private static final int METHODID_RESOLVE_ESCALATION = 14;
  private static final int METHODID_PUT_DEFINITION = 15;
  private static final int METHODID_GET_DEFINITION = 16;
  private static final int METHODID_LIST_DEFINITIONS = 17;
  private static final int METHODID_STREAM_STARTS = 18;
  private static final int METHODID_AWAIT_WORKFLOWS = 19;

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
        case METHODID_START_WORKFLOW:
          serviceImpl.startWorkflow((dev.nervenet.v1.StartWorkflowRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.StartWorkflowResponse>) responseObserver);
          break;
        case METHODID_START_WORKFLOWS:
          serviceImpl.startWorkflows((dev.nervenet.v1.StartWorkflowsRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.StartWorkflowsResponse>) responseObserver);
          break;
        case METHODID_GET_WORKFLOW:
          serviceImpl.getWorkflow((dev.nervenet.v1.GetWorkflowRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.GetWorkflowResponse>) responseObserver);
          break;
        case METHODID_LIST_WORKFLOWS:
          serviceImpl.listWorkflows((dev.nervenet.v1.ListWorkflowsRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.ListWorkflowsResponse>) responseObserver);
          break;
        case METHODID_LIST_WAITS:
          serviceImpl.listWaits((dev.nervenet.v1.ListWaitsRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.ListWaitsResponse>) responseObserver);
          break;
        case METHODID_LIST_JOURNAL:
          serviceImpl.listJournal((dev.nervenet.v1.ListJournalRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.ListJournalResponse>) responseObserver);
          break;
        case METHODID_WATCH_WORKFLOW:
          serviceImpl.watchWorkflow((dev.nervenet.v1.WatchWorkflowRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.WatchWorkflowResponse>) responseObserver);
          break;
        case METHODID_SIGNAL_WORKFLOW:
          serviceImpl.signalWorkflow((dev.nervenet.v1.SignalWorkflowRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.SignalWorkflowResponse>) responseObserver);
          break;
        case METHODID_CANCEL_WORKFLOW:
          serviceImpl.cancelWorkflow((dev.nervenet.v1.CancelWorkflowRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.CancelWorkflowResponse>) responseObserver);
          break;
        case METHODID_RETRY_WORKFLOW:
          serviceImpl.retryWorkflow((dev.nervenet.v1.RetryWorkflowRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.RetryWorkflowResponse>) responseObserver);
          break;
        case METHODID_RESTART_WORKFLOW:
          serviceImpl.restartWorkflow((dev.nervenet.v1.RestartWorkflowRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.RestartWorkflowResponse>) responseObserver);
          break;
        case METHODID_RUN_TASK:
          serviceImpl.runTask((dev.nervenet.v1.RunTaskRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.RunTaskResponse>) responseObserver);
          break;
        case METHODID_LIST_ESCALATIONS:
          serviceImpl.listEscalations((dev.nervenet.v1.ListEscalationsRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.ListEscalationsResponse>) responseObserver);
          break;
        case METHODID_GET_ESCALATION:
          serviceImpl.getEscalation((dev.nervenet.v1.GetEscalationRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.GetEscalationResponse>) responseObserver);
          break;
        case METHODID_RESOLVE_ESCALATION:
          serviceImpl.resolveEscalation((dev.nervenet.v1.ResolveEscalationRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.ResolveEscalationResponse>) responseObserver);
          break;
        case METHODID_PUT_DEFINITION:
          serviceImpl.putDefinition((dev.nervenet.v1.PutDefinitionRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.PutDefinitionResponse>) responseObserver);
          break;
        case METHODID_GET_DEFINITION:
          serviceImpl.getDefinition((dev.nervenet.v1.GetDefinitionRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.GetDefinitionResponse>) responseObserver);
          break;
        case METHODID_LIST_DEFINITIONS:
          serviceImpl.listDefinitions((dev.nervenet.v1.ListDefinitionsRequest) request,
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.ListDefinitionsResponse>) responseObserver);
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
        case METHODID_STREAM_STARTS:
          return (io.grpc.stub.StreamObserver<Req>) serviceImpl.streamStarts(
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.StreamStartsResponse>) responseObserver);
        case METHODID_AWAIT_WORKFLOWS:
          return (io.grpc.stub.StreamObserver<Req>) serviceImpl.awaitWorkflows(
              (io.grpc.stub.StreamObserver<dev.nervenet.v1.AwaitWorkflowsResponse>) responseObserver);
        default:
          throw new AssertionError();
      }
    }
  }

  public static final io.grpc.ServerServiceDefinition bindService(AsyncService service) {
    return io.grpc.ServerServiceDefinition.builder(getServiceDescriptor())
        .addMethod(
          getStartWorkflowMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.StartWorkflowRequest,
              dev.nervenet.v1.StartWorkflowResponse>(
                service, METHODID_START_WORKFLOW)))
        .addMethod(
          getStartWorkflowsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.StartWorkflowsRequest,
              dev.nervenet.v1.StartWorkflowsResponse>(
                service, METHODID_START_WORKFLOWS)))
        .addMethod(
          getStreamStartsMethod(),
          io.grpc.stub.ServerCalls.asyncBidiStreamingCall(
            new MethodHandlers<
              dev.nervenet.v1.StreamStartsRequest,
              dev.nervenet.v1.StreamStartsResponse>(
                service, METHODID_STREAM_STARTS)))
        .addMethod(
          getAwaitWorkflowsMethod(),
          io.grpc.stub.ServerCalls.asyncBidiStreamingCall(
            new MethodHandlers<
              dev.nervenet.v1.AwaitWorkflowsRequest,
              dev.nervenet.v1.AwaitWorkflowsResponse>(
                service, METHODID_AWAIT_WORKFLOWS)))
        .addMethod(
          getGetWorkflowMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.GetWorkflowRequest,
              dev.nervenet.v1.GetWorkflowResponse>(
                service, METHODID_GET_WORKFLOW)))
        .addMethod(
          getListWorkflowsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.ListWorkflowsRequest,
              dev.nervenet.v1.ListWorkflowsResponse>(
                service, METHODID_LIST_WORKFLOWS)))
        .addMethod(
          getListWaitsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.ListWaitsRequest,
              dev.nervenet.v1.ListWaitsResponse>(
                service, METHODID_LIST_WAITS)))
        .addMethod(
          getListJournalMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.ListJournalRequest,
              dev.nervenet.v1.ListJournalResponse>(
                service, METHODID_LIST_JOURNAL)))
        .addMethod(
          getWatchWorkflowMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              dev.nervenet.v1.WatchWorkflowRequest,
              dev.nervenet.v1.WatchWorkflowResponse>(
                service, METHODID_WATCH_WORKFLOW)))
        .addMethod(
          getSignalWorkflowMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.SignalWorkflowRequest,
              dev.nervenet.v1.SignalWorkflowResponse>(
                service, METHODID_SIGNAL_WORKFLOW)))
        .addMethod(
          getCancelWorkflowMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.CancelWorkflowRequest,
              dev.nervenet.v1.CancelWorkflowResponse>(
                service, METHODID_CANCEL_WORKFLOW)))
        .addMethod(
          getRetryWorkflowMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.RetryWorkflowRequest,
              dev.nervenet.v1.RetryWorkflowResponse>(
                service, METHODID_RETRY_WORKFLOW)))
        .addMethod(
          getRestartWorkflowMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.RestartWorkflowRequest,
              dev.nervenet.v1.RestartWorkflowResponse>(
                service, METHODID_RESTART_WORKFLOW)))
        .addMethod(
          getRunTaskMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.RunTaskRequest,
              dev.nervenet.v1.RunTaskResponse>(
                service, METHODID_RUN_TASK)))
        .addMethod(
          getListEscalationsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.ListEscalationsRequest,
              dev.nervenet.v1.ListEscalationsResponse>(
                service, METHODID_LIST_ESCALATIONS)))
        .addMethod(
          getGetEscalationMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.GetEscalationRequest,
              dev.nervenet.v1.GetEscalationResponse>(
                service, METHODID_GET_ESCALATION)))
        .addMethod(
          getResolveEscalationMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.ResolveEscalationRequest,
              dev.nervenet.v1.ResolveEscalationResponse>(
                service, METHODID_RESOLVE_ESCALATION)))
        .addMethod(
          getPutDefinitionMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.PutDefinitionRequest,
              dev.nervenet.v1.PutDefinitionResponse>(
                service, METHODID_PUT_DEFINITION)))
        .addMethod(
          getGetDefinitionMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.GetDefinitionRequest,
              dev.nervenet.v1.GetDefinitionResponse>(
                service, METHODID_GET_DEFINITION)))
        .addMethod(
          getListDefinitionsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.nervenet.v1.ListDefinitionsRequest,
              dev.nervenet.v1.ListDefinitionsResponse>(
                service, METHODID_LIST_DEFINITIONS)))
        .build();
  }

  private static abstract class CoordinatorServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    CoordinatorServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return dev.nervenet.v1.CoordinatorServiceOuterClass.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("CoordinatorService");
    }
  }

  private static final class CoordinatorServiceFileDescriptorSupplier
      extends CoordinatorServiceBaseDescriptorSupplier {
    CoordinatorServiceFileDescriptorSupplier() {}
  }

  private static final class CoordinatorServiceMethodDescriptorSupplier
      extends CoordinatorServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    CoordinatorServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (CoordinatorServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new CoordinatorServiceFileDescriptorSupplier())
              .addMethod(getStartWorkflowMethod())
              .addMethod(getStartWorkflowsMethod())
              .addMethod(getStreamStartsMethod())
              .addMethod(getAwaitWorkflowsMethod())
              .addMethod(getGetWorkflowMethod())
              .addMethod(getListWorkflowsMethod())
              .addMethod(getListWaitsMethod())
              .addMethod(getListJournalMethod())
              .addMethod(getWatchWorkflowMethod())
              .addMethod(getSignalWorkflowMethod())
              .addMethod(getCancelWorkflowMethod())
              .addMethod(getRetryWorkflowMethod())
              .addMethod(getRestartWorkflowMethod())
              .addMethod(getRunTaskMethod())
              .addMethod(getListEscalationsMethod())
              .addMethod(getGetEscalationMethod())
              .addMethod(getResolveEscalationMethod())
              .addMethod(getPutDefinitionMethod())
              .addMethod(getGetDefinitionMethod())
              .addMethod(getListDefinitionsMethod())
              .build();
        }
      }
    }
    return result;
  }
}
