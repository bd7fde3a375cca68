package state

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

func TestTimesAndBytesSurviveWhole(t *testing.T) {
	in := Event{At: midday.In(time.FixedZone("x", 3600)), Text: "caf\xe9 \x00 \xff", Path: "/a\xffb"}
	b, err := Encode(in)
	if err != nil {
		t.Fatal(err)
	}
	var out Event
	if err := Decode(b, &out); err != nil {
		t.Fatal(err)
	}
	if !out.At.Equal(in.At) || out.At.Location() != time.UTC || out.Text != in.Text || out.Path != in.Path {
		t.Fatalf("%+v became %+v", in, out)
	}
}

func TestEveryKindIsReadBack(t *testing.T) {
	for name, k := range kinds {
		cmd := reflect.Zero(k.typ).Interface().(Command)
		p, err := Propose(CommandID{}, 0, cmd)
		if err != nil || p.Kind != name || KindOf(cmd) != name || VersionOf(cmd) < 1 || VersionOf(cmd) > CommandVersion {
			t.Errorf("%s: %v, %q, version %d", name, err, p.Kind, VersionOf(cmd))
			continue
		}
		if back, err := p.decode(); err != nil || reflect.TypeOf(back) != k.typ {
			t.Errorf("%s is read back as %T: %v", name, back, err)
		}
	}
	if len(names) != len(kinds) {
		t.Errorf("%d kinds for %d commands: a command is registered twice", len(kinds), len(names))
	}
}

type stranger struct{ Command }

func TestProposeRefuses(t *testing.T) {
	tests := map[string]struct {
		cmd  Command
		kind fault.Kind
	}{
		"a command nobody knows":       {stranger{}, fault.Internal},
		"more than an entry holds":     {CreateThread{Thread: Thread{Title: string(make([]byte, MaxEntryBytes))}}, fault.TooLarge},
		"a time that cannot be read":   {CreateKey{Key: Key{ExpiresAt: time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)}}, fault.Invalid},
		"the year before the calendar": {CreateKey{Key: Key{ExpiresAt: time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)}}, fault.Invalid},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Propose(CommandID{}, 0, tt.cmd); !fault.Is(err, tt.kind) {
				t.Fatalf("%v; want %s", err, tt.kind)
			}
		})
	}
}

func TestApplyStopsAtWhatItCannotRead(t *testing.T) {
	f := newFixture(t)
	future, err := Encode(Entry{Proposals: []Proposal{{Kind: "from-the-future", Body: []byte{0xa0}}}})
	if err != nil {
		t.Fatal(err)
	}
	before := f.store.Clone()
	if _, err := Apply(f.store, f.index+1, future); !errors.Is(err, ErrUnknownKind) {
		t.Fatalf("%v; want ErrUnknownKind", err)
	}
	if _, err := Apply(f.store, f.index+1, []byte("no entry")); err == nil {
		t.Fatal("applied nonsense")
	}
	if diff := f.store.Diff(before); diff != "" {
		t.Fatal(diff)
	}
}

func TestTimeNeverGoesBack(t *testing.T) {
	f := newFixture(t)
	stamp := f.now
	f.pass(-time.Hour)
	f.do(CreateToken{Hash: "late"})
	token, _, err := tokens.find(f.store, "late")
	if err != nil || !token.ExpiresAt.Equal(stamp.Add(TokenLifetime)) {
		t.Fatalf("the token expires at %v (%v); want an hour after %v", token.ExpiresAt, err, stamp)
	}
	if last, err := LastStamp(f.store); err != nil || last != stamp.UnixNano() {
		t.Fatalf("last stamp %d, %v", last, err)
	}
}

func TestSkipMovesTheIndexOnce(t *testing.T) {
	f := newFixture(t)
	for _, index := range []uint64{f.index + 5, f.index + 5, f.index} {
		if err := Skip(f.store, index); err != nil {
			t.Fatal(err)
		}
	}
	if at, err := f.view().AppliedIndex(); err != nil || at != f.index+5 {
		t.Fatalf("applied index %d, %v; want %d", at, err, f.index+5)
	}
	b, err := Encode(Entry{Proposals: []Proposal{f.propose(n1, CreateToken{Hash: "old"})}})
	if err != nil {
		t.Fatal(err)
	}
	if done, err := Apply(f.store, f.index+5, b); err != nil || len(done.Results) != 0 {
		t.Fatalf("an entry behind the index did something: %+v, %v", done, err)
	}
}

func TestEachProposalFailsAlone(t *testing.T) {
	f := newFixture(t)
	done := f.entry(
		f.propose(n1, CreateAgent{Agent: Agent{ID: "agent_1", Account: acct}}),
		f.propose(n1, CreateAgent{Agent: Agent{ID: "agent_1", Account: other}}),
		f.propose(n1, CreateAgent{Agent: Agent{ID: "agent\x00", Account: acct}}),
		f.propose(n1, CreateAgent{Agent: Agent{ID: "agent_2", Account: acct}}))
	for i, kind := range []fault.Kind{"", fault.Conflict, fault.Invalid, ""} {
		if err := done.Results[i].Err(); (err == nil) != (kind == "") || err != nil && !fault.Is(err, kind) {
			t.Errorf("command %d: %v; want %q", i, err, kind)
		}
	}
	list, err := f.view().Agents(acct, Page{Limit: 9}, nil)
	if err != nil || list.Total != 2 || len(list.Items) != 2 {
		t.Fatalf("%+v, %v; want two agents", list, err)
	}
	f.check()
}

// Whatever an entry's bytes are, applying them returns: with an error, or with
// records that still add up.
func FuzzApply(f *testing.F) {
	seed := newFixture(f)
	epoch := seed.claim(comp, n1)
	seed.startRun("thread_1", "run_1", 1000)
	kindNames := make([]string, 0, len(kinds))
	for name := range kinds {
		kindNames = append(kindNames, name)
	}
	for _, cmd := range []Command{
		Append{Thread: "thread_1", Run: "run_1", Epoch: epoch, FirstSeq: 1, Events: []Event{{Kind: EventText, Text: "x"}},
			Settle: &Settlement{Reservation: "resv_run_1", Charge: "rec_1", Cost: 7}, Finish: &Finish{Status: RunSuccess, Message: "m", Content: "c"}},
		RecordUsage{Ticks: []Tick{{Computer: comp, Epoch: epoch, Metered: Metered{Cost: 5}, Charge: "rec_2", Next: "resv_2", Amount: 9}}},
		TakeRequests{Scope: "s", Limit: 3, Span: time.Minute, Want: 2}, startRun("thread_2", "run_2", -5),
		CopyThread{Account: acct, From: "thread_1", To: "thread_3"}, UpdateEnvironment{Environment: Environment{ID: env, Account: acct}, Seen: 1},
	} {
		b, err := Encode(cmd)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(KindOf(cmd), b)
	}
	for _, name := range kindNames {
		f.Add(name, []byte{0xa0})             // {}
		f.Add(name, []byte{0xf6})             // null
		f.Add(name, []byte{0xa1, 0x01, 0x9f}) // cut off
	}
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		Apply(seed.store.Clone(), seed.index+1, body)
		p := Proposal{ID: CommandID{Node: n1, Incarnation: 1, Counter: 1 << 40}, Kind: name, Body: body}
		b, err := Encode(Entry{Stamp: midday.UnixNano(), Proposals: []Proposal{p}})
		if err != nil {
			return // the body is no CBOR
		}
		store := seed.store.Clone()
		if _, err := Apply(store, seed.index+1, b); err != nil {
			return
		}
		if err := errors.Join(auditIndexes(store), auditRuns(store)); err != nil {
			t.Fatal(err)
		}
	})
}
