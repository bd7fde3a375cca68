package actors

import (
	"errors"
	"testing"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/fake"
)

func TestNetworkAccessIsRead(t *testing.T) {
	for text, want := range map[string]state.NetworkRules{
		"":                                     {},
		"{}":                                   {},
		`{"allow":null,"deny":["B.example."]}`: {Deny: []string{"b.example"}},
		`{"allow":["192.0.2.0/24","*.a.example"],"deny":[]}`: {Allow: []string{"192.0.2.0/24", "*.a.example"}},
	} {
		if got, err := rulesOf([]byte(text)); err != nil || !got.Equal(want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

func TestWrongNetworkAccessIsNamed(t *testing.T) {
	const shape = `networkAccess must be {"allow": [...], "deny": [...]} with texts`
	for text, want := range map[string]struct{ field, message string }{
		`{"allow":["a.example","192.0.2.0/24","foo bar"]}`: {"networkAccess.allow[2]", `networkAccess.allow[2]: "foo bar" is no CIDR, address or domain`},
		`{"deny":["192.0.2.1/24"]}`: {"networkAccess.deny[0]",
			`networkAccess.deny[0]: "192.0.2.1/24" names an address inside a network: write 192.0.2.0/24 for the network or 192.0.2.1 for the address`},
		`{"alow":["a.example"]}`: {"networkAccess", shape},
		`{"allow":"a.example"}`:  {"networkAccess", shape},
		`{"allow":[7]}`:          {"networkAccess", shape},
	} {
		_, err := rulesOf([]byte(text))
		var got *fault.Error
		if !errors.As(err, &got) || got.Kind != fault.Invalid || got.Field != want.field || got.Message != want.message {
			t.Errorf("%s: %+v", text, err)
		}
	}
}

func TestRulesFitIntoRecords(t *testing.T) {
	if runtime.MaxEgressRules > state.MaxNetworkRules || runtime.MaxEgressBytes > state.MaxNetworkBytes {
		t.Error("rules that are understood may not be recorded")
	}
}

// TestRulesReachARunningComputer changes an environment while its computer
// runs, in a driver that fails once: it is told without a stop, and told again
// at the next start.
func TestRulesReachARunningComputer(t *testing.T) {
	h := open(t)
	env, err := h.Environments.Create(t.Context(), h.caller, EnvironmentSpec{Name: "e", NetworkAccess: []byte(`{"deny":["Z.example"]}`)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Environments.Start(t.Context(), h.caller, env.ID); err != nil {
		t.Fatal(err)
	}
	id := runtime.ID(env.Computer)
	holds := func(want runtime.Egress) {
		t.Helper()
		waitFor(t, func() bool {
			got, err := h.driver.Egress(id)
			return err == nil && got.Equal(want)
		})
	}
	change := func(object string, off bool) {
		t.Helper()
		if _, err := h.Environments.Update(t.Context(), h.caller, env.ID, func(spec *EnvironmentSpec, _ *state.Environment) error {
			spec.NetworkAccess, spec.NoInternet = []byte(object), off
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	holds(runtime.Egress{Allowed: true, Deny: []string{"z.example"}})
	h.driver.Script().Add(fake.Rule{Op: fake.SetEgress, Err: errors.New("not now"), Times: 1})
	change(`{"allow":["a.example"]}`, false)
	holds(runtime.Egress{Allowed: true, Allow: []string{"a.example"}})
	change(`{"allow":["a.example"]}`, true)
	holds(runtime.Egress{Allow: []string{"a.example"}})
	for _, call := range h.driver.World().Of(id) {
		if call.Op == fake.Stop {
			t.Error("it was stopped for it")
		}
	}
	if _, _, err := h.Environments.Stop(t.Context(), h.caller, env.ID); err != nil {
		t.Fatal(err)
	}
	change(`{"deny":["b.example"]}`, false)
	if _, err := h.Environments.Start(t.Context(), h.caller, env.ID); err != nil {
		t.Fatal(err)
	}
	holds(runtime.Egress{Allowed: true, Deny: []string{"b.example"}})
}

// TestARunsOwnInternetAccessHoldsWhileItGoesOn: what a message says of the
// internet is so before its first tool runs, and over with its run.
func TestARunsOwnInternetAccessHoldsWhileItGoesOn(t *testing.T) {
	for name, tt := range map[string]struct{ environment, message bool }{
		"none, in an environment that has it": {true, false}, "some, in one that has none": {false, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			env, err := h.Environments.Create(t.Context(), h.caller, EnvironmentSpec{Name: "e", NoInternet: !tt.environment})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.Environments.Start(t.Context(), h.caller, env.ID); err != nil {
				t.Fatal(err)
			}
			id := runtime.ID(env.Computer)
			s, err := h.Threads.Start(t.Context(), h.caller, NewRun{Create: &NewThread{Environment: env.ID}, InternetAccess: &tt.message,
				Content: "```bash\necho it runs\n```\n"})
			if err != nil {
				t.Fatal(err)
			}
			if end := last(follow(t, h, s)); end.Status != string(state.RunSuccess) {
				t.Fatalf("run ended %+v", end)
			}
			set, ran := -1, -1
			for i, call := range h.driver.World().Of(id) {
				switch {
				case call.Op == fake.SetEgress && set < 0:
					set = i
				case call.Op == fake.Exec && ran < 0:
					ran = i
				}
			}
			if set < 0 || ran < set {
				t.Errorf("the rules were changed as call %d, the first tool ran as call %d", set, ran)
			}
			waitFor(t, func() bool {
				got, err := h.driver.Egress(id)
				return err == nil && got.Allowed == tt.environment
			})
			if c := h.computer(t, env.Computer); c.Online+c.Offline+c.Live != 0 {
				t.Errorf("the computer is %+v", c)
			}
		})
	}
}
