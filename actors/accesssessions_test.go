package actors

import (
	"testing"
	"time"

	"github.com/bothy-computer/bothy/actors/actorstest"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime/fake"
)

func TestASessionLastsByTheRecordsTime(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"at a clock ahead": 2 * time.Hour, "at a clock behind": -2 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			clock := actorstest.NewClock()
			h := openHouseAt(t, func() time.Time { return clock.Now().Add(ahead) }, actorstest.NewRecords(clock.Now), fake.NewWorld(), "n1", nil)
			env, err := h.Environments.Default(t.Context(), h.caller)
			if err != nil {
				t.Fatal(err)
			}
			made, err := h.Sessions.Open(t.Context(), h.caller, env.Computer, state.ExecSession, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			valid := func() bool {
				t.Helper()
				if _, err := h.node.Apply(t.Context(), state.Sweep{}); err != nil { // an entry, with its time
					t.Fatal(err)
				}
				_, err := h.Sessions.Admit(t.Context(), made.Token, state.ExecSession)
				if err != nil && !fault.Is(err, fault.Unauthorized) {
					t.Fatal(err)
				}
				return err == nil
			}
			if clock.Advance(time.Minute - time.Second); !valid() {
				t.Fatal("it is over before its time")
			}
			if clock.Advance(time.Second); valid() {
				t.Fatal("it goes on after its time")
			}
		})
	}
}
