package guest_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/guest"
	"github.com/bothy-computer/bothy/runtime/guest/process"
)

// astray is what stands in a guest's place: root in a computer can do that. It
// answers each connection with answer, which gets what follows the request's
// headers.
func astray(t *testing.T, answer func(w io.Writer, path string)) *guest.Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "guest.sock")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				req, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				answer(conn, req.URL.Path)
				_, _ = io.Copy(io.Discard, conn) // until the node has had enough
			}()
		}
	}()
	c := guest.Dial(socket)
	t.Cleanup(func() {
		ln.Close()
		<-served
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

const streams = "HTTP/1.1 200 OK\r\nContent-Type: application/connect+proto\r\n\r\n"

// frame is a message of a stream, with whatever length it says it has.
func frame(length uint32, body []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, length), body...)
}

func started(t *testing.T, pid uint32) []byte {
	t.Helper()
	b, err := proto.Marshal(&process.StartResponse{Event: &process.ProcessEvent{Event: &process.ProcessEvent_Start{
		Start: &process.ProcessEvent_StartEvent{Pid: pid}}}})
	if err != nil {
		t.Fatal(err)
	}
	return frame(uint32(len(b)), b)
}

// pour writes b again and again until the node closes the connection or most
// bytes went.
func pour(w io.Writer, b []byte, most int) (n int) {
	for n < most {
		m, err := w.Write(b)
		n += m
		if err != nil {
			break
		}
	}
	return n
}

// TestAGuestGoneAstrayIsLeft asks guests that lie. Whatever they say, a call
// ends with an error that says whose fault it is, little was read, and no
// goroutine is left (TestMain).
func TestAGuestGoneAstrayIsLeft(t *testing.T) {
	const bomb = 256 << 20
	begin := started(t, 7)
	piece := make([]byte, 1<<20)
	for name, answer := range map[string]func(io.Writer){
		"a long message": func(w io.Writer) { // passed over, and not kept
			fmt.Fprint(w, streams)
			w.Write(frame(bomb, nil))
			pour(w, piece, bomb)
		},
		"headers without end": func(w io.Writer) {
			fmt.Fprint(w, "HTTP/1.1 200 OK\r\n")
			if n := pour(w, []byte("X-More: "+strings.Repeat("x", 4000)+"\r\n"), bomb); n >= bomb {
				t.Errorf("the node took %d bytes of headers", n)
			}
		},
		"an error without end": func(w io.Writer) {
			fmt.Fprint(w, "HTTP/1.1 500 Oops\r\nContent-Type: application/json\r\n\r\n")
			if n := pour(w, piece, bomb); n >= bomb {
				t.Errorf("the node took %d bytes of an error", n)
			}
		},
		"begins again and again": func(w io.Writer) {
			fmt.Fprint(w, streams)
			if n := pour(w, begin, bomb); n >= bomb {
				t.Errorf("the node took %d bytes of beginnings", n)
			}
		},
		"a process without a number": func(w io.Writer) { fmt.Fprint(w, streams); w.Write(started(t, 0)) },
		"leads elsewhere": func(w io.Writer) {
			fmt.Fprint(w, "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
		},
		"no protocol": func(w io.Writer) { fmt.Fprint(w, "SSH-2.0-guest\r\n\r\n") },
		"a message that is none": func(w io.Writer) {
			fmt.Fprint(w, streams)
			w.Write(frame(4, []byte("\xff\xff\xff\xff")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := astray(t, func(w io.Writer, _ string) { answer(w) })
			var before, after goruntime.MemStats
			goruntime.ReadMemStats(&before)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			exit, err := c.Exec(ctx, runtime.Cmd{Argv: []string{"true"}, Stdin: strings.NewReader("x"), Timeout: 10 * time.Second})
			goruntime.ReadMemStats(&after)
			if !errors.Is(err, runtime.ErrAstray) && !errors.Is(err, runtime.ErrNotRunning) || ctx.Err() != nil {
				t.Errorf("%+v, %v; %v", exit, err, ctx.Err())
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
				t.Errorf("the node allocated %d bytes for it", grown)
			}
		})
	}
}

// TestAGuestThatNeverAnswersIsLeft: one that takes a command and tells nothing,
// and one that tells the beginning alone, hold a caller no longer than the
// command's time and our patience.
func TestAGuestThatNeverAnswersIsLeft(t *testing.T) {
	begin := started(t, 7)
	for name, said := range map[string]string{"nothing": "", "a beginning": streams + string(begin)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := astray(t, func(w io.Writer, path string) {
				if strings.HasSuffix(path, "/Start") {
					io.WriteString(w, said)
				}
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := c.Exec(ctx, runtime.Cmd{Argv: []string{"true"}, Timeout: time.Millisecond})
			if !errors.Is(err, runtime.ErrAstray) {
				t.Errorf("got %v, want ErrAstray", err)
			}
		})
	}
}
