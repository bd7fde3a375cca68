package blob_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/blob"
)

const (
	testAccessKey = "access"
	testSecretKey = "secret-of-a-test"
	testBucket    = "bothy"
	// startTime bounds how long the server takes to answer.
	startTime = 30 * time.Second
)

// TestABucketIsAStore runs against a real server, versitygw, built from the
// module in testdata.
func TestABucketIsAStore(t *testing.T) {
	o := serveS3(t)
	s := newS3(t, o)
	blob.Conform(t, s)
	other := o
	other.Prefix = "disks"
	diskGoesThere(t, newS3(t, other), newS3(t, other))
	if text := s.String(); text != o.Endpoint+"/"+testBucket+"/some/prefix" {
		t.Errorf("it is at %s", text)
	}
	for name, tt := range map[string]struct {
		change func(*blob.S3Options)
		say    string
	}{
		"another secret key": {func(o *blob.S3Options) { o.SecretKey = "wrong" }, "BOTHY_S3_SECRET_KEY"},
		"another access key": {func(o *blob.S3Options) { o.AccessKey = "wrong" }, "BOTHY_S3_ACCESS_KEY"},
		"no such bucket":     {func(o *blob.S3Options) { o.Bucket = "none-here" }, "blob.s3.bucket"},
	} {
		other := o
		tt.change(&other)
		err := newS3(t, other).Put(t.Context(), "a", []byte("x"))
		if !errors.Is(err, runtime.ErrNoStore) || !strings.Contains(err.Error(), tt.say) || strings.Contains(err.Error(), testSecretKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestABucketThatIsAway: nothing listens there, and a call ends with its context.
func TestABucketThatIsAway(t *testing.T) {
	o := blob.S3Options{Endpoint: "http://" + freeAddress(t), Bucket: testBucket, AccessKey: testAccessKey, SecretKey: testSecretKey, Region: "us-east-1", PathStyle: true}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := newS3(t, o).Get(ctx, "a", 1); !errors.Is(err, runtime.ErrNoStore) {
		t.Errorf("got %v", err)
	}
}

func TestAnS3ThatIsNoneIsRefused(t *testing.T) {
	for _, o := range []blob.S3Options{
		{Endpoint: "s3.example.org", Bucket: "b"}, {Endpoint: "ftp://s3.example.org", Bucket: "b"}, {Endpoint: "https://s3.example.org/path", Bucket: "b"},
		{Endpoint: "https://s3.example.org", Bucket: "b", AccessKey: "a"}, {Endpoint: "https://s3.example.org", Bucket: "b", Prefix: "a/../b"},
	} {
		if _, err := blob.NewS3(o); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func newS3(t *testing.T, o blob.S3Options) *blob.S3 {
	t.Helper()
	way := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(way.CloseIdleConnections)
	o.Transport = way
	s, err := blob.NewS3(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serveS3 runs a server with an empty bucket until the test ends.
func serveS3(t *testing.T) blob.S3Options {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "versitygw")
	build := exec.Command("go", "build", "-o", binary, "github.com/versity/versitygw/cmd/versitygw")
	build.Dir = filepath.Join("testdata", "versitygw")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build versitygw: %v\n%s", err, out)
	}
	var log bytes.Buffer
	address, data := freeAddress(t), t.TempDir()
	server := exec.Command(binary, "--port", address, "--access", testAccessKey, "--secret", testSecretKey, "posix", data)
	server.Stdout, server.Stderr = &log, &log
	server.Env = append(os.Environ(), "HOME="+data)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		if t.Failed() {
			t.Logf("the server: %.4000s", log.String())
		}
	})
	way := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(way.CloseIdleConnections)
	client, err := minio.New(address, &minio.Options{Creds: credentials.NewStaticV4(testAccessKey, testSecretKey, ""), Region: "us-east-1", Transport: way, MaxRetries: 1})
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(startTime); ; time.Sleep(20 * time.Millisecond) {
		if err = client.MakeBucket(t.Context(), testBucket, minio.MakeBucketOptions{}); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server does not answer: %v", err)
		}
	}
	return blob.S3Options{Endpoint: "http://" + address, Bucket: testBucket, Prefix: "/some/prefix/", Region: "us-east-1",
		AccessKey: testAccessKey, SecretKey: testSecretKey, PathStyle: true}
}
