// SPDX-License-Identifier: Apache-2.0

// Calls an external scaler as KEDA does: with the client that KEDA's own repository has, and its round-robin channel.
//
//	keda ADDRESS KEY=VALUE…           IsActive, GetMetricSpec and GetMetrics, as one line of JSON
//	keda -stream ADDRESS KEY=VALUE…   StreamIsActive: a line for each answer, until the stream ends
//
// -ca, -cert and -key are the files of TLS, as KEDA takes them from a TriggerAuthentication.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

const roundRobin = `{"loadBalancingConfig": [{"round_robin":{}}]}`

type answers struct {
	Active  bool               `json:"active"`
	Targets map[string]float64 `json:"targets"`
	Values  map[string]float64 `json:"values"`
}

func main() {
	stream := flag.Bool("stream", false, "follow StreamIsActive")
	ca, cert, key := flag.String("ca", "", ""), flag.String("cert", "", ""), flag.String("key", "", "")
	flag.Parse()
	if err := run(flag.Args(), *stream, *ca, *cert, *key); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string, stream bool, ca, cert, key string) error {
	if len(arguments) < 1 {
		return errors.New("name the scaler's address")
	}
	secured, err := transport(ca, cert, key)
	if err != nil {
		return err
	}
	connection, err := grpc.NewClient(arguments[0],
		grpc.WithDefaultServiceConfig(roundRobin), grpc.WithTransportCredentials(secured))
	if err != nil {
		return err
	}
	defer connection.Close()
	object := &pb.ScaledObjectRef{Name: "pool", Namespace: "mesh", ScalerMetadata: map[string]string{"scalerAddress": arguments[0]}}
	for _, pair := range arguments[1:] {
		name, value, _ := strings.Cut(pair, "=")
		object.ScalerMetadata[name] = value
	}
	client := pb.NewExternalScalerClient(connection)
	if stream {
		return follow(client, object)
	}
	return ask(client, object)
}

func transport(ca, cert, key string) (credentials.TransportCredentials, error) {
	if ca == "" {
		return insecure.NewCredentials(), nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	trusted, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	config.RootCAs.AppendCertsFromPEM(trusted)
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(config), nil
}

func ask(client pb.ExternalScalerClient, object *pb.ScaledObjectRef) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	active, err := client.IsActive(ctx, object)
	if err != nil {
		return err
	}
	specs, err := client.GetMetricSpec(ctx, object)
	if err != nil {
		return err
	}
	found := answers{Active: active.Result, Targets: map[string]float64{}, Values: map[string]float64{}}
	for _, spec := range specs.MetricSpecs {
		found.Targets[spec.MetricName] = spec.TargetSizeFloat
		metrics, err := client.GetMetrics(ctx, &pb.GetMetricsRequest{ScaledObjectRef: object, MetricName: spec.MetricName})
		if err != nil {
			return err
		}
		for _, one := range metrics.MetricValues {
			found.Values[one.MetricName] = one.MetricValueFloat
		}
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

func follow(client pb.ExternalScalerClient, object *pb.ScaledObjectRef) error {
	answers, err := client.StreamIsActive(context.Background(), object)
	if err != nil {
		return err
	}
	for {
		answer, err := answers.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		fmt.Println(answer.Result)
	}
}
