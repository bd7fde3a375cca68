package warden

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestFramesCarryRequests(t *testing.T) {
	want := request{Op: opRun, Deadline: 5, Command: &Command{Argv: []string{"a", "b\x00c"}, Timeout: time.Second, Starts: true}}
	var wire bytes.Buffer
	if err := writeFrame(&wire, want); err != nil {
		t.Fatal(err)
	}
	var got request
	if err := readFrame(&wire, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, %v", got, err)
	}
	if err := writeFrame(io.Discard, request{Computer: strings.Repeat("x", maxFrameBytes)}); !errors.Is(err, errFrame) {
		t.Errorf("a frame too long to send: %v", err)
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x02{}"))
	f.Add([]byte("\x00\x00\x00\x10{\"op\":\"status\"}"))
	f.Add([]byte("\xff\xff\xff\xff{}"))
	f.Add([]byte("\x00\x00\x00\x04null"))
	f.Add([]byte("\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var req request
		if err := readFrame(bytes.NewReader(data), &req); err != nil {
			return
		}
		if err := writeFrame(io.Discard, req); err != nil {
			t.Fatalf("read but not written: %v", err)
		}
	})
}
