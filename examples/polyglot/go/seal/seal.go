// SPDX-License-Identifier: Apache-2.0

// Package seal encodes and decodes payloads as the setting NERVENET_CODEC says: aes-gcm, with gzip before it if it is listed.
// The bytes are described in protos/README.md, "Encoded payloads"; tests/encryption/vectors.json has them byte for byte.
package seal

import (
	"bytes"
	"compress/gzip"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"google.golang.org/protobuf/proto"

	pb "nervenet.dev/nervenet/v1"
)

const (
	contentType = "application/vnd.nervenet.encoded"
	failureType = "application/vnd.nervenet.failure"
	nonceBytes  = 12
	largest     = 64 << 20 // bytes of a value that was compressed
)

// Codec has the keys of one process. The zero value and nil change nothing.
type Codec struct {
	zip    bool
	newest string // key id that writes
	keys   map[string]cipher.AEAD
	Random io.Reader // of nonces; nil: crypto/rand
}

// Open reads a setting: "", "aes-gcm:/path/of/keys", "aes-gcm:env:NAME", "gzip,aes-gcm:…".
func Open(setting string) (*Codec, error) {
	codec := &Codec{keys: map[string]cipher.AEAD{}}
	if setting == "" {
		return codec, nil
	}
	for _, part := range strings.Split(setting, ",") {
		source, isAES := strings.CutPrefix(part, "aes-gcm:")
		switch {
		case part == "gzip":
			codec.zip = true
		case isAES:
			if err := codec.read(source); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("NERVENET_CODEC: this agent knows gzip and aes-gcm, not %q", part)
		}
	}
	if codec.newest == "" {
		return nil, errors.New("NERVENET_CODEC: this agent needs aes-gcm in it")
	}
	return codec, nil
}

func (c *Codec) read(source string) error {
	var text []byte
	if name, isEnv := strings.CutPrefix(source, "env:"); isEnv {
		text = []byte(os.Getenv(name))
	} else {
		var err error
		if text, err = os.ReadFile(source); err != nil {
			return err
		}
	}
	for _, line := range strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' || r == ',' }) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(strings.ReplaceAll(line, ":", " "))
		if len(words) == 0 {
			continue
		}
		if len(words) != 2 {
			return fmt.Errorf("%s: a line needs a key id and a key", source)
		}
		secret, err := base64.StdEncoding.DecodeString(words[1])
		if err != nil || len(secret) != 32 {
			return fmt.Errorf("%s: the key %s is not 32 bytes in base64", source, words[0])
		}
		block, err := aes.NewCipher(secret)
		if err != nil {
			return err
		}
		if c.keys[words[0]], err = cipher.NewGCM(block); err != nil {
			return err
		}
		if c.newest == "" {
			c.newest = words[0]
		}
	}
	return nil
}

func (c *Codec) on() bool { return c != nil && c.newest != "" }

// aad is what is authenticated beside the bytes: content type and encoding.
func aad(encoding string) []byte { return []byte(contentType + "\n" + encoding) }

// Encode is the payload as it travels. No value, and what is encoded already, stay as they are.
func (c *Codec) Encode(payload *pb.Payload) (*pb.Payload, error) {
	if !c.on() || payload == nil || payload.Body == nil || payload.ContentType == contentType {
		return payload, nil
	}
	if value := payload.GetValue(); value != nil {
		return nil, errors.New("a google.protobuf.Value cannot be encoded: use json")
	}
	plain, err := proto.Marshal(payload)
	if err != nil {
		return nil, err
	}
	if small := squeezed(plain); c.zip && small != nil {
		if plain, err = proto.Marshal(wrapped("gzip", small)); err != nil {
			return nil, err
		}
	}
	nonce := make([]byte, nonceBytes)
	random := c.Random
	if random == nil {
		random = rand.Reader
	}
	if _, err := io.ReadFull(random, nonce); err != nil {
		return nil, err
	}
	encoding := "aes-gcm;key=" + c.newest
	return wrapped(encoding, c.keys[c.newest].Seal(nonce, nonce, plain, aad(encoding))), nil
}

func wrapped(encoding string, data []byte) *pb.Payload {
	return &pb.Payload{Body: &pb.Payload_Data{Data: data}, ContentType: contentType, Encoding: encoding}
}

// Decode is the payload as user code gave it. The error says which key or codec is missing.
func (c *Codec) Decode(payload *pb.Payload) (*pb.Payload, error) {
	for payload.GetContentType() == contentType {
		inside, err := c.open(payload.Encoding, payload.GetData())
		if err != nil {
			return nil, err
		}
		payload = &pb.Payload{}
		if err := proto.Unmarshal(inside, payload); err != nil {
			return nil, fmt.Errorf("what was decoded is no payload: %w", err)
		}
	}
	return payload, nil
}

func (c *Codec) open(encoding string, data []byte) ([]byte, error) {
	name, parameters, _ := strings.Cut(encoding, ";")
	switch name {
	case "gzip":
		return unsqueezed(data)
	case "aes-gcm":
		id := strings.TrimPrefix(parameters, "key=")
		if !c.on() {
			return nil, fmt.Errorf("it is encrypted (key id %s), but NERVENET_CODEC is not set in this process", id)
		}
		key := c.keys[id]
		if key == nil {
			return nil, fmt.Errorf("it is encrypted with the key id %s, which NERVENET_CODEC of this process does not have", id)
		}
		if len(data) < nonceBytes {
			return nil, fmt.Errorf("it does not decrypt with the key id %s: it is too short", id)
		}
		inside, err := key.Open(nil, data[:nonceBytes], data[nonceBytes:], aad(encoding))
		if err != nil {
			return nil, fmt.Errorf("it does not decrypt with the key id %s: it was changed, or another key has this id", id)
		}
		return inside, nil
	}
	return nil, fmt.Errorf("it is encoded by %q, which this agent does not know", encoding)
}

// squeezed is nil where compression is no gain.
func squeezed(plain []byte) []byte {
	if len(plain) < 256 {
		return nil
	}
	var small bytes.Buffer
	writer, _ := gzip.NewWriterLevel(&small, gzip.BestSpeed)
	if _, err := writer.Write(plain); err != nil || writer.Close() != nil || small.Len() >= len(plain) {
		return nil
	}
	return small.Bytes()
}

func unsqueezed(data []byte) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("it does not decompress: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(reader, largest+1))
	if err != nil || len(plain) > largest {
		return nil, fmt.Errorf("it does not decompress, or has more than %d MiB: %v", largest>>20, err)
	}
	return plain, nil
}

// EncodeText is a text as a text, for fields that are no payloads.
func (c *Codec) EncodeText(text string) (string, error) {
	if !c.on() || text == "" {
		return text, nil
	}
	plain := *c
	plain.zip = false
	payload, err := plain.Encode(&pb.Payload{Body: &pb.Payload_Text{Text: text}})
	if err != nil {
		return "", err
	}
	return "encoded[" + payload.Encoding + "]:" + base64.URLEncoding.EncodeToString(payload.GetData()), nil
}

var token = regexp.MustCompile(`encoded\[([a-z0-9-]+(?:;[^\]\s]{1,200})?)\]:([A-Za-z0-9_-]*={0,2})`)

// DecodeText is the text with each encoded part decoded. The first part that cannot be decoded is the error.
func (c *Codec) DecodeText(text string) (string, error) {
	var failed error
	decoded := token.ReplaceAllStringFunc(text, func(found string) string {
		parts := token.FindStringSubmatch(found)
		data, err := base64.URLEncoding.DecodeString(parts[2])
		var payload *pb.Payload
		if err == nil {
			payload, err = c.Decode(wrapped(parts[1], data))
		}
		if err != nil && failed == nil {
			failed = err
		}
		return payload.GetText()
	})
	return decoded, failed
}

// EncodeFailure moves the words of a failure and of its causes into encoded details. What decides about retries stays.
func (c *Codec) EncodeFailure(failure *pb.Failure) error {
	for ; c.on() && failure != nil; failure = failure.Cause {
		if failure.GetDetails().GetContentType() == contentType {
			continue
		}
		words, err := proto.Marshal(&pb.Failure{Message: failure.Message, StackTrace: failure.StackTrace, Details: failure.Details})
		if err != nil {
			return err
		}
		details, err := c.Encode(&pb.Payload{Body: &pb.Payload_Data{Data: words}, ContentType: failureType})
		if err != nil {
			return err
		}
		failure.Message, failure.StackTrace, failure.Details = "encrypted (key id "+c.newest+")", "", details
	}
	return nil
}

// DecodeFailure is the reverse of EncodeFailure.
func (c *Codec) DecodeFailure(failure *pb.Failure) error {
	for ; failure != nil; failure = failure.Cause {
		details, err := c.Decode(failure.Details)
		if err != nil {
			return err
		}
		if details.GetContentType() != failureType {
			failure.Details = details
			continue
		}
		words := &pb.Failure{}
		if err := proto.Unmarshal(details.GetData(), words); err != nil {
			return err
		}
		failure.Message, failure.StackTrace, failure.Details = words.Message, words.StackTrace, words.Details
	}
	return nil
}
