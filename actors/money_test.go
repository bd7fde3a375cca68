package actors

import (
	"errors"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/actors/actorstest"
	"github.com/bothy-computer/bothy/actors/agent/agenttest"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime/fake"
)

// tenant is a house whose caller pays, with a vendor that answers in turns.
func tenant(t *testing.T, balance state.MicroUSD, turns ...agenttest.Turn) *house {
	t.Helper()
	vendor := agenttest.Serve(t, turns...)
	h := openHouse(t, actorstest.NewRecords(time.Now), fake.NewWorld(), "n1",
		map[string]string{"OPENAI_BASE_URL": vendor.URL, "OPENAI_API_KEY": "test"})
	h.pays(t, balance)
	return h
}

// pays makes the house's caller an account that has some money.
func (h *house) pays(t *testing.T, balance state.MicroUSD) {
	t.Helper()
	account, err := h.Accounts.Create(t.Context(), "tenant", &balance)
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := h.Accounts.CreateKey(t.Context(), NewKey{Account: account.ID, Name: "k", Scopes: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	h.caller = Caller{Account: account.ID, User: key.User, Key: key}
}

func (h *house) account(t *testing.T) state.Account {
	t.Helper()
	a, err := h.Accounts.get(h.caller.Account)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestARunIsPaidForWhatItUsedAndNothingStaysReserved(t *testing.T) {
	h := tenant(t, 10_000_000,
		agenttest.Responses(agenttest.FunctionCall("fc1", "shell", `{"command":"echo hi"}`)),
		agenttest.Responses(agenttest.Message("Done.")))
	events := follow(t, h, send(t, h, "say hi"))
	end := last(events)
	if end.Status != string(state.RunSuccess) || end.Text != "Done." {
		t.Fatalf("run ended %s %q: %s", end.Status, end.Text, end.Error)
	}
	a := h.account(t)
	if end.Usage.Cost <= 0 || a.TotalSpent != end.Usage.Cost || a.Balance != 10_000_000-a.TotalSpent || a.Reserved != 0 {
		t.Fatalf("the run cost %d; the account is %+v", end.Usage.Cost, a)
	}
	var billed state.MicroUSD
	bill, err := applied(h.node, func(v *state.View) (state.List[state.Charge], error) {
		return v.Charges(a.ID, state.Page{Limit: 100}, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range bill.Items {
		billed += c.Amount
	}
	if billed != a.TotalSpent {
		t.Fatalf("the bill's lines add up to %d, the account spent %d", billed, a.TotalSpent)
	}
}

func TestAnEmptyBudgetIsRefusedBeforeAnythingBegins(t *testing.T) {
	h := tenant(t, 10)
	_, err := h.Threads.Start(t.Context(), h.caller, NewRun{Create: &NewThread{}, Content: "hi"})
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Payment || f.Code != state.CodeBudget {
		t.Fatalf("got %v", err)
	}
	if a := h.account(t); a.Reserved != 0 || a.Balance != 10 {
		t.Fatalf("the account is %+v", a)
	}
}

func TestABudgetThatEndsMidRunEndsTheRun(t *testing.T) {
	// Enough for one call's reservation, not for a second one.
	probe := tenant(t, 10_000_000)
	config := state.RunConfig{Model: probe.Models.Default()}
	one, err := probe.Models.estimate(config, builtIn(), nil)
	if err != nil {
		t.Fatal(err)
	}
	h := tenant(t, one.Amount+100, agenttest.Responses(agenttest.FunctionCall("fc1", "shell", `{"command":"echo hi"}`)))
	_, err = h.Accounts.SetLimits(t.Context(), state.SetLimits{Account: h.caller.Account})
	if err != nil {
		t.Fatal(err)
	}
	end := last(follow(t, h, send(t, h, "hi")))
	if end.Status != string(state.RunFailed) || end.Error == "" {
		t.Fatalf("run ended %s: %q", end.Status, end.Error)
	}
	if a := h.account(t); a.Reserved != 0 || a.Balance < 0 {
		t.Fatalf("the account is %+v", a)
	}
}

func TestAModelWithoutAVendorIsRefusedBeforeTheStream(t *testing.T) {
	h := open(t)
	_, err := h.Threads.Start(t.Context(), h.caller, NewRun{Create: &NewThread{}, Content: "hi", Model: "gpt-5.1"})
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Unavailable || f.Code != "MODEL_NOT_CONFIGURED" {
		t.Fatalf("got %v", err)
	}
	_, err = h.Threads.Start(t.Context(), h.caller, NewRun{Create: &NewThread{}, Content: "hi", Model: "nonsense"})
	if !fault.Is(err, fault.Invalid) {
		t.Fatalf("got %v", err)
	}
}

func TestAnIdempotencyKeyFindsTheSameRun(t *testing.T) {
	h := open(t)
	h.caller.Idempotency = &state.Idempotency{Key: "k1", Hash: "h1"}
	first := send(t, h, "```bash\necho once\n```\n")
	again := send(t, h, "```bash\necho once\n```\n")
	if first.Run.ID != again.Run.ID || first.Replayed || !again.Replayed {
		t.Fatalf("got runs %s and %s, replayed %v", first.Run.ID, again.Run.ID, again.Replayed)
	}
	h.caller.Idempotency = &state.Idempotency{Key: "k1", Hash: "other"}
	_, err := h.Threads.Start(t.Context(), h.caller, NewRun{Create: &NewThread{}, Content: "different"})
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != "IDEMPOTENCY_KEY_REUSED" {
		t.Fatalf("got %v", err)
	}
	follow(t, h, first)
}
