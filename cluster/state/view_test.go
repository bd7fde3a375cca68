package state

import (
	"fmt"
	"testing"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// What belongs to one account is not found by another, in every method that
// answers for a caller.
func TestOtherAccountsFindNothing(t *testing.T) {
	f := newFixture(t)
	f.claim(comp, n1)
	f.do(CreateAgent{Agent: Agent{ID: "agent_1", Account: acct}})
	settled(f, "run_1", 10, 10)
	v := f.view()
	single := map[string]func(AccountID) error{
		"user":        func(a AccountID) error { _, err := v.User(a, "user_a"); return err },
		"key":         func(a AccountID) error { _, err := v.Key(a, "key_a"); return err },
		"agent":       func(a AccountID) error { _, err := v.Agent(a, "agent_1"); return err },
		"environment": func(a AccountID) error { _, err := v.Environment(a, env); return err },
		"computer":    func(a AccountID) error { _, err := v.Computer(a, comp); return err },
		"thread":      func(a AccountID) error { _, err := v.Thread(a, "thread_run_1"); return err },
		"run":         func(a AccountID) error { _, err := v.Run(a, "run_1"); return err },
		"messages":    func(a AccountID) error { _, err := v.Messages(a, "thread_run_1", Page{Limit: 1}, false); return err },
		"runs":        func(a AccountID) error { _, err := v.ThreadRuns(a, "thread_run_1", Page{Limit: 1}); return err },
	}
	for name, read := range single {
		if err := read(acct); err != nil {
			t.Errorf("%s: its own account: %v", name, err)
		}
		if err := read(other); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: another account: %v", name, err)
		}
		if own, foreign := fmt.Sprint(read("none")), fmt.Sprint(read(other)); own != foreign {
			t.Errorf("%s: %q tells more than %q", name, foreign, own)
		}
	}
	p := Page{Limit: 10}
	lists := map[string]func(AccountID) (int, int, error){
		"users":        func(a AccountID) (int, int, error) { return sizes(v.Users(a, p)) },
		"keys":         func(a AccountID) (int, int, error) { return sizes(v.Keys(a, p)) },
		"agents":       func(a AccountID) (int, int, error) { return sizes(v.Agents(a, p, nil)) },
		"environments": func(a AccountID) (int, int, error) { return sizes(v.Environments(a, true, p, nil)) },
		"computers":    func(a AccountID) (int, int, error) { return sizes(v.Computers(a, p, nil)) },
		"threads":      func(a AccountID) (int, int, error) { return sizes(v.Threads(a, ThreadFilter{}, p)) },
		"threads of an environment": func(a AccountID) (int, int, error) {
			return sizes(v.Threads(a, ThreadFilter{Environment: env}, p))
		},
		"charges": func(a AccountID) (int, int, error) { return sizes(v.Charges(a, p, nil)) },
	}
	for name, read := range lists {
		if n, total, err := read(acct); err != nil || n != 1 || total != 1 {
			t.Errorf("%s: its own account: %d of %d, %v", name, n, total, err)
		}
		n, total, err := read(other)
		if name == "users" { // other has one of its own
			n, total = n-1, total-1
		}
		if err != nil || n != 0 || total != 0 {
			t.Errorf("%s: another account: %d of %d, %v", name, n, total, err)
		}
	}
}

func sizes[T any](l List[T], err error) (items, total int, _ error) {
	return len(l.Items), l.Total, err
}

func TestPages(t *testing.T) {
	f := newFixture(t)
	const made = 7
	for i := range made {
		f.pass(1)
		f.do(CreateThread{Thread: Thread{ID: ThreadID(fmt.Sprint("t", i)), Account: acct, Environment: env, App: fmt.Sprint("app", i%2)}})
	}
	for limit := 1; limit <= made+1; limit++ {
		for offset := 0; offset <= made+1; offset++ {
			p := Page{Limit: limit, Offset: offset}
			list, err := f.view().Threads(acct, ThreadFilter{}, p)
			want := max(0, min(limit, made-offset))
			if err != nil || len(list.Items) != want || list.Total != made || list.HasMore(p) != (offset+want < made) {
				t.Fatalf("%+v: %d of %d, more %v, %v", p, len(list.Items), list.Total, list.HasMore(p), err)
			}
			for i, th := range list.Items {
				if string(th.ID) != fmt.Sprint("t", made-1-offset-i) {
					t.Fatalf("%+v: item %d is %s; newest come first", p, i, th.ID)
				}
			}
		}
	}
	list, err := f.view().Threads(acct, ThreadFilter{App: "app0", Environment: env}, Page{Limit: 2, Offset: 1})
	if err != nil || list.Total != 4 || len(list.Items) != 2 || list.Items[0].ID != "t4" {
		t.Fatalf("%+v, %v", list, err)
	}
}
