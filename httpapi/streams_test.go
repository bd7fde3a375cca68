package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi"
	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// within waits for a fact, not for a time.
func within(t *testing.T, what string, fact func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !fact(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

func TestDrainEndsStreamsAndTheirClientsCanGoOn(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	resp := c.open("POST", "/threads", map[string]any{"content": "```bash\nsleep 600\n```\n"})
	defer resp.Body.Close()
	var last, id string
	stream(t, resp.Body, func(l line) bool {
		if l.Thread != nil {
			id = l.Thread.ID
		}
		if l.id != "" {
			last = l.id
		}
		return l.Type == wire.OutputItemAdded
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	begun := time.Now()
	if err := h.Server.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Fatalf("the drain waited %s for a stream", took)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatalf("the stream was cut, not ended: %v", err)
	}
	// Another node over the same records takes the client up where it was.
	other := h.Another()
	d := as(t, other, h.Key)
	d.do("POST", "/threads/"+id+"/cancel", nil).is(200)
	rest := follow(d, "/threads/"+id+"/events", last, func(l line) bool { return l.Ends() })
	if rest[len(rest)-1].Type != wire.StreamError || rest[0].Type == wire.ResponseCreated {
		t.Fatalf("after %s: %v", last, types(rest))
	}
}

// flood writes many large events into a thread, as its run's owner would.
func flood(t *testing.T, h *doortest.House, events int) state.Thread {
	t.Helper()
	c := as(t, h, h.Key)
	var made wire.OneThread
	c.do("POST", "/threads", `{}`).is(201).into(&made)
	thread := h.Thread(made.Thread.ID)
	run := state.Run{ID: state.RunID("run_" + made.Thread.ID), Config: state.RunConfig{Model: "script", Timeout: time.Hour}}
	computer, err := h.Node.Place(t.Context(), thread.Computer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Node.Apply(t.Context(), state.StartRun{Account: thread.Account, Thread: thread.ID, Run: run}); err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("0123456789abcdef", 2<<10)
	for i := range events {
		_, err := h.Node.Apply(t.Context(), state.Append{Thread: thread.ID, Run: run.ID, Epoch: computer.Epoch, FirstSeq: uint64(i + 1),
			Events: []state.Event{{Kind: state.EventText, Item: "i", Type: state.ItemText, Text: text}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	return h.Thread(made.Thread.ID)
}

func TestAClientThatStopsReadingIsDropped(t *testing.T) {
	h := doortest.Open(t, doortest.Quiet(), doortest.With(func(o *httpapi.Options) { o.Patience.Stream = 200 * time.Millisecond }))
	thread := flood(t, h, 400)
	before := runtime.NumGoroutine()
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET /threads/%s/events HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\n\r\n", thread.ID, h.Key)
	if _, err := bufio.NewReaderSize(conn, 16).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	within(t, "the stream is given up", func() bool {
		return strings.Contains(metrics(t, h), `bothy_http_streams_ended_total{dialect="computer_agents",reason="unwritable"} 1`)
	})
	within(t, "its goroutines are gone", func() bool { return runtime.NumGoroutine() <= before+2 })
	if got := metrics(t, h); !strings.Contains(got, `bothy_http_streams_open{dialect="computer_agents"} 0`) {
		t.Fatal("the stream still counts as open")
	}
}

// metrics is what the ops port serves.
func metrics(t *testing.T, h *doortest.House) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.Server.OpsHandler().ServeHTTP(w, req)
	return w.Body.String()
}

func TestASilentStreamPings(t *testing.T) {
	h := doortest.Open(t, doortest.With(func(o *httpapi.Options) { o.Patience.Ping = 20 * time.Millisecond }))
	c := as(t, h, h.Key)
	var made wire.OneThread
	c.do("POST", "/threads", `{}`).is(201).into(&made)
	resp := c.open("GET", "/threads/"+made.Thread.ID+"/events", nil)
	defer resp.Body.Close()
	pings := 0
	for s := bufio.NewScanner(resp.Body); pings < 3 && s.Scan(); {
		if s.Text() == ": ping" {
			pings++
		}
	}
	if pings < 3 {
		t.Fatalf("%d pings", pings)
	}
	// A stream whose thread is deleted has nothing more to wait for.
	c.do("DELETE", "/threads/"+made.Thread.ID, nil).is(200)
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	h := doortest.Open(t, doortest.With(func(o *httpapi.Options) { o.MaxStreams = 1 }))
	c := as(t, h, h.Key)
	var made wire.OneThread
	c.do("POST", "/threads", `{}`).is(201).into(&made)
	path := "/threads/" + made.Thread.ID
	one := c.open("GET", path+"/events", nil)
	c.do("GET", path+"/events", nil).refused(503, "streams open")
	c.do("POST", path+"/messages", `{"content":"hi"}`).refused(503, "streams open")
	one.Body.Close()
	within(t, "its place is free again", func() bool {
		resp := c.open("GET", path+"/events?follow=false", nil)
		resp.Body.Close()
		return resp.StatusCode == 200
	})
}

func TestThousandsOfIdleConnectionsDoNoHarm(t *testing.T) {
	const idle = 3000 // a test process has few file descriptors; each costs two here
	h := doortest.Open(t, doortest.With(func(o *httpapi.Options) { o.Patience.Header = 3 * time.Second }))
	c := as(t, h, h.Key)
	c.do("GET", "/agents", nil).is(200)
	addr := strings.TrimPrefix(h.URL, "http://")
	conns := make([]net.Conn, 0, idle)
	defer func() {
		for _, conn := range conns {
			conn.Close()
		}
	}()
	for range idle {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatalf("after %d: %v", len(conns), err)
		}
		conns = append(conns, conn)
	}
	// Half of them send half a request.
	for _, conn := range conns[:idle/2] {
		fmt.Fprint(conn, "GET /agents HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	}
	begun := time.Now()
	c.do("GET", "/agents", nil).is(200)
	if took := time.Since(begun); took > 2*time.Second {
		t.Fatalf("a request took %s beside them", took)
	}
	// The server gives each of them up by itself.
	for _, conn := range []net.Conn{conns[0], conns[idle-1]} {
		conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Fatalf("not closed by the server: %v", err)
		}
	}
}

func TestConnectionsBeyondTheBoundWait(t *testing.T) {
	h := doortest.Open(t, doortest.With(func(o *httpapi.Options) {
		o.MaxConnections, o.Patience.Header = 2, 300*time.Millisecond
	}))
	addr := strings.TrimPrefix(h.URL, "http://")
	for range 4 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	// Four silent connections are closed in two rounds; then comes this one.
	as(t, h, h.Key).do("GET", "/agents", nil).is(200)
}

func TestABodyThatNeverEndsIsGivenUp(t *testing.T) {
	h := doortest.Open(t, doortest.With(func(o *httpapi.Options) { o.Patience.Body = 100 * time.Millisecond }))
	for key, want := range map[string]string{h.Key: "400 Bad Request: did not arrive", "tb_wrong": "401 Unauthorized: Invalid"} {
		half(t, h, key, want)
	}
	// A stream lives longer than a body may take.
	c := as(t, h, h.Key)
	done := run(c, "```bash\nsleep 0.5\n```\n")
	if done.Run.Status != "success" {
		t.Fatalf("%+v", done.Run)
	}
	resp := c.open("POST", "/threads", map[string]any{"content": "```bash\nsleep 0.5\n```\n"})
	defer resp.Body.Close()
	if lines := stream(t, resp.Body, nil); !lines[len(lines)-1].Ends() {
		t.Fatalf("cut off: %v", types(lines))
	}
}

// half sends a request whose body does not end, and reads the refusal.
func half(t *testing.T, h *doortest.House, key, want string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /threads HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\nContent-Length: 1000\r\n\r\n{", key)
	conn.SetReadDeadline(time.Now().Add(patience))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	status, says, _ := strings.Cut(want, ": ")
	if err != nil || resp.Status != status || !strings.Contains(string(b), says) {
		t.Fatalf("%s %s %v, want %s", resp.Status, b, err, want)
	}
}
