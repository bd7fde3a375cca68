package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"connectrpc.com/connect"
	"github.com/coder/websocket"

	guest "github.com/bothy-computer/bothy/runtime/guest/process"
)

// push copies a program into the computer through an exec session.
func (h *gatewayHouse) push(path string) {
	h.t.Helper()
	f, err := os.Open(path)
	if err != nil {
		h.t.Fatal(err)
	}
	defer f.Close()
	c, on := h.client(), true
	start := script("cat > /tmp/listener; chmod +x /tmp/listener")
	start.Stdin = &on
	r := begin(h.t, c, start)
	buf := make([]byte, 256<<10)
	for {
		n, err := f.Read(buf)
		if n > 0 {
			if _, err := c.SendInput(h.t.Context(), connect.NewRequest(&guest.SendInputRequest{Process: r.pid,
				Input: &guest.ProcessInput{Input: &guest.ProcessInput_Stdin{Stdin: buf[:n]}}})); err != nil {
				h.t.Fatal(err)
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			h.t.Fatal(err)
		}
	}
	if _, err := c.CloseStdin(h.t.Context(), connect.NewRequest(&guest.CloseStdinRequest{Process: r.pid})); err != nil {
		h.t.Fatal(err)
	}
	r.until("")
}

func (h *gatewayHouse) publish(visibility string) (at string) {
	h.t.Helper()
	var made struct {
		Port struct {
			URL string `json:"public_url"`
		}
	}
	h.far.api(http.MethodPost, "/computers/box/ports", map[string]any{"port": 8123, "visibility": visibility}, http.StatusAccepted, &made)
	return made.Port.URL
}

// get fetches a URL.
func (h *gatewayHouse) get(at string) (status int, body string) {
	h.t.Helper()
	res, err := http.Get(at)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func (h *gatewayHouse) ports() {
	program := filepath.Join(h.t.TempDir(), "listener")
	build := exec.Command("go", "build", "-o", program, "./testdata/listener")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		h.t.Fatalf("%v: %s", err, out)
	}
	h.push(program)
	at := h.publish("public")
	if status, _ := h.get(at); status != http.StatusServiceUnavailable {
		h.t.Errorf("before anything listens: %d", status)
	}
	c := h.client()
	listener := begin(h.t, c, script("exec /tmp/listener 8123"))
	eventually(h.t, "the listener answers", 20*time.Second, func() error {
		if status, body := h.get(at + "a/b"); status != 200 || body != "hello from /a/b\n" {
			return fmt.Errorf("%d %q", status, body)
		}
		return nil
	})
	conn, _, err := websocket.Dial(h.t.Context(), at+"echo", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.CloseNow()
	for _, text := range []string{"one", strings.Repeat("two", 10_000)} {
		if err := conn.Write(h.t.Context(), websocket.MessageText, []byte(text)); err != nil {
			h.t.Fatal(err)
		}
		if _, got, err := conn.Read(h.t.Context()); err != nil || string(got) != text {
			h.t.Fatalf("%.10q, %v", got, err)
		}
	}
	events, err := http.Get(at + "events")
	if err != nil {
		h.t.Fatal(err)
	}
	defer events.Body.Close()
	lines := bufio.NewScanner(events.Body)
	for n := 1; n <= 3; n++ {
		if !lines.Scan() || lines.Text() != fmt.Sprint("data: ", n) || !lines.Scan() {
			h.t.Fatalf("event %d is %q, %v", n, lines.Text(), lines.Err())
		}
	}
	// Made private, the port cuts those who came in while it was public.
	if h.publish("private") != at {
		h.t.Error("its URL is another")
	}
	bounded, cancel := context.WithTimeout(h.t.Context(), cutTime)
	defer cancel()
	if _, _, err := conn.Read(bounded); err == nil || errors.Is(err, context.DeadlineExceeded) {
		h.t.Errorf("the WebSocket goes on: %v", err)
	}
	for lines.Scan() {
	}
	if lines.Err() == nil {
		h.t.Error("the events ended as if all were said")
	}
	if status, _ := h.get(at); status != http.StatusUnauthorized {
		h.t.Errorf("a private port answers nobody with %d", status)
	}
	page := h.session("browser")
	jar := &http.Client{Transport: bearing{page.Session.Token, http.DefaultTransport}}
	res, err := jar.Get(at)
	if err != nil {
		h.t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 {
		h.t.Errorf("a browser session: %s", res.Status)
	}
	at = h.publish("public")
	again, _, err := websocket.Dial(h.t.Context(), at+"echo", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	defer again.CloseNow()
	h.nodes[0].api(http.MethodDelete, "/computers/box/ports/8123", nil, http.StatusAccepted, nil)
	bounded, cancel = context.WithTimeout(h.t.Context(), cutTime)
	defer cancel()
	if _, _, err := again.Read(bounded); err == nil || errors.Is(err, context.DeadlineExceeded) {
		h.t.Errorf("unpublished, the WebSocket goes on: %v", err)
	}
	if status, _ := h.get(at); status != http.StatusNotFound {
		h.t.Errorf("unpublished, it answers %d", status)
	}
	if _, err := c.SendSignal(h.t.Context(), connect.NewRequest(&guest.SendSignalRequest{Process: listener.pid, Signal: guest.Signal(syscall.SIGTERM)})); err != nil {
		h.t.Error(err)
	}
	listener.until("")
}
