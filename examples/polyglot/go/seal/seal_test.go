// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "nervenet.dev/nervenet/v1"
)

const vectors = "../../../../tests/encryption/vectors.json"

type all struct {
	Payloads []struct{ Name, Keys, Plain, Encoded, Encoding, Nonce string }
	Texts    []struct{ Keys, Plain, Nonce, Text string }
	Failures []struct {
		Keys, Nonce, Message, Details string
		StackTrace                    string `json:"stack_trace"`
		EncodedMessage                string `json:"encoded_message"`
		EncodedDetails                string `json:"encoded_details"`
	}
}

func read(t *testing.T) all {
	text, err := os.ReadFile(vectors)
	if err != nil {
		t.Fatal(err)
	}
	var found all
	if err := json.Unmarshal(text, &found); err != nil {
		t.Fatal(err)
	}
	return found
}

func opened(t *testing.T, keys, nonce string) *Codec {
	t.Setenv("VECTOR_KEYS", keys)
	codec, err := Open("aes-gcm:env:VECTOR_KEYS")
	if err != nil {
		t.Fatal(err)
	}
	if nonce != "" {
		codec.Random = bytes.NewReader(unhex(t, nonce))
	}
	return codec
}

func unhex(t *testing.T, text string) []byte {
	found, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func payload(t *testing.T, text string) *pb.Payload {
	found := &pb.Payload{}
	if err := proto.Unmarshal(unhex(t, text), found); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestPayloads(t *testing.T) {
	for _, vector := range read(t).Payloads {
		codec := opened(t, vector.Keys, vector.Nonce)
		plain, encoded := payload(t, vector.Plain), payload(t, vector.Encoded)
		decoded, err := codec.Decode(encoded)
		if err != nil || !proto.Equal(decoded, plain) {
			t.Errorf("%s: decoded to %v, %v", vector.Name, decoded, err)
		}
		if vector.Nonce != "" {
			if again, err := codec.Encode(plain); err != nil || !proto.Equal(again, encoded) {
				t.Errorf("%s: encoded to %v, %v", vector.Name, again, err)
			}
		}
		encoded.Body = &pb.Payload_Data{Data: append(encoded.GetData(), 0)}
		if _, err := codec.Decode(encoded); err == nil || !strings.Contains(err.Error(), "key id") {
			t.Errorf("%s: a longer one decodes: %v", vector.Name, err)
		}
	}
}

func TestTexts(t *testing.T) {
	for _, vector := range read(t).Texts {
		codec := opened(t, vector.Keys, vector.Nonce)
		if text, err := codec.EncodeText(vector.Plain); err != nil || text != vector.Text {
			t.Errorf("encoded to %s, %v", text, err)
		}
		if text, err := codec.DecodeText("at " + vector.Text + "."); err != nil || text != "at "+vector.Plain+"." {
			t.Errorf("decoded to %s, %v", text, err)
		}
	}
}

func TestFailures(t *testing.T) {
	for _, vector := range read(t).Failures {
		codec := opened(t, vector.Keys, vector.Nonce)
		plain := &pb.Failure{Type: "NotFound", Message: vector.Message, StackTrace: vector.StackTrace, Details: payload(t, vector.Details)}
		theirs := &pb.Failure{Type: "NotFound", Message: vector.EncodedMessage, Details: payload(t, vector.EncodedDetails)}
		ours := proto.Clone(plain).(*pb.Failure)
		if err := codec.EncodeFailure(ours); err != nil || ours.Message != vector.EncodedMessage || ours.StackTrace != "" {
			t.Fatalf("encoded to %v, %v", ours, err)
		}
		for _, encoded := range []*pb.Failure{theirs, ours} { // the order of fields inside is free, so the bytes may differ
			if err := codec.DecodeFailure(encoded); err != nil || !proto.Equal(encoded, plain) {
				t.Errorf("decoded to %v, %v", encoded, err)
			}
		}
	}
}

func TestCompressed(t *testing.T) {
	codec := opened(t, read(t).Payloads[0].Keys, "")
	codec.zip = true
	plain := &pb.Payload{Body: &pb.Payload_Text{Text: strings.Repeat("again ", 1000)}}
	encoded, err := codec.Encode(plain)
	if err != nil || len(encoded.GetData()) > 1000 {
		t.Fatalf("%d bytes, %v", len(encoded.GetData()), err)
	}
	if decoded, err := codec.Decode(encoded); err != nil || !proto.Equal(decoded, plain) {
		t.Errorf("decoded to %v, %v", decoded, err)
	}
}

func TestUnknownKeys(t *testing.T) {
	vector := read(t).Payloads[0]
	for _, codec := range []*Codec{{}, nil, opened(t, strings.Split(vector.Keys, ",")[1], "")} {
		if _, err := codec.Decode(payload(t, vector.Encoded)); err == nil || !strings.Contains(err.Error(), "key id 2026-11") {
			t.Errorf("the error does not name the key: %v", err)
		}
	}
}
