package actors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/actors/actorstest"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/fake"
)

// recipeWith makes an environment with a Python package.
func (h *house) recipeWith(t *testing.T, name string) state.Environment {
	t.Helper()
	e, err := h.Environments.Create(t.Context(), h.caller, EnvironmentSpec{Name: "e", Packages: state.Packages{Python: []string{name}}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// repack changes its package.
func (h *house) repack(t *testing.T, id state.EnvironmentID, name string) {
	t.Helper()
	_, err := h.Environments.Update(t.Context(), h.caller, id, func(spec *EnvironmentSpec, _ *state.Environment) error {
		spec.Packages.Python = []string{name}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// asked is a build that a user asks for.
func (h *house) asked(t *testing.T, id state.EnvironmentID) state.BuildID {
	t.Helper()
	e, begun, err := h.Builds.Request(t.Context(), h.caller, id, true)
	if err != nil || !begun {
		t.Fatalf("begun: %v, %v", begun, err)
	}
	return e.Build.Last
}

// over waits for a build's end.
func (h *house) over(t *testing.T, id state.BuildID) state.Build {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	b, err := h.Builds.Await(ctx, id)
	if err != nil {
		t.Fatalf("build %s: %v", id, err)
	}
	return b
}

func (h *house) build(t *testing.T, id state.BuildID) state.Build {
	t.Helper()
	b, err := applied(h.node, func(v *state.View) (state.Build, error) { b, _, err := v.AnyBuild(id); return b, err })
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// said is a build's log; that its pieces are numbered without a gap is checked.
func (h *house) said(t *testing.T, id state.BuildID) string {
	t.Helper()
	var all strings.Builder
	var last uint64
	_, err := applied(h.node, func(v *state.View) (any, error) {
		return nil, v.BuildLog(id, 0, func(p state.BuildPiece) bool {
			if p.Seq != last+1 {
				t.Errorf("piece %d comes after %d", p.Seq, last)
			}
			last = p.Seq
			all.WriteString(p.Text)
			return true
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func (h *house) environment(t *testing.T, id state.EnvironmentID) state.Environment {
	t.Helper()
	e, err := h.Environments.get(h.caller.Account, id)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestAChangeIsBuiltByItself(t *testing.T) {
	clock := actorstest.NewClock()
	h := openHouse(t, actorstest.NewRecords(clock.Now), fake.NewWorld(), "n1", nil)
	e := h.recipeWith(t, "pandas")
	h.repack(t, e.ID, "numpy")
	if e = h.environment(t, e.ID); e.Build.Status != state.EnvironmentPending {
		t.Fatalf("%+v", e.Build)
	}
	if err := h.node.Tend(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b := h.build(t, e.Build.Last); b.Node != "" {
		t.Fatal("it does not wait for more changes")
	}
	clock.Advance(state.BuildDelay + 1)
	if err := h.node.Tend(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := h.over(t, e.Build.Last)
	if b.Phase != state.BuildSucceeded || b.Digest != fake.DigestOf(b.Dockerfile) || !strings.Contains(b.Dockerfile, "numpy") {
		t.Fatalf("%+v", b)
	}
	calls := h.builder.Builds()
	if len(calls) != 1 || calls[0].Name != b.Tag || calls[0].NoCache || !calls[0].Egress.Allowed || string(calls[0].Machine) != string(b.Machine) {
		t.Fatalf("%+v", calls)
	}
	if e = h.environment(t, e.ID); e.Build.Status != state.EnvironmentReady || h.computer(t, e.Computer).Image != b.Digest {
		t.Fatalf("%+v", e.Build)
	}
	if log := h.said(t, b.ID); !strings.HasPrefix(log, "Step 1/") {
		t.Fatalf("said %q", log)
	}
}

func TestANewerChangeEndsTheBuildOfTheOlder(t *testing.T) {
	clock := actorstest.NewClock()
	h := openHouse(t, actorstest.NewRecords(clock.Now), fake.NewWorld(), "n1", nil)
	ended := make(chan error, 1)
	h.builder.Play(func(ctx context.Context, b runtime.Build) (string, error) {
		if strings.Contains(b.Dockerfile, "numpy") {
			return "", nil
		}
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return "", ctx.Err()
	})
	tend := func() {
		t.Helper()
		clock.Advance(state.BuildDelay + 1)
		if err := h.node.Tend(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	e := h.recipeWith(t, "pandas")
	tend()
	old := h.environment(t, e.ID).Build.Last
	waitFor(t, func() bool { return h.build(t, old).Phase == state.BuildRunning })
	h.repack(t, e.ID, "numpy")
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the builder was not told")
	}
	tend()
	newest := h.over(t, h.environment(t, e.ID).Build.Last)
	if b := h.build(t, old); b.Phase != state.BuildCancelled || newest.Phase != state.BuildSucceeded || h.environment(t, e.ID).Build.Status != state.EnvironmentReady {
		t.Fatalf("the older %+v; the newer %+v", b, newest)
	}
}

func TestABuildGoesOnWhereItsNodeIsLost(t *testing.T) {
	records, world := actorstest.NewRecords(time.Now), fake.NewWorld()
	first := openHouse(t, records, world, "n1", nil)
	second := openHouse(t, records, world, "n2", nil)
	late := make(chan struct{})
	first.builder.Play(func(_ context.Context, b runtime.Build) (string, error) { // hears nothing any more
		fmt.Fprint(b.Log, "a first try")
		<-late
		return "sha256:late", nil
	})
	e := first.recipeWith(t, "pandas")
	id := first.asked(t, e.ID)
	waitFor(t, func() bool { return first.said(t, id) == "a first try" })
	old := first.build(t, id)
	if err := first.node.Expire(second.node); err != nil {
		t.Fatal(err)
	}
	b := second.over(t, id)
	if b.Phase != state.BuildSucceeded || b.Tries != 2 || b.Epoch != old.Epoch+1 || b.Digest != fake.DigestOf(b.Dockerfile) {
		t.Fatalf("%+v", b)
	}
	if log := second.said(t, id); !strings.HasPrefix(log, "a first try") || strings.Count(log, "was lost") != 1 || !strings.Contains(log, "Step 1/") {
		t.Fatalf("said %q", log)
	}
	close(late)
	_, err := first.node.Apply(t.Context(), state.FinishBuild{Build: id, Epoch: old.Epoch, Digest: "sha256:late"})
	if !fault.Is(err, fault.Moved) || second.build(t, id).Digest != b.Digest {
		t.Fatalf("the old node's word counted: %v", err)
	}
}

// waits plays a build that hears of its end.
func waits(ctx context.Context, _ runtime.Build) (string, error) {
	<-ctx.Done()
	return "", ctx.Err()
}

func TestABuildThatItsNodeCouldNotBearIsTriedOnceMore(t *testing.T) {
	records, world := actorstest.NewRecords(time.Now), fake.NewWorld()
	first := openHouse(t, records, world, "n1", nil)
	second := openHouse(t, records, world, "n2", nil)
	third := openHouse(t, records, world, "n3", nil)
	first.builder.Play(waits)
	second.builder.Play(waits)
	id := first.asked(t, first.recipeWith(t, "pandas").ID)
	runsAt := func(h *house, tries int) {
		t.Helper()
		waitFor(t, func() bool { return h.build(t, id).Tries == tries && len(h.builder.Builds()) == 1 })
	}
	runsAt(first, 1)
	if err := first.node.Expire(second.node); err != nil {
		t.Fatal(err)
	}
	runsAt(second, 2)
	if err := second.node.Expire(third.node); err != nil {
		t.Fatal(err)
	}
	if b := third.over(t, id); b.Phase != state.BuildFailed || !strings.Contains(b.Error, "lost, 2 times") {
		t.Fatalf("%+v", b)
	}
}

func TestANodeThatClosesGivesItsBuildBack(t *testing.T) {
	records, world := actorstest.NewRecords(time.Now), fake.NewWorld()
	first := openHouse(t, records, world, "n1", nil)
	second := openHouse(t, records, world, "n2", nil)
	first.builder.Play(waits)
	id := first.asked(t, first.recipeWith(t, "pandas").ID)
	waitFor(t, func() bool { return len(first.builder.Builds()) == 1 })
	first.Close()
	if b := second.build(t, id); b.Phase != state.BuildQueued || b.Node != "" || b.Tries != 0 {
		t.Fatalf("after the close: %+v", b)
	}
	if err := first.node.Expire(second.node); err != nil { // so that it is given to the other
		t.Fatal(err)
	}
	if b := second.over(t, id); b.Phase != state.BuildSucceeded || b.Tries != 1 || b.Node != second.node.Self() {
		t.Fatalf("%+v", b)
	}
}

func TestACancelledBuildEndsItsBuilder(t *testing.T) {
	h := open(t)
	ended := make(chan struct{})
	h.builder.Play(func(ctx context.Context, b runtime.Build) (string, error) {
		defer close(ended)
		for { // also one that waits for room in its log hears of it
			if _, err := fmt.Fprintln(b.Log, strings.Repeat("y", 1000)); err != nil {
				return "", err
			}
			if ctx.Err() != nil {
				return "", ctx.Err()
			}
		}
	})
	e := h.recipeWith(t, "pandas")
	id := h.asked(t, e.ID)
	waitFor(t, func() bool { return h.build(t, id).LogSeq > 0 })
	if _, err := h.Builds.Cancel(t.Context(), h.caller, e.ID); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the builder goes on")
	}
	if b := h.environment(t, e.ID).Build; h.build(t, id).Phase != state.BuildCancelled || b.Status != state.EnvironmentFailed || b.Error != "Build cancelled" {
		t.Fatalf("%+v", b)
	}
}

func TestHowABuildFailsIsTold(t *testing.T) {
	h := open(t)
	e := h.recipeWith(t, "pandas")
	secret := errors.New("open /var/lib/bothy/tenants/other: permission denied")
	tests := map[string]struct {
		play fake.BuildFunc
		want string
	}{
		"a step":         {fake.Saying("no newline", &runtime.BuildFailure{Reason: "Build failed at step 3/5: no"}), "Build failed at step 3/5: no"},
		"a long reason":  {fake.Saying("", &runtime.BuildFailure{Reason: strings.Repeat("é", maxReason)}), strings.Repeat("é", maxReason/2)},
		"the machine":    {fake.Saying("", secret), "Build failed: internal error"},
		"a full machine": {fake.Saying("", fmt.Errorf("%w: %w", runtime.ErrFull, secret)), "Build failed: no room on this machine"},
		"its time":       {fake.Saying("", context.DeadlineExceeded), "Build timeout after 1800 s"},
		"a panic":        {func(context.Context, runtime.Build) (string, error) { panic(secret) }, "Build failed: internal error"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h.builder.Play(tt.play)
			b := h.over(t, h.asked(t, e.ID))
			if b.Phase != state.BuildFailed || b.Error != tt.want || b.Tries != 1 {
				t.Fatalf("%s after %d tries: %q", b.Phase, b.Tries, b.Error)
			}
			log := h.said(t, b.ID)
			end := "\n" + tt.want[:min(len(tt.want), logRoom/4)] + "\n"
			if strings.Contains(log, "/var/lib") || !strings.HasSuffix("\n"+log, end) {
				t.Fatalf("said %q", log)
			}
		})
	}
	h.builder.Play(nil)
	if b := h.over(t, h.asked(t, e.ID)); b.Phase != state.BuildSucceeded {
		t.Fatalf("nothing is built after a panic: %+v", b)
	}
}

// An account makes computers of its environments' images, and sees nobody
// else's.
func TestImagesOfEnvironmentsAreTheirAccounts(t *testing.T) {
	h := open(t)
	env, err := h.Environments.Create(t.Context(), h.caller, EnvironmentSpec{Name: "mine", SetupScripts: []string{"true"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.Builds.Request(t.Context(), h.caller, env.ID, false); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	env, err = h.Environments.get(h.caller.Account, env.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Builds.Await(ctx, env.Build.Last); err != nil {
		t.Fatal(err)
	}
	if env, err = h.Environments.get(h.caller.Account, env.ID); err != nil || env.Build.Tag == "" {
		t.Fatalf("%+v, %v", env.Build, err)
	}
	if _, err := h.node.Apply(t.Context(), state.CreateAccount{Account: state.Account{ID: "acct_b", Name: "b", Unbilled: true}}); err != nil {
		t.Fatal(err)
	}
	other := Caller{Account: "acct_b", User: "user_b"}
	seen := func(c Caller) bool {
		all, err := h.Images.List(t.Context(), c.Account)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(all, func(i Image) bool { return i.Digest == env.Build.Digest })
	}
	if !seen(h.caller) || seen(other) {
		t.Errorf("its account sees it: %v, another one: %v", seen(h.caller), seen(other))
	}
	for _, name := range []string{env.Build.Tag, env.Build.Digest} {
		if made, err := h.Computers.Create(t.Context(), h.caller, state.Computer{Image: name}); err != nil || made.Computer.Image != env.Build.Digest {
			t.Errorf("%s: %+v, %v", name, made.Computer.Image, err)
		}
		if _, err := h.Computers.Create(t.Context(), other, state.Computer{Image: name}); !fault.Is(err, fault.NotFound) {
			t.Errorf("another account's %s: %v", name, err)
		}
	}
}
