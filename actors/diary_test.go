package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/bothy-computer/bothy/actors/actorstest"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// keeping is a diary over records in memory, told by its test.
type keeping struct {
	*Diary
	t    *testing.T
	node *actorstest.Node
	time time.Time
	reg  *prometheus.Registry
}

func newKeeping(t *testing.T) *keeping {
	k := &keeping{t: t, time: time.Date(2026, 3, 30, 12, 0, 0, 0, time.UTC), reg: prometheus.NewRegistry()}
	now := func() time.Time { return k.time }
	node, err := actorstest.NewRecords(now).Join("one")
	if err != nil {
		t.Fatal(err)
	}
	k.node, k.Diary = node, newDiary(node, newMetrics(k.reg), slog.New(slog.DiscardHandler), now)
	return k
}

// said is what the log holds of uses, the oldest first: action by: count detail.
func (k *keeping) said() (said []string) {
	k.t.Helper()
	v := k.node.Stale()
	defer v.Close()
	page, err := v.Audit(state.AuditQuery{Oldest: true, Limit: 1000})
	if err != nil {
		k.t.Fatal(err)
	}
	for _, a := range page.Records {
		if a.Class == state.AuditUse {
			said = append(said, strings.TrimSpace(fmt.Sprintf("%s %s%s %s: %d %s", a.Action, a.By.Key, a.By.Request, a.Resource.ID, a.Count, a.Detail)))
		}
	}
	return said
}

// counted is what a node's metric says in which a label has a value: a counter,
// or how often a histogram was told.
func counted(t *testing.T, from prometheus.Registerer, name, value string) (n float64) {
	t.Helper()
	families, err := from.(prometheus.Gatherer).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetValue() == value {
					n += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
				}
			}
		}
	}
	return n
}

func (k *keeping) counted(result string) float64 {
	k.t.Helper()
	return counted(k.t, k.reg, "bothy_audit_uses_total", result)
}

func (k *keeping) says(want ...string) {
	k.t.Helper()
	if said := k.said(); !slices.Equal(said, want) {
		k.t.Errorf("the log says\n%s\nwant\n%s", strings.Join(said, "\n"), strings.Join(want, "\n"))
	}
}

func by(key state.KeyID, request string) context.Context {
	return state.WithCause(context.Background(), state.Cause{Request: request, Key: key, Account: "acct"})
}

func TestWhatIsDoneOftenIsToldByTheMinute(t *testing.T) {
	k := newKeeping(t)
	for i := range 3 {
		k.Note(by("key_a", fmt.Sprint("/r", i)), state.ExecRun, "acct", "box")
		k.Note(by("key_b", ""), state.FileRead, "acct", "box", fmt.Sprint("file", i), "file0")
	}
	k.tell(t.Context(), retellEvery)
	first := []string{"exec.run key_a/r0 box: 3", "file.read key_b box: 3 file0, file1, file2"}
	said := k.said()
	if slices.Sort(said); !slices.Equal(said, first) {
		t.Fatalf("%q", said)
	}
	for range 59 {
		k.time = k.time.Add(time.Second)
		k.Note(by("key_a", "/again"), state.ExecRun, "acct", "box")
		k.tell(t.Context(), retellEvery)
	}
	if n := len(k.said()); n != 2 {
		t.Fatalf("%d records within a minute", n)
	}
	k.time = k.time.Add(time.Second)
	k.tell(t.Context(), retellEvery)
	if said := k.said(); len(said) != 3 || said[2] != "exec.run key_a/again box: 59" {
		t.Fatalf("%q", said)
	}
	k.time = k.time.Add(retellEvery)
	k.tell(t.Context(), retellEvery)
	if len(k.deeds) != 0 || len(k.each) != 0 {
		t.Errorf("%d things that nobody does are remembered, of %d accounts", len(k.deeds), len(k.each))
	}
	k.Note(by("key_a", ""), state.ExecRun, "acct", "box")
	k.tell(t.Context(), 0) // as the node stops
	if said := k.said(); len(said) != 4 {
		t.Errorf("%q", said)
	}
}

func TestWhoCameBySessionIsThatSession(t *testing.T) {
	k := newKeeping(t)
	k.Note(ThroughSession(t.Context(), state.AccessSession{ID: "sess_1"}), state.TerminalOpen, "acct", "box")
	s := &SSH{diary: k.Diary}
	s.Used(Login{Account: "acct", Computer: "box", Key: "sshkey_1"}, state.SSHLogin, "from here")
	s.Used(Login{Account: "acct", Computer: "box", By: "key of the computer SHA256:x"}, state.SSHShell)
	k.tell(t.Context(), retellEvery)
	said := k.said()
	slices.Sort(said)
	want := []string{"ssh.login  sshkey_1: 1 from here", "ssh.shell  box: 1 key of the computer SHA256:x", "terminal.open  sess_1: 1"}
	if !slices.Equal(said, want) {
		t.Errorf("%q", said)
	}
}

func TestWhatCannotBeToldIsToldLater(t *testing.T) {
	k := newKeeping(t)
	k.node.Fail = func(state.Command) error { return fault.New(fault.Unavailable, "no leader") }
	k.Note(by("key_a", "/first"), state.FileWrite, "acct", "box", "a")
	k.tell(t.Context(), retellEvery)
	k.time = k.time.Add(5 * time.Second)
	k.Note(by("key_a", "/second"), state.FileWrite, "acct", "box", "b")
	k.tell(t.Context(), retellEvery)
	k.node.Fail = nil
	k.tell(t.Context(), retellEvery)
	k.says("file.write key_a/first box: 2 a, b")

	// What may have been told is not told twice.
	k.node.Lose = func(state.Command) error { return fault.New(fault.Unavailable, "lost").WithCode(fault.CodeUnclear) }
	k.Note(by("key_b", ""), state.FileWrite, "acct", "box")
	k.tell(t.Context(), retellEvery)
	k.node.Lose = nil
	k.time = k.time.Add(retellEvery)
	k.tell(t.Context(), retellEvery)
	k.says("file.write key_a/first box: 2 a, b", "file.write key_b box: 1")
	if told, dropped := k.counted("told"), k.counted("dropped"); told != 2 || dropped != 1 {
		t.Errorf("%v told, %v dropped", told, dropped)
	}
}

func TestADiaryIsBounded(t *testing.T) {
	k := newKeeping(t)
	for i := range maxDeedsEach + 7 {
		k.Note(t.Context(), state.ExecRun, "acct_loud", state.ComputerID(fmt.Sprint("box", i)))
	}
	k.Note(t.Context(), state.ExecRun, "acct", "box", strings.Repeat("é", maxNameBytes), "2", "3", "4", "5", "6")
	if n := k.counted("dropped"); n != 7 {
		t.Errorf("%v dropped; one account has no more room than %d", n, maxDeedsEach)
	}
	k.tell(t.Context(), retellEvery)
	if said := k.said(); len(said) != maxDeedsEach+1 {
		t.Errorf("%d records", len(said))
	}
	want := strings.Repeat("é", maxNameBytes/2) + "…, 2, 3, 4, 5 and others"
	if !slices.ContainsFunc(k.said(), func(s string) bool { return strings.HasSuffix(s, want) }) {
		t.Error("the names are not told as they should be")
	}
	k.node.Fail = func(state.Command) error { return errors.New("must not be asked") }
	k.tell(t.Context(), retellEvery) // nothing is due
	if k.mute {
		t.Error("nothing was told")
	}
}
