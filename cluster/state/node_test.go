package state

import (
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

func TestIncarnations(t *testing.T) {
	f := newFixture(t)
	f.ok(n1, RevokeKey{Account: acct, ID: "key_a"})
	old := f.propose(n1, CreateAgent{Agent: Agent{ID: "agent_old", Account: acct}})
	take := f.propose("", TakeIncarnation{Node: n1, Nonce: "second"})
	for range 2 {
		var life uint64
		f.reply(f.entry(take).Results[0], &life)
		if life != 2 {
			t.Fatalf("incarnation %d; want 2, twice", life)
		}
	}
	f.life[n1], f.counter[n1] = 2, 0
	if err := f.entry(old).Results[0].Err(); !fault.Is(err, fault.Moved) {
		t.Fatalf("an earlier life's command: %v", err)
	}
	over := key("result", string(n1), encodeText(1))
	f.store.Scan(over, after(over), false, func(k, _ []byte) bool { t.Errorf("a result of the life before is kept: %q", k); return true })
	f.refused("", RenewLease{Node: n1, Incarnation: 1}, fault.Moved, "")
	f.ok("", RenewLease{Node: n1, Incarnation: 2})
	f.check()
}

func TestLeaseExpiry(t *testing.T) {
	f := newFixture(t)
	f.refused("", ExpireLease{Node: n1, Renewal: f.node(n1).Renewal - 1}, fault.Conflict, "")
	f.refused("", ExpireLease{Node: "none"}, fault.NotFound, "")
	expire := ExpireLease{Node: n1, Renewal: f.node(n1).Renewal}
	f.do(expire)
	f.do(expire) // twice is success
	if f.node(n1).Leased() {
		t.Fatal("still leased")
	}
	f.refused("", RenewLease{Node: n1, Incarnation: 1}, fault.Moved, "")
	f.refused(n1, CreateAgent{Agent: Agent{ID: "agent_1", Account: acct}}, fault.Moved, "")
	f.begin(n1)
	f.refused("", expire, fault.Conflict, "") // sent again, it must not end the next life
	if !f.node(n1).Leased() {
		t.Fatal("the next life has no lease")
	}
	f.check()
}

func TestAdmission(t *testing.T) {
	f := newFixture(t)
	admit := func(token, id, name, key string) AdmitNode {
		return AdmitNode{Token: token, Node: Node{ID: NodeID(id), Name: name, KeyHash: []byte(key)}}
	}
	f.do(CreateToken{Hash: "t4"})
	f.refused("", admit("t4", "n4", "one", "k4"), fault.Conflict, "")  // the name is n1's
	f.refused("", admit("t4", "n1", "x", "other"), fault.Conflict, "") // the id is n1's
	f.refused("", admit("t4", "n4", "four", ""), fault.Invalid, "")    // no key: the token would never be used up
	f.refused("", admit("none", "n4", "four", "k4"), fault.Unauthorized, "")
	f.do(admit("t4", "n4", "four", "k4"))
	f.do(admit("t4", "n4", "four", "k4"))
	f.do(CreateToken{Hash: "t4"}) // sent again, it does not make the token new
	f.refused("", admit("t4", "n5", "five", "k5"), fault.Unauthorized, "")
	f.do(RemoveNode{Node: "n4"})
	f.do(RemoveNode{Node: "n4"})
	f.refused("", admit("t4", "n4", "four", "k4"), fault.Unauthorized, "") // no member any more, and the token is used
	f.do(CreateToken{Hash: "t5"})
	f.pass(TokenLifetime)
	f.refused("", admit("t5", "n5", "five", "k5"), fault.Unauthorized, "")
	f.check()
}

// A member that joins again with a new token keeps its incarnation: else its
// next life's commands would find its last life's results.
func TestAdmittedAgainKeepsItsLife(t *testing.T) {
	f := newFixture(t)
	f.ok(n2, CreateAgent{Agent: Agent{ID: "agent_1", Account: acct}})
	before := f.node(n2)
	f.do(CreateToken{Hash: "again"})
	f.do(AdmitNode{Token: "again", Node: Node{ID: n2, Name: "renamed", KeyHash: []byte(n2), PeerAddr: "p"}})
	after := f.node(n2)
	if after.Incarnation != before.Incarnation || after.Renewal != before.Renewal || !after.Leased() || after.Name != "renamed" || after.PeerAddr != "p" {
		t.Fatalf("%+v became %+v", before, after)
	}
	f.ok(n2, CreateAgent{Agent: Agent{ID: "agent_2", Account: acct}})
	f.check()
}

func TestRemoveNodeThatOwnsComputers(t *testing.T) {
	f := newFixture(t)
	f.claim(comp, n1)
	f.refused("", RemoveNode{Node: n1}, fault.Conflict, "")
	f.ok(n1, HandOver{Computer: comp, Epoch: 1, To: n2})
	f.do(RemoveNode{Node: n1})
	if list, err := f.view().Nodes(); err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	f.check()
}

func TestResultsAreForgottenOnceAcknowledged(t *testing.T) {
	f := newFixture(t)
	var ps []Proposal
	for _, id := range []AgentID{"agent_1", "agent_2", "agent_3"} {
		ps = append(ps, f.propose(n1, CreateAgent{Agent: Agent{ID: id, Account: acct}}))
	}
	f.entry(ps...)
	if again := f.entry(ps[0]); again.Results[0].Err() != nil || len(again.Changes) != 0 {
		t.Fatalf("sent again: %+v", again)
	}
	p := f.propose(n1, RevokeKey{Account: acct, ID: "key_a"})
	p.Acked = ps[1].ID.Counter
	f.entry(p)
	for i, wantMoved := range []bool{true, true, false} {
		err := f.entry(ps[i]).Results[0].Err()
		if fault.Is(err, fault.Moved) != wantMoved || !wantMoved && err != nil {
			t.Errorf("command %d sent again: %v", i+1, err)
		}
		if b, _ := f.store.Get(resultKey(ps[i].ID)); (b == nil) != wantMoved {
			t.Errorf("result %d: %x", i+1, b)
		}
	}
	f.check()
}

func TestKeyEnds(t *testing.T) {
	f := newFixture(t)
	k, ok, err := f.view().KeyByHash("hash_a")
	if err != nil || !ok || !k.Valid(f.now) {
		t.Fatalf("%+v, %v, %v", k, ok, err)
	}
	f.do(RevokeKey{Account: acct, ID: k.ID})
	f.pass(time.Second)
	f.do(RevokeKey{Account: acct, ID: k.ID})
	k, _, _ = f.view().KeyByHash("hash_a")
	if k.Valid(f.now) || !k.RevokedAt.Equal(midday) {
		t.Fatalf("%+v", k)
	}
	f.refused("", RevokeKey{Account: other, ID: k.ID}, fault.NotFound, "")
	f.refused("", CreateKey{Key: Key{ID: "k", Account: other, User: "user_a"}}, fault.NotFound, "")
}
