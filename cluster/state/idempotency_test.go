package state

import (
	"testing"

	"github.com/bothy-computer/bothy/cluster/fault"
)

func TestIdempotencyKeysGiveTheSameThing(t *testing.T) {
	f := newFixture(t)
	once := &Idempotency{Key: "k", Hash: "h"}
	create := func(n NodeID, id AgentID, i *Idempotency) Made {
		var made Made
		f.reply(f.ok(n, CreateAgent{Agent: Agent{ID: id, Account: acct}, Idempotency: i}), &made)
		return made
	}
	if made := create(n1, "agent_1", once); made.Replayed || made.Resource.ID != "agent_1" {
		t.Fatalf("%+v", made)
	}
	f.pass(IdempotencyLifetime - 1)
	if made := create(n2, "agent_2", once); !made.Replayed || made.Resource.ID != "agent_1" {
		t.Fatalf("%+v", made)
	}
	reused := &Idempotency{Key: "k", Hash: "another body"}
	f.refused(n2, CreateAgent{Agent: Agent{ID: "agent_3", Account: acct}, Idempotency: reused}, fault.Conflict, "IDEMPOTENCY_KEY_REUSED")
	f.ok(n2, CreateAgent{Agent: Agent{ID: "agent_b", Account: other}, Idempotency: reused}) // another account's key
	if _, ok, err := f.view().Answered(acct, *once); err != nil || !ok {
		t.Fatalf("not found in its lifetime: %v", err)
	}
	f.pass(1) // the lifetime is over, though nobody swept
	if made := create(n1, "agent_4", reused); made.Replayed || made.Resource.ID != "agent_4" {
		t.Fatalf("%+v", made)
	}
	if made := create(n1, "agent_5", reused); !made.Replayed || made.Resource.ID != "agent_4" {
		t.Fatalf("%+v", made)
	}
	f.check()
	f.pass(IdempotencyLifetime)
	f.do(CreateToken{Hash: "time goes on"})
	for _, i := range []Idempotency{*once, *reused} {
		if a, ok, err := f.view().Answered(acct, i); ok || err != nil {
			t.Fatalf("an expired key answers %+v, %v", a, err)
		}
	}
	f.pass(1)
	f.do(Sweep{})
	if n, err := answered.count(f.store, "age"); err != nil || n != 0 {
		t.Fatalf("%d keys are kept, %v", n, err)
	}
	f.check()
}

// A refused command takes no key: the request can be made again.
func TestRefusalsAreNotRemembered(t *testing.T) {
	f := newFixture(t)
	cmd := startRun("thread_1", "run_1", start+1)
	cmd.Idempotency = &Idempotency{Key: "k", Hash: "h"}
	f.refused(n1, cmd, fault.Payment, CodeBudget)
	f.do(AddCredit{Account: acct, Charge: "rec_1", Amount: 1})
	for range 2 {
		var made Made
		if f.reply(f.ok(n2, cmd), &made); made.Resource != (Resource{"run", "run_1"}) {
			t.Fatalf("%+v", made)
		}
	}
	if th := f.thread("thread_1"); th.Messages != 1 {
		t.Fatalf("%d messages", th.Messages)
	}
	f.check()
}

func TestAccountsAreMadeOnce(t *testing.T) {
	f := newFixture(t)
	for _, id := range []AccountID{"acct_1", "acct_2"} {
		var made Made
		f.reply(f.ok(n1, CreateAccount{Account: Account{ID: id, Name: "new", Balance: start}, Idempotency: &Idempotency{Key: "k", Hash: "h"}}), &made)
		if made.Resource.ID != "acct_1" {
			t.Fatalf("%+v", made)
		}
	}
	f.check()
}
