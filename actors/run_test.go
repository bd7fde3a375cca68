package actors

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/bothy-computer/bothy/actors/actorstest"
	"github.com/bothy-computer/bothy/actors/agent/catalog"
	"github.com/bothy-computer/bothy/actors/agent/mcp/mcptest"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/build"
	"github.com/bothy-computer/bothy/runtime/fake"
)

func TestMain(m *testing.M) {
	mcptest.Main()
	goleak.VerifyTestMain(m)
}

// plainSealer keeps values readable, so that tests see what is sealed where.
type plainSealer struct{}

func (plainSealer) Seal(_, plain []byte) ([]byte, error) {
	return append([]byte("sealed:"), plain...), nil
}
func (plainSealer) Open(_, sealed []byte) ([]byte, error) { return sealed[len("sealed:"):], nil }

// house is one node with its actors, on shared records.
type house struct {
	*System
	node    *actorstest.Node
	driver  *fake.Driver
	builder *fake.Builder
	caller  Caller
}

func openHouse(t testing.TB, records *actorstest.Records, world *fake.World, name string, env map[string]string) *house {
	t.Helper()
	return openHouseOf(t, records, world, name, env)
}

// openHouseOf is a house whose machine has only some images; none means any.
func openHouseOf(t testing.TB, records *actorstest.Records, world *fake.World, name string, env map[string]string, images ...string) *house {
	t.Helper()
	return openHouseAt(t, time.Now, records, world, name, env, images...)
}

// openHouseAt is a house with a time of day of its own.
func openHouseAt(t testing.TB, now func() time.Time, records *actorstest.Records, world *fake.World, name string, env map[string]string, images ...string) *house {
	t.Helper()
	node, err := records.Join(name)
	if err != nil {
		t.Fatal(err)
	}
	models, err := catalog.FromEnv(func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	driver := fake.New(fake.Options{Dir: t.TempDir(), World: world, Node: name, Local: true, Room: runtime.Capacity{Images: images}})
	builder := &fake.Builder{For: driver}
	sys, err := Open(Options{Cluster: node, Lease: node, Changes: node, Driver: driver, Builder: builder, Sealer: plainSealer{}, Catalog: models,
		Recipes: Recipes{Runtimes: build.DefaultRuntimes()},
		Shape:   Shape{Image: "host", MemoryBytes: 1 << 30, MilliCPU: 1000, DiskBytes: 1 << 30}, StartBalance: 10_000_000,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Registerer: prometheus.NewRegistry(), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sys.Close)
	return &house{System: sys, node: node, driver: driver, builder: builder, caller: Caller{Account: "acct_admin", User: "user_admin"}}
}

func open(t *testing.T) *house {
	return openHouse(t, actorstest.NewRecords(time.Now), fake.NewWorld(), "n1", nil)
}

const patience = 20 * time.Second

// follow collects a run's events until it has ended.
func follow(t *testing.T, h *house, s Started) []state.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	f := h.Threads.Follow(ctx, s.Thread.ID, s.Run.FirstSeq-1)
	defer f.Close()
	var all []state.Event
	for {
		events, err := f.Next(ctx)
		if err != nil {
			t.Fatalf("after %d events: %v", len(all), err)
		}
		for _, e := range events {
			if all = append(all, e); e.Kind == state.EventRunCompleted {
				return all
			}
		}
	}
}

func send(t *testing.T, h *house, content string) Started {
	t.Helper()
	s, err := h.Threads.Start(t.Context(), h.caller, NewRun{Create: &NewThread{}, Content: content})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func last(events []state.Event) state.Event { return events[len(events)-1] }

func TestAScriptWritesAndRunsAFile(t *testing.T) {
	h := open(t)
	s := send(t, h, "```python file=hello.py\nprint('hello from bothy')\n```\n\n```bash\npython3 hello.py\n```\n")
	events := follow(t, h, s)
	end := last(events)
	if end.Status != string(state.RunSuccess) {
		t.Fatalf("run ended %s: %s", end.Status, end.Error)
	}
	var output string
	for i, e := range events {
		if want := s.Run.FirstSeq + uint64(i); e.Seq != want {
			t.Fatalf("event %d has seq %d, want %d", i, e.Seq, want)
		}
		if e.Type == state.ItemToolResult {
			output += e.Tool.Output
		}
	}
	if !strings.Contains(output, "hello from bothy") {
		t.Fatalf("the tools answered %q", output)
	}
	thread, err := applied(h.node, func(v *state.View) (state.Thread, error) { return v.Thread("acct_admin", s.Thread.ID) })
	if err != nil || thread.Status != state.ThreadCompleted || thread.Messages != 2 || thread.Run != "" {
		t.Fatalf("thread is %+v, %v", thread, err)
	}
}

func TestABusyThreadRefusesAnotherMessage(t *testing.T) {
	h := open(t)
	s := send(t, h, "```bash\nsleep 600\n```\n")
	_, err := h.Threads.Start(t.Context(), h.caller, NewRun{Thread: s.Thread.ID, Content: "more"})
	if !fault.Is(err, fault.Conflict) {
		t.Fatalf("got %v, want a conflict", err)
	}
	if err := h.Threads.Cancel(t.Context(), h.caller, s.Thread.ID); err != nil {
		t.Fatal(err)
	}
	follow(t, h, s)
}

func TestCancelEndsARunInItsTool(t *testing.T) {
	h := open(t)
	mark := filepath.Join(t.TempDir(), "began")
	s := send(t, h, "```bash\ntouch "+mark+"; sleep 600\n```\n")
	waitFor(t, func() bool { return exists(mark) })
	if err := h.Threads.Cancel(t.Context(), h.caller, s.Thread.ID); err != nil {
		t.Fatal(err)
	}
	events := follow(t, h, s)
	if end := last(events); end.Status != string(state.RunCancelled) {
		t.Fatalf("run ended %s: %s", end.Status, end.Error)
	}
	lost := false
	for _, e := range events {
		lost = lost || e.Type == state.ItemToolResult && e.Status == state.ItemInterrupted
	}
	if !lost {
		t.Fatal("the call that was cut has no result")
	}
}

// exists reports whether a command made its mark.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// waitFor waits for a fact, not for a time.
func waitFor(t *testing.T, fact func() bool) {
	t.Helper()
	for late := time.After(patience); !fact(); {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-late:
			t.Fatal("it did not become true")
		}
	}
}

func TestAnotherOwnerGoesOnFromTheLastCommittedStep(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"by one clock": 0, "by a clock ahead of the records": 2 * time.Hour} {
		t.Run(name, func(t *testing.T) { goesOnElsewhere(t, ahead) })
	}
}

func goesOnElsewhere(t *testing.T, ahead time.Duration) {
	records, world := actorstest.NewRecords(func() time.Time { return time.Now().Add(-ahead) }), fake.NewWorld()
	one := openHouse(t, records, world, "n1", nil)
	two := openHouse(t, records, world, "n2", nil)
	began, second := filepath.Join(t.TempDir(), "began"), filepath.Join(t.TempDir(), "second")
	s := send(t, one, "```bash\necho first\n```\n\n```bash retry\nif [ -e "+began+" ]; then touch "+second+"; else touch "+began+"; sleep 600; fi\n```\n")
	waitFor(t, func() bool { return exists(began) })
	one.driver.Freeze()
	if err := one.node.Expire(two.node); err != nil {
		t.Fatal(err)
	}
	if _, err := two.node.Place(t.Context(), s.Run.Computer); err != nil {
		t.Fatal(err)
	}
	events := follow(t, two, s)
	if end := last(events); end.Status != string(state.RunSuccess) || !exists(second) {
		t.Fatalf("run ended %s: %s", end.Status, end.Error)
	}
	seen := map[uint64]bool{}
	for _, e := range events {
		if seen[e.Seq] {
			t.Fatalf("event %d came twice", e.Seq)
		}
		seen[e.Seq] = true
	}
	if v := world.Violations(); len(v) > 0 {
		t.Fatalf("two owners at once: %v", v)
	}
}

func TestSecretsEnterNoRecordInPlainText(t *testing.T) {
	h := open(t)
	secret := rand.Text()
	_, err := h.Environments.Create(t.Context(), h.caller, EnvironmentSpec{Name: "e", Default: true,
		Secrets: []KeyValue{{"TOKEN", secret}}})
	if err != nil {
		t.Fatal(err)
	}
	s := send(t, h, "```bash\ntest \"$TOKEN\" = "+secret+" && echo same\n```\n")
	events := follow(t, h, s)
	ok := false
	for _, e := range events {
		ok = ok || e.Type == state.ItemToolResult && strings.Contains(e.Tool.Output, "same")
	}
	if !ok {
		t.Fatalf("the run did not get its secret: %+v", last(events))
	}
}

func TestAComputerThatEndedByItselfIsStartedAgainForTheNextCommand(t *testing.T) {
	h := open(t)
	env, err := h.Environments.Default(t.Context(), h.caller)
	if err != nil {
		t.Fatal(err)
	}
	exec := func() {
		t.Helper()
		exit, err := h.Computers.Exec(t.Context(), h.caller, env.Computer, Command{Argv: []string{"true"}})
		if err != nil || exit.Code != 0 {
			t.Fatalf("got %+v, %v", exit, err)
		}
	}
	exec()
	if err := h.driver.Crash(runtime.ID(env.Computer)); err != nil {
		t.Fatal(err)
	}
	exec()
}

func TestAComputerThatItsUserStoppedStaysStopped(t *testing.T) {
	h := open(t)
	env, err := h.Environments.Default(t.Context(), h.caller)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Environments.Start(t.Context(), h.caller, env.ID); err != nil {
		t.Fatal(err)
	}
	if c, was, err := h.Environments.Stop(t.Context(), h.caller, env.ID); err != nil || !was || c.Phase != state.Stopped {
		t.Fatalf("got %s, up before %v, %v", c.Phase, was, err)
	}
	_, err = h.Computers.Exec(t.Context(), h.caller, env.Computer, Command{Argv: []string{"true"}})
	if !fault.Is(err, fault.Conflict) {
		t.Fatalf("got %v, want a conflict", err)
	}
	follow(t, h, send(t, h, "```bash\necho a message starts it\n```\n"))
}
