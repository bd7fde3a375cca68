package transport

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

func TestStreamsFlowBothWaysAtOnce(t *testing.T) {
	c := newCluster(t, 2)
	a, b := c.nodes[0], c.nodes[1]
	client := &http.Client{Transport: a.RoundTripper()}
	url := "https://" + string(b.id) + "/exec"

	resp, err := client.Get(url)
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("before Serve: %s", resp.Status)
	}
	b.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _ := CallerOf(r.Context())
		w.Header().Set("X-Caller", string(from))
		flush := http.NewResponseController(w)
		in := bufio.NewScanner(r.Body)
		if err := flush.Flush(); err != nil {
			t.Error(err)
		}
		for in.Scan() {
			fmt.Fprintf(w, "heard %s\n", in.Text())
			flush.Flush()
		}
	}))
	body, say := io.Pipe()
	req, err := http.NewRequestWithContext(within(t, 20*time.Second), http.MethodPost, url, body)
	must(t, err)
	resp, err = client.Do(req)
	must(t, err)
	defer resp.Body.Close()
	if resp.Proto != "HTTP/2.0" || resp.Header.Get("X-Caller") != string(a.id) {
		t.Fatalf("%s from %q", resp.Proto, resp.Header.Get("X-Caller"))
	}
	hear := bufio.NewReader(resp.Body)
	for _, word := range []string{"one", "two"} { // each is answered before the next is said
		fmt.Fprintln(say, word)
		if line, err := hear.ReadString('\n'); err != nil || line != "heard "+word+"\n" {
			t.Fatalf("got %q, %v", line, err)
		}
	}
	must(t, say.Close())
	if rest, err := io.ReadAll(hear); err != nil || len(rest) != 0 {
		t.Fatalf("at the end: %q, %v", rest, err)
	}
}

func TestAllProtocolsShareThePort(t *testing.T) {
	c := newCluster(t, 2)
	a, b := c.nodes[0], c.nodes[1]
	remoters, engines := withActors(t, c)
	pid, got := inbox(engines[1], "x")
	b.Handle("echo", echo)
	b.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
	go func() {
		conn, err := b.RaftLayer().Accept()
		if err != nil {
			return
		}
		io.Copy(conn, conn)
		conn.Close()
	}()
	client := &http.Client{Transport: a.RoundTripper()}
	ctx := within(t, 30*time.Second)
	raftConn, err := a.RaftLayer().Dial(raft.ServerAddress(b.id), time.Second)
	must(t, err)
	defer raftConn.Close()

	var all sync.WaitGroup
	const rounds = 50
	all.Go(func() {
		for range rounds {
			if _, err := a.Call(ctx, b.id, "echo", []byte("x")); err != nil {
				t.Error("call:", err)
			}
		}
	})
	all.Go(func() {
		for range rounds {
			echoStream(t, client, b)
		}
	})
	all.Go(func() {
		for range rounds {
			raftConn.Write([]byte("raft"))
			if _, err := io.ReadFull(raftConn, make([]byte, 4)); err != nil {
				t.Error("raft:", err)
			}
		}
	})
	all.Go(func() {
		for range rounds {
			remoters[0].Send(pid, &Envelope{Kind: "x"}, nil)
		}
	})
	all.Wait()
	for range rounds {
		next(t, got)
	}
}

func echoStream(t *testing.T, client *http.Client, to *node) {
	resp, err := client.Post("https://"+string(to.id)+"/", "text/plain", strings.NewReader("stream"))
	if err != nil {
		t.Error("stream:", err)
		return
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "stream" {
		t.Errorf("stream: %q, %v", body, err)
	}
}

func TestStreamEndsWithTheServer(t *testing.T) {
	c := newCluster(t, 2)
	a, b := c.nodes[0], c.nodes[1]
	gone := make(chan struct{})
	b.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(gone)
	}))
	resp, err := (&http.Client{Transport: a.RoundTripper()}).Get("https://" + string(b.id) + "/")
	must(t, err)
	defer resp.Body.Close()
	must(t, b.Close())
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Fatal("the stream ended as if it were whole")
	}
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Fatal("the handler was not told")
	}
}
