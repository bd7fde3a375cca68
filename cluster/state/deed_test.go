package state

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// unaudited are the commands that nobody is told of: what runs do, what nodes
// report, what the cluster does by the clock, and what limits count. A new
// command is audited, or is named here.
var unaudited = []string{
	"take-incarnation", "renew-lease", "expire-lease", "take-requests", "return-requests",
	"resized", "claim", "set-phase", "record-usage", "create-thread", "patch-thread", "copy-thread", "start-run",
	"cancel-run", "append", "snapshot-made", "snapshot-gone", "keep-disk", "drop-disk", "record-probes", "use-ssh-key",
	"claim-build", "begin-build", "append-build-log", "finish-build", "release-build", "record-delivery", "reseal",
	"move-rotation", "record-diff", "fire", "end-pull", "sweep", "hand-over", "save-disk", "dirty-disk", "restore-disk",
	"disk-kept", "snapshot-saved", "reach-store", "record-uses", "give-disk", "return-disk",
}

func TestEveryCommandIsAuditedOrNamed(t *testing.T) {
	f := newFixture(t)
	for name, k := range kinds {
		cmd := reflect.New(k.typ).Elem()
		if c := cmd.FieldByName("Computer"); name == "start-task" {
			c.Set(reflect.ValueOf(&Computer{}))
		}
		if w := cmd.FieldByName("Wish"); name == "set-wish" {
			w.SetString(string(WishStopped))
		}
		d, err := deedOf(f.view(), f.view(), cmd.Interface().(Command))
		audited := d != nil || err != nil || name == "create-environment" // which may have made nothing
		if audited == slices.Contains(unaudited, name) {
			t.Errorf("%s: audited %v, named as not audited %v", name, audited, !audited)
		}
	}
}

// asked applies a command for a request.
func (f *fixture) asked(by Cause, cmd Command) {
	f.tb.Helper()
	if err := f.entry(f.propose(n1, cmd).For(by)).Results[0].Err(); err != nil {
		f.tb.Fatalf("%T: %v", cmd, err)
	}
}

// trail is what an account's audit says, the oldest first: action resource [on computer]: detail.
func (f *fixture) trail(q AuditQuery) (said []string) {
	f.tb.Helper()
	q.Oldest, q.Limit = true, 1000
	for _, a := range got(f, func(v *View) (AuditPage, error) { return v.Audit(q) }).Records {
		said = append(said, strings.TrimSpace(fmt.Sprintf("%s %s/%s %s %s", a.Action, a.Resource.Kind, a.Resource.ID, a.Computer, a.Detail)))
	}
	return said
}

var anna = Cause{Request: "req_1", Account: acct, User: "user_a", Key: "key_a"}

func TestChangesAreAudited(t *testing.T) {
	f := newFixture(t)
	start := f.now.Add(time.Second)
	f.pass(time.Minute)
	session := AccessSession{ID: "sess_1", Computer: comp, Kind: BrowserSession, Hash: "h1"}
	f.asked(anna, CreateKey{Key: Key{ID: "key_2", Hash: "secrethash", Prefix: "tb_ab", Name: "ci", Account: acct, User: "user_a", Scopes: []string{"threads:read"}}})
	f.asked(anna, RevokeKey{Account: acct, ID: "key_2"})
	f.asked(anna, AddCredit{Account: acct, Charge: "rec_1", Amount: 2_500_000})
	f.asked(anna, SetLimits{Account: acct, SetDaily: true, Daily: ptr(MicroUSD(3_000_000)), SetMonthly: true})
	e := got(f, func(v *View) (Environment, error) { return v.Environment(acct, env) })
	e.Secrets = []Sealed{{"TOKEN", []byte("sealed-1")}, {"OLD", []byte("sealed-2")}}
	f.asked(anna, UpdateEnvironment{Environment: e, Seen: e.Version})
	e.Secrets = []Sealed{{"TOKEN", []byte("sealed-3")}}
	f.asked(anna, UpdateEnvironment{Environment: e, Seen: e.Version + 1})
	f.asked(anna, SetWish{Account: acct, Computer: comp, Wish: WishRunning})
	f.asked(anna, CreateShare{Share: Share{ID: "share_1", Account: acct, Computer: comp, Hash: "hash", AllowBrowser: true}})
	f.asked(Cause{Request: "req_2"}, RedeemShare{Hash: "hash", Session: session, TTL: time.Hour})
	f.asked(anna, RevokeShare{Account: acct, Computer: comp, ID: "share_1"})
	f.ok(n1, SetWish{Account: acct, Computer: comp, Wish: WishStopped})
	f.asked(anna, SetWish{Account: acct, Computer: comp, Wish: WishDeleted})
	want := []string{
		"key.create key/key_2  ci (tb_ab…), user user_a, scopes threads:read",
		"key.revoke key/key_2",
		"budget.credit budget/acct_a  $2.500000",
		"budget.limits budget/acct_a  daily $3.000000, monthly none",
		"environment.update environment/env_a  secrets set: TOKEN OLD",
		"environment.update environment/env_a  secrets set: TOKEN; secrets removed: OLD",
		"computer.start computer/comp_a comp_a",
		"share.create share/share_1 comp_a browser",
		"share.redeem share/share_1 comp_a browser session sess_1",
		"share.revoke share/share_1 comp_a",
		"computer.stop computer/comp_a comp_a",
		"computer.delete computer/comp_a comp_a",
	}
	if all := f.trail(AuditQuery{Account: ptr(acct), Since: start}); !slices.Equal(all, want) {
		t.Errorf("audited:\n%s\nwant:\n%s", strings.Join(all, "\n"), strings.Join(want, "\n"))
	}
	for name, tt := range map[string]struct {
		q    AuditQuery
		want int
	}{
		"of another account":  {AuditQuery{Account: ptr(other), Since: start}, 0},
		"of every account":    {AuditQuery{Since: start}, 12},
		"by a key":            {AuditQuery{Actor: "key_a"}, 10},
		"by a user":           {AuditQuery{Actor: "user_a"}, 10},
		"by a node":           {AuditQuery{Account: ptr(acct), Actor: string(n1)}, 1},
		"one action":          {AuditQuery{Action: "key.revoke"}, 1},
		"a noun's":            {AuditQuery{Action: "budget."}, 2},
		"a noun without dot":  {AuditQuery{Action: "budget"}, 0},
		"of a computer":       {AuditQuery{Resource: string(comp), Since: start}, 6},
		"with its kind":       {AuditQuery{Resource: "computer/" + string(comp), Since: start}, 6},
		"of a share":          {AuditQuery{Resource: "share/share_1"}, 3},
		"before all of it":    {AuditQuery{Account: ptr(acct), Since: start, Until: start}, 0},
		"the cluster's":       {AuditQuery{Account: ptr(AccountID("")), Action: "node."}, 2},
		"of nobody":           {AuditQuery{Actor: "user_b"}, 0},
		"the wrong kind's id": {AuditQuery{Resource: "key/share_1"}, 0},
	} {
		if n := len(f.trail(tt.q)); n != tt.want {
			t.Errorf("%s: %d records; want %d", name, n, tt.want)
		}
	}
	f.check()
}

func TestWhatChangedNothingIsNotAudited(t *testing.T) {
	f := newFixture(t)
	f.asked(anna, CreateKey{Key: Key{ID: "key_2", Hash: "h", Account: acct, User: "user_a"}})
	p := f.propose(n1, RevokeKey{Account: acct, ID: "key_2"}).For(anna)
	f.entry(p)
	f.pass(time.Second)
	f.entry(p)                                                               // sent again
	f.asked(anna, RevokeKey{Account: acct, ID: "key_2"})                     // asked again
	f.entry(f.propose(n1, RevokeKey{Account: other, ID: "key_2"}).For(anna)) // refused
	f.asked(anna, CreateEnvironment{Environment: Environment{ID: "env_x", Account: acct, Default: true}, Computer: Computer{ID: "comp_x"}})
	f.asked(anna, CreateEnvironment{Environment: Environment{ID: "env_y", Account: acct, Default: true}, Computer: Computer{ID: "comp_y"}, IfNoDefault: true})
	if n := len(f.trail(AuditQuery{Action: "key.revoke"})); n != 1 {
		t.Errorf("a revoked key is audited %d times", n)
	}
	if n := len(f.trail(AuditQuery{Account: ptr(acct), Action: "environment.create", Resource: "env_y"})); n != 0 {
		t.Error("an environment that was not made is audited")
	}
}

func TestOlderClustersAuditNothing(t *testing.T) {
	f := newFixture(t)
	b, err := Encode(Cluster{ID: "c1", Version: auditVersion - 1})
	if err != nil {
		t.Fatal(err)
	}
	f.store.Set(keyCluster, b)
	before := len(f.trail(AuditQuery{}))
	f.do(CreateKey{Key: Key{ID: "key_2", Hash: "h", Account: acct, User: "user_a"}})
	if n := len(f.trail(AuditQuery{})); n != before {
		t.Errorf("%d records, before %d", n, before)
	}
	f.do(RaiseVersion{Version: CommandVersion})
	f.do(RevokeKey{Account: acct, ID: "key_2"})
	if all := f.trail(AuditQuery{})[before:]; len(all) != 1 || !strings.HasPrefix(all[0], "key.revoke") {
		t.Errorf("since the cluster is at %d: %q", CommandVersion, all)
	}
}

func TestAuditIsSwept(t *testing.T) {
	f := newFixture(t)
	made := len(f.trail(AuditQuery{}))
	f.pass(AuditKept)
	if due := got(f, func(v *View) (bool, error) { return some(v.r, &audits, "age", f.now.Add(-AuditKept)) }); due {
		t.Error("swept too early")
	}
	f.do(AddCredit{Account: acct, Charge: "rec_1", Amount: 1})
	f.pass(time.Second)
	f.do(Sweep{})
	if all := f.trail(AuditQuery{}); made < 5 || len(all) != 1 {
		t.Errorf("of %d records and a new one are left: %q", made, all)
	}
	f.check()
}

func TestOldestAuditRecordMakesRoom(t *testing.T) {
	f := newFixture(t)
	// The counter stands in for the records that it counts.
	count := audits.countKey("changes", []string{string(other)})
	f.store.Set(count, encodeUint(MaxAuditRecords))
	first := f.trail(AuditQuery{Account: ptr(other)})
	f.do(AddCredit{Account: other, Charge: "rec_1", Amount: 1})
	if all := f.trail(AuditQuery{Account: ptr(other)}); len(all) != len(first) || all[0] != first[1] || !strings.HasPrefix(all[len(all)-1], "budget.credit") {
		t.Errorf("%q; before %q", all, first)
	}
	if n := got(f, func(v *View) (int, error) { return audits.count(v.r, "changes", string(other)) }); n != MaxAuditRecords {
		t.Errorf("%d records are counted", n)
	}
}

// Pages of any size, in both orders, hold the same records as one.
func TestAuditPages(t *testing.T) {
	f := newFixture(t)
	for i := range 23 {
		f.pass(time.Second)
		f.asked(anna, AddCredit{Account: acct, Charge: ChargeID(fmt.Sprint("rec_", i)), Amount: 1})
	}
	rapid.Check(t, func(rt *rapid.T) {
		q := AuditQuery{Oldest: rapid.Bool().Draw(rt, "oldest"), Limit: 1000}
		if rapid.Bool().Draw(rt, "one account") {
			q.Account = ptr(acct)
		}
		if rapid.Bool().Draw(rt, "since") {
			q.Since = f.now.Add(-time.Duration(rapid.IntRange(0, 30).Draw(rt, "seconds")) * time.Second)
		}
		if rapid.Bool().Draw(rt, "until") {
			q.Until = f.now.Add(-time.Duration(rapid.IntRange(0, 30).Draw(rt, "until seconds")) * time.Second)
		}
		whole := got(f, func(v *View) (AuditPage, error) { return v.Audit(q) })
		if whole.Next != 0 {
			rt.Fatalf("a whole page has a next: %d", whole.Next)
		}
		var parts []AuditRecord
		q.Limit = rapid.IntRange(1, 7).Draw(rt, "limit")
		for {
			page := got(f, func(v *View) (AuditPage, error) { return v.Audit(q) })
			parts = append(parts, page.Records...)
			if q.Cursor = page.Next; q.Cursor == 0 {
				break
			}
		}
		if len(parts) != len(whole.Records) {
			rt.Fatalf("%d records in pages of %d, %d at once", len(parts), q.Limit, len(whole.Records))
		}
		for i := range parts {
			if parts[i].Seq != whole.Records[i].Seq || i > 0 && (parts[i].Seq > parts[i-1].Seq) != q.Oldest {
				rt.Fatalf("record %d is %d; at once %d", i, parts[i].Seq, whole.Records[i].Seq)
			}
		}
	})
}
