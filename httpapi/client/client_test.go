package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, h *doortest.House, key string, urls ...string) *client.Client {
	t.Helper()
	c, err := client.New(append(urls, h.URL), key)
	if err != nil {
		t.Fatal(err)
	}
	c.HTTP = h.Client()
	return c
}

const script = "```bash\necho one\n```\n\n```bash\necho two\n```\n"

func TestRunHandsOverEachEventOnceAndTheAnswer(t *testing.T) {
	h := doortest.Open(t)
	c := open(t, h, h.Key)
	var got []string
	result, err := c.Run(t.Context(), client.Message{Content: script, Title: "two"}, func(e client.Event) error {
		got = append(got, e.Type)
		return nil
	})
	if err != nil || result.Run.Status != "success" || result.Content == "" || result.Thread == "" {
		t.Fatalf("%+v, %v", result, err)
	}
	if got[0] != wire.ThreadCreated || got[len(got)-1] != wire.StreamCompleted {
		t.Fatalf("events %v", got)
	}
	thread, err := c.Threads().Get(t.Context(), result.Thread)
	if err != nil || len(thread.Messages) != 2 || thread.Title == nil || *thread.Title != "two" {
		t.Fatalf("%+v, %v", thread, err)
	}
	again, err := c.Run(t.Context(), client.Message{Thread: result.Thread, Content: "hello"}, nil)
	if err != nil || again.Thread != result.Thread || again.Run.ID == result.Run.ID {
		t.Fatalf("%+v, %v", again, err)
	}
}

// cutter is a node in front of another that breaks each reply off after some
// bytes, a few times.
type cutter struct {
	to   http.Handler
	left atomic.Int64 // replies still to be cut
	at   func(n int64) int
}

func (x *cutter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := x.left.Add(-1)
	if n < 0 {
		x.to.ServeHTTP(w, r)
		return
	}
	x.to.ServeHTTP(&shortWriter{ResponseWriter: w, left: x.at(n)}, r)
}

type shortWriter struct {
	http.ResponseWriter
	left int
}

func (w *shortWriter) Write(b []byte) (int, error) {
	if len(b) > w.left {
		w.ResponseWriter.Write(b[:w.left])
		w.Flush()
		panic(http.ErrAbortHandler)
	}
	w.left -= len(b)
	return w.ResponseWriter.Write(b)
}

func (w *shortWriter) Flush() { w.ResponseWriter.(http.Flusher).Flush() }

func TestAStreamCutAnywhereIsSeenWholeAndOnce(t *testing.T) {
	h := doortest.Open(t)
	whole := map[string]int{}
	record := func(into map[string]int) func(client.Event) error {
		return func(e client.Event) error { into[e.Type]++; return nil }
	}
	if _, err := open(t, h, h.Key).Run(t.Context(), client.Message{Content: script}, record(whole)); err != nil {
		t.Fatal(err)
	}
	for cut := 1; cut < 3000; cut += 137 {
		x := &cutter{to: h.Server.Handler(), at: func(n int64) int { return cut * int(1+n) }}
		x.left.Store(3)
		server := httptest.NewServer(x)
		c, err := client.New([]string{server.URL}, h.AdminKey)
		if err != nil {
			t.Fatal(err)
		}
		c.HTTP = h.Client()
		got := map[string]int{}
		result, err := c.Run(t.Context(), client.Message{Content: script}, record(got))
		if err != nil || result.Run.Status != "success" {
			t.Fatalf("cut at %d: %+v, %v", cut, result, err)
		}
		// Text may come in more or fewer pieces; what it says is compared elsewhere.
		for _, m := range []map[string]int{got, whole} {
			delete(m, wire.ContentPartDelta)
		}
		for kind, n := range whole {
			if got[kind] != n {
				t.Fatalf("cut at %d: %d × %s, want %d; all: %v", cut, got[kind], kind, n, got)
			}
		}
		threads, err := c.Threads().List(t.Context(), client.ThreadFilter{}, client.Page{Limit: 100})
		if err != nil || threads.TotalCount != 1+(cut-1)/137 {
			t.Fatalf("cut at %d: %d threads: a message was sent twice (%v)", cut, threads.TotalCount, err)
		}
		server.Close()
	}
}

func TestADeadNodeIsPassedOver(t *testing.T) {
	h := doortest.Open(t)
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	c := open(t, h, h.Key, dead.URL)
	list, err := c.Environments().List(t.Context(), client.Page{})
	if err != nil || list.TotalCount != 0 {
		t.Fatalf("%+v, %v", list, err)
	}
	if _, err := c.Environments().Create(t.Context(), wire.WriteEnvironment{Name: wire.Some("made once")}); err != nil {
		t.Fatal(err)
	}
	list, err = c.Environments().List(t.Context(), client.Page{})
	if err != nil || list.TotalCount != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
}

func TestFailuresComeBackAsTheirKind(t *testing.T) {
	h := doortest.Open(t)
	c := open(t, h, h.Key)
	_, none := h.NewAccount("poor", 0)
	tests := map[string]struct {
		call func(context.Context) error
		kind fault.Kind
		code string
	}{
		"an unknown thread": {func(ctx context.Context) error { _, err := c.Threads().Get(ctx, "thread_none"); return err }, fault.NotFound, ""},
		"a wrong key":       {func(ctx context.Context) error { _, err := open(t, h, "tb_wrong").Status(ctx); return err }, fault.Unauthorized, ""},
		"not an admin":      {func(ctx context.Context) error { _, err := c.Status(ctx); return err }, fault.Forbidden, ""},
		"no name": {func(ctx context.Context) error { _, err := c.Agents().Create(ctx, wire.WriteAgent{}); return err },
			fault.Invalid, "VALIDATION_FAILED"},
		"no money": {func(ctx context.Context) error {
			_, err := open(t, h, none).Run(ctx, client.Message{Content: "hello"}, nil)
			return err
		}, fault.Payment, "INSUFFICIENT_BUDGET"},
		"more money without the scope": {func(ctx context.Context) error { _, err := c.Budget().Add(ctx, 5e6, ""); return err }, fault.Forbidden, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := tt.call(t.Context())
			var f *fault.Error
			if !errors.As(err, &f) || f.Kind != tt.kind || f.Code != tt.code {
				t.Fatalf("got %v (%s), want %s %s", err, fault.Of(err), tt.kind, tt.code)
			}
		})
	}
}

func TestExecStreamsInputAndOutput(t *testing.T) {
	h := doortest.Open(t)
	c := open(t, h, h.AdminKey)
	env, err := open(t, h, h.Key).Environments().Default(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Computers().Start(t.Context(), env.ComputerID); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var stdout, stderr bytes.Buffer
	big := strings.Repeat("0123456789abcdef", 16<<10)
	exit, err := c.Computers().Exec(ctx, env.ComputerID, wire.Exec{Argv: []string{"sh", "-c", "cat; echo bad >&2; exit 3"}},
		strings.NewReader(big), &stdout, &stderr)
	if err != nil || exit.Code != 3 || stderr.String() != "bad\n" || stdout.String() != big {
		t.Fatalf("exit %+v, %v, %d bytes of %d, %q", exit, err, stdout.Len(), len(big), stderr.String())
	}
	stdout.Reset()
	exit, err = c.Computers().Exec(ctx, env.ComputerID, wire.Exec{Argv: []string{"echo", "hi"}, Env: map[string]string{"A": "b"}}, nil, &stdout, &stderr)
	if err != nil || exit.Code != 0 || stdout.String() != "hi\n" {
		t.Fatalf("exit %+v, %v, %q", exit, err, stdout.String())
	}
	if _, err := c.Computers().Exec(ctx, env.ComputerID, wire.Exec{}, nil, &stdout, &stderr); !fault.Is(err, fault.Invalid) {
		t.Fatalf("no command: %v", err)
	}
}

// TestCommandsInARow makes sure that no command meets a connection which the
// server is about to close under it.
func TestCommandsInARow(t *testing.T) {
	h := doortest.Open(t)
	c := open(t, h, h.AdminKey)
	ctx := t.Context()
	env, err := c.Environments().Default(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		exit, err := c.Computers().Exec(ctx, env.ComputerID, wire.Exec{Argv: []string{"true"}}, nil, io.Discard, io.Discard)
		if err != nil || exit.Code != 0 {
			t.Fatalf("command %d: %+v, %v", i, exit, err)
		}
	}
}

func TestAdminCalls(t *testing.T) {
	h := doortest.Open(t)
	c := open(t, h, h.AdminKey)
	ctx := t.Context()
	five := wire.USD(5_000_000)
	account, err := c.Accounts().Create(ctx, "widgets", &five)
	if err != nil || account.Budget.Balance != five {
		t.Fatalf("%+v, %v", account, err)
	}
	user, err := c.Users().Add(ctx, account.ID, "ann", "admin")
	if err != nil || user.Role != "admin" {
		t.Fatalf("%+v, %v", user, err)
	}
	key, err := c.Keys().Create(ctx, account.ID, wire.CreateKey{UserID: user.ID, Scopes: []string{"threads:read", "billing:read"}, Dialect: "ak"})
	if err != nil || !strings.HasPrefix(key.Text, "ak_") || !slices.Equal(key.Key.Scopes, []string{"threads:read", "billing:read"}) {
		t.Fatalf("%+v, %v", key, err)
	}
	theirs := open(t, h, key.Text)
	if b, err := theirs.Budget().Get(ctx); err != nil || b.Balance != five {
		t.Fatalf("%+v, %v", b, err)
	}
	added, err := c.BudgetOf(account.ID).Add(ctx, 1_500_000, "a gift")
	if err != nil || added.NewBalance != 6_500_000 {
		t.Fatalf("%+v, %v", added, err)
	}
	if err := c.Keys().Revoke(ctx, account.ID, key.Key.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Budget().Get(ctx); !fault.Is(err, fault.Unauthorized) {
		t.Fatalf("a revoked key: %v", err)
	}
	status, err := c.Status(ctx)
	if err != nil || status.Leader != "n1" || !status.Ready || len(status.Nodes) != 1 {
		t.Fatalf("%+v, %v", status, err)
	}
	if token, err := c.Token(ctx); err != nil || token.Token == "" {
		t.Fatalf("%+v, %v", token, err)
	}
}

func TestReplayEndsAtTheNewestEvent(t *testing.T) {
	h := doortest.Open(t)
	c := open(t, h, h.Key)
	result, err := c.Run(t.Context(), client.Message{Content: script}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var seqs []uint64
	see := func(e client.Event) error { seqs = append(seqs, e.Seq); return nil }
	if err := c.Replay(t.Context(), result.Thread, 0, see); err != nil || !slices.IsSorted(seqs) || len(seqs) == 0 {
		t.Fatalf("%v, %v", seqs, err)
	}
	newest := seqs[len(seqs)-1]
	seqs = nil
	if err := c.Replay(t.Context(), result.Thread, newest, see); err != nil || len(seqs) != 0 {
		t.Fatalf("after the newest: %v, %v", seqs, err)
	}
	if err := c.Replay(t.Context(), "thread_none", 0, see); !fault.Is(err, fault.NotFound) {
		t.Fatalf("got %v", err)
	}
}
