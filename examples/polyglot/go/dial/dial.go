// SPDX-License-Identifier: Apache-2.0

// Package dial is the way to a node for the agent and the client: addresses, TLS and token from the environment.
package dial

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "nervenet.dev/nervenet/v1"
)

// Address is that of one of the nodes, another one each turn.
func Address(turn int) string {
	address := os.Getenv("NERVENET_ADDRESS")
	if address == "" {
		address = "localhost:7700"
	}
	all := strings.Split(address, ",")
	return all[turn%len(all)]
}

// Secured is TLS as the environment has it, for dialing and for serving: whom we trust, and who we are. Nil: none.
func Secured() (*tls.Config, error) {
	trusted := os.Getenv("NERVENET_TLS")
	if trusted == "" || trusted == "off" {
		return nil, nil
	}
	config := &tls.Config{}
	if trusted != "on" {
		authorities, err := os.ReadFile(trusted)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM(authorities)
		config.ClientCAs, config.ClientAuth = config.RootCAs, tls.RequireAndVerifyClientCert
	}
	if file := os.Getenv("NERVENET_TLS_CERT"); file != "" {
		ours, err := tls.LoadX509KeyPair(file, os.Getenv("NERVENET_TLS_KEY"))
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{ours}
	}
	return config, nil
}

// Node is a connection to a node.
func Node(address string) (*grpc.ClientConn, error) {
	creds := insecure.NewCredentials()
	if config, err := Secured(); err != nil {
		return nil, err
	} else if config != nil {
		creds = credentials.NewTLS(config)
	}
	return grpc.NewClient(address, grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(12<<20)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true}))
}

// Call is a context that carries namespace and token.
func Call(ctx context.Context) context.Context {
	if namespace := os.Getenv("NERVENET_NAMESPACE"); namespace != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "nervenet-namespace", namespace)
	}
	if token := token(); token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	return ctx
}

var lastToken atomic.Value

// token is what proves who we are. A file is read for each call, because somebody renews it; while it is being written, the last one counts.
func token() string {
	file := os.Getenv("NERVENET_TOKEN_FILE")
	if file == "" {
		return os.Getenv("NERVENET_TOKEN")
	}
	if text, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(text)) != "" {
		lastToken.Store(strings.TrimSpace(string(text)))
	}
	last, _ := lastToken.Load().(string)
	return last
}

// Connect opens a gateway stream.
func Connect(ctx context.Context, address string) (*grpc.ClientConn, pb.AgentService_ConnectClient, error) {
	conn, err := Node(address)
	if err != nil {
		return nil, nil, err
	}
	stream, err := pb.NewAgentServiceClient(conn).Connect(Call(ctx))
	if err != nil {
		conn.Close()
	}
	return conn, stream, err
}

// Expired says that our credentials were good and have ended: the file may have new ones.
func Expired(err error) bool {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.Reason == "CREDENTIALS_EXPIRED" {
			return os.Getenv("NERVENET_TOKEN_FILE") != ""
		}
	}
	return false
}

// Hopeless says that trying again is no help: the program or its settings are wrong.
func Hopeless(err error) bool {
	if Expired(err) {
		return false
	}
	code := status.Code(err)
	return code == codes.InvalidArgument || code == codes.Unauthenticated || code == codes.PermissionDenied
}
