package state

import "testing"

func TestOfRunsTheStrictestDecidesOnTheInternet(t *testing.T) {
	for _, tt := range []struct {
		egress          bool
		online, offline int
		want            bool
	}{
		{true, 0, 0, true}, {false, 0, 0, false}, {true, 0, 1, false}, {false, 1, 0, true}, {true, 2, 1, false}, {false, 1, 1, false},
	} {
		if got := (Computer{Egress: tt.egress, Online: tt.online, Offline: tt.offline}).Connects(); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

func TestRunsThatAskAreCountedOnTheirComputer(t *testing.T) {
	f := newFixture(t)
	f.do(CreateThread{Thread: Thread{ID: "thread_a", Account: acct, Environment: env}})
	f.do(StartRun{Account: acct, Thread: "thread_a", Run: Run{ID: "run_a", Config: RunConfig{OwnInternet: true, NoInternet: true}}})
	if c := f.computer(comp); c.Live != 1 || c.Offline != 1 || c.Online != 0 {
		t.Fatalf("the computer is %+v", c)
	}
	f.do(DeleteEnvironment{Account: acct, Environment: env})
	if c := f.computer(comp); c.Live != 0 || c.Offline != 0 {
		t.Errorf("the computer is %+v", c)
	}
}
