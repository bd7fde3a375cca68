package actors

import (
	"context"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

func startTask(t *testing.T, h *house, n NewTask) Started {
	t.Helper()
	s, err := h.Tasks.Start(t.Context(), h.caller, n)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// over waits until a run has ended.
func over(t *testing.T, h *house, id state.RunID) state.Run {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	first, _ := h.run(t, id)
	f := h.Threads.Follow(ctx, first.Thread, 0)
	defer f.Close()
	for {
		if r, _ := h.run(t, id); r.Status.Over() {
			return r
		}
		if _, err := f.Next(ctx); err != nil {
			t.Fatalf("run %s: %v", id, err)
		}
	}
}

func (h *house) run(t *testing.T, id state.RunID) (state.Run, bool) {
	t.Helper()
	v := h.node.Stale()
	defer v.Close()
	r, ok, err := v.AnyRun(id)
	if err != nil {
		t.Fatal(err)
	}
	return r, ok
}

func TestATaskGetsAComputerAndItsPromptsTakeTurns(t *testing.T) {
	h := open(t)
	one := startTask(t, h, NewTask{Title: "a task", Prompt: NewRun{Content: "```bash\ncat > note.txt <<< one\n```"}})
	if one.Thread.Task == nil || one.Thread.Environment != "" || one.Thread.Computer == "" {
		t.Fatalf("%+v", one.Thread)
	}
	var asked []state.RunID
	for range 3 {
		s, err := h.Tasks.Prompt(t.Context(), h.caller, one.Thread.ID, NewRun{Content: "```bash\necho more\n```"})
		if err != nil {
			t.Fatal(err)
		}
		asked = append(asked, s.Run.ID)
	}
	for _, id := range append([]state.RunID{one.Run.ID}, asked...) {
		if r := over(t, h, id); r.Status != state.RunSuccess {
			t.Fatalf("%+v", r)
		}
	}
	next := startTask(t, h, NewTask{Title: "on it", Computer: one.Thread.Computer, Prompt: NewRun{Content: "hello"}})
	if r := over(t, h, next.Run.ID); r.Status != state.RunSuccess || next.Thread.Computer != one.Thread.Computer {
		t.Fatalf("%+v", r)
	}
}

func TestATaskIsToldItsComputersInstructions(t *testing.T) {
	h := open(t)
	asked, err := h.Computers.Create(t.Context(), h.caller, state.Computer{Origin: state.OriginRebyte, Name: "box", Egress: true})
	if err != nil {
		t.Fatal(err)
	}
	told := "Be brief."
	if _, err := h.Computers.Update(t.Context(), h.caller, asked.Computer.ID, Shown{Instructions: &told}); err != nil {
		t.Fatal(err)
	}
	s := startTask(t, h, NewTask{Computer: asked.Computer.ID, Prompt: NewRun{Content: "hello"}})
	if s.Run.Config.Instructions != told {
		t.Fatalf("%+v", s.Run.Config)
	}
	over(t, h, s.Run.ID)
}

func TestATaskIsRefusedWhatIsNotThere(t *testing.T) {
	h := open(t)
	_, err := h.Tasks.Start(t.Context(), h.caller, NewTask{Computer: "none", Prompt: NewRun{Content: "hello"}})
	if !fault.Is(err, fault.NotFound) {
		t.Errorf("a computer that is not there: %v", err)
	}
	_, err = h.Tasks.Start(t.Context(), h.caller, NewTask{Prompt: NewRun{Content: strings.Repeat("x", state.MaxMessageBytes+1)}})
	if !fault.Is(err, fault.TooLarge) {
		t.Errorf("a long prompt: %v", err)
	}
	if _, err = h.Tasks.Prompt(t.Context(), h.caller, send(t, h, "hello").Thread.ID, NewRun{Content: "more"}); !fault.Is(err, fault.NotFound) {
		t.Errorf("a prompt to a thread: %v", err)
	}
}
