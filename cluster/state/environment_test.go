package state

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// However defaults are set, from several nodes and twice, the last one that
// succeeded is the default, the only one, and first in the list.
func TestOneDefault(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := newFixture(rt)
		ids := []EnvironmentID{env}
		for i := range 4 {
			ids = append(ids, EnvironmentID(fmt.Sprint("env_", i)))
			f.makeEnvironment(acct, ids[i+1], ComputerID(fmt.Sprint("comp_", i)))
			f.pass(1)
		}
		var want EnvironmentID
		for range rapid.IntRange(1, 20).Draw(rt, "steps") {
			id := rapid.SampledFrom(ids).Draw(rt, "environment")
			e, _ := f.view().Environment(acct, id)
			var cmd Command = SetDefaultEnvironment{Account: acct, Environment: id}
			becomes := id
			switch rapid.IntRange(0, 3).Draw(rt, "how") {
			case 0:
				seen := e.Version
				e.Default, e.Inactive = rapid.Bool().Draw(rt, "default"), rapid.Bool().Draw(rt, "inactive")
				cmd = UpdateEnvironment{Environment: e, Seen: seen}
				if becomes = want; e.Default && !e.Inactive {
					becomes = id
				} else if want == id {
					becomes = ""
				}
			}
			p := f.propose(rapid.SampledFrom([]NodeID{n1, n2, n3}).Draw(rt, "node"), cmd)
			if f.entry(p, p).Results[0].Err() == nil {
				want = becomes
			}
			have, ok, err := f.view().DefaultEnvironment(acct)
			if err != nil || have.ID != want || ok != (want != "") {
				rt.Fatalf("the default is %q (%v); want %q", have.ID, err, want)
			}
			f.check()
		}
	})
}

func TestEnvironmentRefusals(t *testing.T) {
	f := newFixture(t)
	e := got(f, func(v *View) (Environment, error) { return v.Environment(acct, env) })
	e.Inactive, e.Computer = true, "comp_of_another"
	f.refused(n1, UpdateEnvironment{Environment: e, Seen: 9}, fault.Conflict, CodeChanged)
	f.refused(n1, UpdateEnvironment{Environment: Environment{ID: env, Account: other}, Seen: 1}, fault.NotFound, "")
	f.ok(n1, UpdateEnvironment{Environment: e, Seen: 1})
	if e := got(f, func(v *View) (Environment, error) { return v.Environment(acct, env) }); e.Computer != comp {
		t.Fatalf("an update gave it the computer %s", e.Computer)
	}
	f.refused(n1, SetDefaultEnvironment{Account: acct, Environment: env}, fault.Conflict, "")
	f.refused(n1, startRun("t", "r", 0), fault.Conflict, "")
	f.refused(n1, CreateThread{Thread: Thread{ID: "t", Account: acct, Environment: env}}, fault.Conflict, "")
	f.refused(n1, DeleteEnvironment{Account: other, Environment: env}, fault.NotFound, "")
	f.refused(n1, CreateEnvironment{Environment: Environment{ID: env, Account: other}, Computer: Computer{ID: "c"}}, fault.Conflict, CodeExists)
	f.refused(n1, CreateEnvironment{Environment: Environment{ID: "e", Account: other}, Computer: Computer{ID: comp}}, fault.Conflict, CodeExists)
	f.check()
}

func TestDefaultIsMadeOnce(t *testing.T) {
	f := newFixture(t)
	create := func(id string, key *Idempotency) Made {
		var made Made
		f.reply(f.ok(n1, CreateEnvironment{Environment: Environment{ID: EnvironmentID("env_" + id), Account: acct, Default: true},
			Computer: Computer{ID: ComputerID("comp_" + id)}, IfNoDefault: true, Idempotency: key}), &made)
		return made
	}
	first := create("1", nil)
	key := &Idempotency{Key: "k", Hash: "h"}
	for _, again := range []Made{create("2", nil), create("3", key), create("4", key)} {
		if again.Resource != first.Resource || !again.Replayed {
			t.Fatalf("%+v; want %+v", again, first)
		}
	}
	f.check()
}

func TestEgressReachesTheComputer(t *testing.T) {
	f := newFixture(t)
	f.ok(n1, SetWish{Account: acct, Computer: comp, Wish: WishRunning})
	for version, no := range []bool{true, false} {
		f.ok(n1, UpdateEnvironment{Environment: Environment{ID: env, Account: acct, NoInternet: no}, Seen: uint64(version + 1)})
		if c := f.computer(comp); c.Egress == no || c.Wish != WishRunning {
			t.Fatalf("egress %v, wish %s", c.Egress, c.Wish)
		}
	}
	rules := NetworkRules{Allow: []string{"a.example", "192.0.2.0/24"}, Deny: []string{"b.example"}}
	for _, want := range []NetworkRules{rules, rules, {Deny: rules.Deny}} {
		f.ok(n1, UpdateEnvironment{Environment: Environment{ID: env, Account: acct, Network: want}, Seen: got(f, func(v *View) (Environment, error) { return v.Environment(acct, env) }).Version})
		if c := f.computer(comp); !c.Network.Equal(want) || !c.Egress || c.Wish != WishRunning {
			t.Fatalf("rules %+v, want %+v", c.Network, want)
		}
	}
	many := NetworkRules{Deny: make([]string, MaxNetworkRules+1)}
	long := NetworkRules{Allow: []string{strings.Repeat("a", MaxNetworkBytes)}, Deny: []string{"b"}}
	for _, wrong := range []NetworkRules{many, long} {
		f.refused(n1, UpdateEnvironment{Environment: Environment{ID: env, Account: acct, Network: wrong}, Seen: 6}, fault.Invalid, "")
		f.refused(n1, CreateEnvironment{Environment: Environment{ID: "env_x", Account: acct, Network: wrong}, Computer: Computer{ID: "comp_x"}}, fault.Invalid, "")
	}
	f.ok(n1, UpdateEnvironment{Environment: Environment{ID: env, Account: acct, Inactive: true}, Seen: 6})
	if c := f.computer(comp); c.Wish != WishStopped {
		t.Fatalf("wish %s in an inactive environment", c.Wish)
	}
}
