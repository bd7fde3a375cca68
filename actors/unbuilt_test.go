package actors

import (
	"errors"
	"strings"
	"testing"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/fake"
)

// runIn starts a run in an environment.
func (h *house) runIn(t *testing.T, e state.Environment, content string) (Started, error) {
	t.Helper()
	return h.Threads.Start(t.Context(), h.caller, NewRun{Create: &NewThread{Environment: e.ID}, Content: content})
}

func TestARunWaitsForItsEnvironmentsFirstImage(t *testing.T) {
	h := open(t)
	release := make(chan struct{})
	h.builder.Play(fake.Holding("", release, nil))
	e := h.recipeWith(t, "pandas")
	id := h.asked(t, e.ID)
	s, err := h.runIn(t, e, "```bash\necho it is there\n```\n")
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		v := h.node.Stale()
		defer v.Close()
		said := false
		err := v.Events(s.Thread.ID, 0, func(e state.Event) bool { said = said || e.Text == buildText; return true })
		return err == nil && said
	})
	if b := h.build(t, id); b.Phase.Over() {
		t.Fatalf("the build is %s", b.Phase)
	}
	close(release)
	events := follow(t, h, s)
	said, used := -1, -1
	for i, e := range events {
		if e.Text == buildText {
			said = i
		}
		if e.Type == state.ItemToolResult && strings.Contains(e.Tool.Output, "it is there") {
			used = i
		}
	}
	if said < 0 || said > 2 || used < said || last(events).Status != string(state.RunSuccess) {
		t.Fatalf("said in event %d, used in %d: %+v", said, used, last(events))
	}
	if c := h.computer(t, e.Computer); c.RunImage != h.environment(t, e.ID).Build.Digest {
		t.Fatalf("it runs %s", c.RunImage)
	}
}

func TestARunThatWaitedInVainSaysWhy(t *testing.T) {
	h := open(t)
	release := make(chan struct{})
	h.builder.Play(fake.Holding("", release, fake.Saying("", &runtime.BuildFailure{Reason: "Package not found: pandas"})))
	e := h.recipeWith(t, "pandas")
	h.asked(t, e.ID)
	s, err := h.runIn(t, e, "```bash\necho never\n```\n")
	if err != nil {
		t.Fatal(err)
	}
	close(release)
	told := false
	for _, e := range follow(t, h, s) {
		if e.Tool != nil && strings.Contains(e.Tool.Output, "never") && e.Type == state.ItemToolResult {
			t.Fatalf("it ran: %+v", e)
		}
		told = told || strings.Contains(e.Text+e.Error, "Package not found: pandas") || e.Tool != nil && strings.Contains(e.Tool.Output, "Package not found: pandas")
	}
	if !told {
		t.Fatal("nobody was told why")
	}
}

func TestARunIsRefusedWhereThereIsNoImage(t *testing.T) {
	h := open(t)
	h.builder.Play(fake.Saying("", &runtime.BuildFailure{Reason: "Package not found: pandas"}))
	e := h.recipeWith(t, "pandas")
	h.over(t, h.asked(t, e.ID))
	_, err := h.runIn(t, e, "hi")
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Conflict || f.Code != CodeBuildFailed || !strings.Contains(f.Message, "Package not found: pandas") {
		t.Fatalf("got %v", err)
	}
	h.builder.Play(nil)
	h.over(t, h.asked(t, e.ID))
	h.builder.Play(fake.Saying("", &runtime.BuildFailure{Reason: "broken"}))
	h.over(t, h.asked(t, e.ID))
	s, err := h.runIn(t, e, "```bash\necho on the older image\n```\n")
	if err != nil {
		t.Fatal(err)
	}
	if end := last(follow(t, h, s)); end.Status != string(state.RunSuccess) {
		t.Fatalf("%+v", end)
	}
}
