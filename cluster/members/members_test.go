package members

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/cluster/state"
)

func TestMain(m *testing.M) {
	code := m.Run()
	// The library's last probe may go on for its interval after it is shut down.
	for deadline := time.Now().Add(4 * probeEvery); code == 0; time.Sleep(50 * time.Millisecond) {
		err := goleak.Find()
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			fmt.Println("goroutines are left:", err)
			code = 1
		}
	}
	os.Exit(code)
}

var testKey = bytes.Repeat([]byte{9}, 32)

func open(t *testing.T, change func(*Options)) *Members {
	t.Helper()
	o := Options{
		Node: state.NodeID(uuid.NewString()), Bind: "127.0.0.1:0", Key: testKey,
		Meta:       func() Meta { return Meta{Name: "n", Version: "1"} },
		Log:        slog.New(slog.NewTextHandler(io.Discard, nil)),
		Registerer: prometheus.NewRegistry(),
	}
	if change != nil {
		change(&o)
	}
	m, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func eventually(t *testing.T, what string, fact func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !fact(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 60 s still not: %s", what)
		}
	}
}

func alive(m *Members) (n int) {
	for _, x := range m.List() {
		if x.Alive {
			n++
		}
	}
	return n
}

// seenBy is a member as m sees it.
func seenBy(m *Members, node state.NodeID) Member {
	all := m.List()
	i := slices.IndexFunc(all, func(x Member) bool { return x.Node == node })
	if i < 0 {
		return Member{}
	}
	return all[i]
}

func TestThreeNodesFindEachOther(t *testing.T) {
	var busy atomic.Bool
	var woken atomic.Int32
	a := open(t, func(o *Options) { o.Notify = func() { woken.Add(1) } })
	b := open(t, func(o *Options) {
		o.Meta = func() Meta {
			load := 52
			if busy.Load() {
				load = 90
			}
			return Meta{Name: "b", HTTP: "127.0.0.1:80", Peer: "127.0.0.1:81", Version: "2", Commands: 3,
				LoadPercent: load, FreeMemoryBytes: 5 << 30, FreeDiskBytes: 9 << 30, Images: []uint64{7}}
		}
	})
	c := open(t, nil)
	for _, m := range []*Members{b, c} {
		if err := m.Join([]string{a.Addr()}); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range []*Members{a, b, c} {
		eventually(t, "each sees three", func() bool { return alive(m) == 3 })
	}
	got := seenBy(c, b.o.Node)
	want := Meta{Name: "b", HTTP: "127.0.0.1:80", Peer: "127.0.0.1:81", Version: "2", Commands: 3,
		LoadPercent: 50, FreeMemoryBytes: 5 << 30, FreeDiskBytes: 9 << 30, Images: []uint64{7}}
	if !equal(got.Meta, want) || got.Gossip != b.Addr() {
		t.Fatalf("c sees %+v of b", got)
	}
	if woken.Load() == 0 {
		t.Fatal("a was not told of any change")
	}

	busy.Store(true)
	b.Refresh()
	eventually(t, "c sees that b is busy", func() bool { return seenBy(c, b.o.Node).Meta.LoadPercent == 90 })

	if err := b.Leave(5 * time.Second); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a and c see b gone", func() bool { return alive(a) == 2 && alive(c) == 2 })
	if m := seenBy(a, b.o.Node); m.Node == "" || m.Alive {
		t.Fatalf("a remembers %+v of b", m)
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	open(t, func(o *Options) { o.Registerer = reg })
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Fatalf("%v, %v", problems, err)
	}
	for _, f := range families {
		if f.GetName() == "bothy_members_alive" && f.GetMetric()[0].GetGauge().GetValue() == 1 {
			return
		}
	}
	t.Fatal("a lone node does not count itself alive")
}

func TestLibraryLinesKeepTheirLevel(t *testing.T) {
	var out bytes.Buffer
	log := newLogger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo})))
	log.Printf("[DEBUG] memberlist: detail")
	log.Printf("[WARN] memberlist: was late")
	log.Printf("[ERR] memberlist: failed: %v", "x")
	got := out.String()
	for _, want := range []string{`level=INFO msg="was late"`, `level=WARN msg="failed: x"`} {
		if !strings.Contains(got, want) {
			t.Errorf("%q does not hold %q", got, want)
		}
	}
	if strings.Contains(got, "detail") {
		t.Error("debug lines come as more")
	}
}

func TestDeathIsNoticedAndSeedsAreMetAgain(t *testing.T) {
	a := open(t, nil)
	b := open(t, func(o *Options) { o.Seeds = func() []string { return []string{a.Addr()} } })
	b.meetSeeds()
	eventually(t, "both see both", func() bool { return alive(a) == 2 && alive(b) == 2 })
	if missing := b.roster.missing([]string{a.Addr(), "127.0.0.1:1"}); !slices.Equal(missing, []string{"127.0.0.1:1"}) {
		t.Fatalf("missing seeds: %v", missing)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a sees b dead for long enough", func() bool {
		m := seenBy(a, b.o.Node)
		return !m.Alive && time.Since(m.Since) > reclaimAfter
	})
	again := open(t, func(o *Options) {
		o.Node, o.Seeds = b.o.Node, func() []string { return []string{a.Addr()} }
	})
	again.meetSeeds()
	eventually(t, "b is back at another port", func() bool { return alive(a) == 2 })
}

func TestAnotherClustersKeyIsNotHeard(t *testing.T) {
	a := open(t, nil)
	b := open(t, func(o *Options) { o.Key = bytes.Repeat([]byte{1}, 32) })
	if err := b.Join([]string{a.Addr()}); err == nil {
		t.Fatal("a node with another key joined")
	}
	if alive(a) != 1 || alive(b) != 1 {
		t.Fatal("they see each other")
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"a short key":         func(o *Options) { o.Key = testKey[:16] },
		"a bad bind address":  func(o *Options) { o.Bind = "127.0.0.1" },
		"a bad port":          func(o *Options) { o.Bind = "127.0.0.1:99999" },
		"a bad advertisement": func(o *Options) { o.Advertise = "x" },
		"too long a name":     func(o *Options) { o.Meta = func() Meta { return Meta{Name: strings.Repeat("x", 65)} } },
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Node: "n", Bind: "127.0.0.1:0", Key: testKey, Meta: func() Meta { return Meta{} }}
			change(&o)
			if m, err := Open(o); err == nil {
				m.Close()
				t.Fatal("it opened")
			}
		})
	}
}

func equal(a, b Meta) bool {
	images := slices.Equal(a.Images, b.Images)
	a.Images, b.Images = nil, nil
	return images && a.Name == b.Name && a.HTTP == b.HTTP && a.Peer == b.Peer && a.Version == b.Version &&
		a.Commands == b.Commands && a.LoadPercent == b.LoadPercent && a.FreeMemoryBytes == b.FreeMemoryBytes &&
		a.FreeDiskBytes == b.FreeDiskBytes
}

func TestMetaFitsAndComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 16, maxTextBytes)
		m := Meta{
			Name: text.Draw(t, "name"), HTTP: text.Draw(t, "http"), Peer: text.Draw(t, "peer"), Version: text.Draw(t, "version"),
			Commands: rapid.IntRange(0, 1<<20).Draw(t, "commands"), LoadPercent: loadStep * rapid.IntRange(0, 1000).Draw(t, "load"),
			FreeMemoryBytes: memoryStepBytes * rapid.Int64Range(0, 1<<20).Draw(t, "memory"),
			FreeDiskBytes:   diskStepBytes * rapid.Int64Range(0, 1<<20).Draw(t, "disk"),
			Images:          rapid.SliceOfN(rapid.Uint64(), 0, MaxImages).Draw(t, "images"),
		}
		b, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeMeta(b)
		if err != nil || !equal(got, m) {
			t.Fatalf("%+v came back as %+v, %v", m, got, err)
		}
	})
}

func TestTheLargestMetaFits(t *testing.T) {
	long := strings.Repeat("x", maxTextBytes)
	images := make([]uint64, 2*MaxImages)
	for i := range images {
		images[i] = 1 << 63
	}
	b, err := Meta{Name: long, HTTP: long, Peer: long, Version: long, Commands: 1 << 30, LoadPercent: 1 << 40,
		FreeMemoryBytes: 1 << 62, FreeDiskBytes: 1 << 62, Images: images}.encode()
	if err != nil || len(b) > memberlist.MetaMaxSize {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
}

func FuzzDecodeMeta(f *testing.F) {
	b, err := Meta{Name: "n", Images: []uint64{1}}.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{0xa1, 0x09, 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := decodeMeta(b); err == nil && (m.FreeMemoryBytes < 0 || m.FreeDiskBytes < 0 || m.LoadPercent < 0) {
			t.Fatalf("negative figures: %+v", m)
		}
	})
}
