package state

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// Every pair of phases: from a row to a column, x is legal, - is refused.
var buildPhaseMoves = map[BuildPhase]string{
	//              queued running succeeded failed cancelled
	BuildQueued:    "x     x       -         x      x",
	BuildRunning:   "x     x       x         x      x",
	BuildSucceeded: "-     -       -         -      -",
	BuildFailed:    "-     -       -         -      -",
	BuildCancelled: "-     -       -         -      -",
}

func TestBuildPhaseTo(t *testing.T) {
	if len(buildPhaseMoves) != len(BuildPhases()) {
		t.Fatalf("%d phases, %d rows", len(BuildPhases()), len(buildPhaseMoves))
	}
	for from, row := range buildPhaseMoves {
		for i, cell := range strings.Fields(row) {
			to := BuildPhases()[i]
			got, err := from.To(to)
			if cell == "x" && (err != nil || got != to) || cell == "-" && (!fault.Is(err, fault.Moved) || got != from) {
				t.Errorf("%s to %s: %v, %v; the table says %s", from, to, got, err, cell)
			}
		}
		if from.Over() != !strings.Contains(row, "x") {
			t.Errorf("%s is over: %v", from, from.Over())
		}
	}
}

// recipe is one whose hash is its text.
func recipe(n int, text string) Recipe {
	return Recipe{Build: BuildID(fmt.Sprint("build_", n)), Machine: ComputerID(fmt.Sprint("machine_", n)), Dockerfile: text, Hash: text, Tag: "tag-" + text, Base: "host", Limit: time.Hour}
}

func (f *fixture) environment() Environment {
	f.tb.Helper()
	return got(f, func(v *View) (Environment, error) { return v.Environment(acct, env) })
}

// becomes changes the recipe.
func (f *fixture) becomes(r Recipe) {
	f.tb.Helper()
	e := f.environment()
	f.ok(n1, UpdateEnvironment{Environment: e, Seen: e.Version, Recipe: r})
}

func (f *fixture) build(id BuildID) Build {
	f.tb.Helper()
	return got(f, func(v *View) (Build, error) { b, _, err := v.AnyBuild(id); return b, err })
}

// made gives a build to a node, which ends it with a digest.
func (f *fixture) made(n NodeID, id BuildID, digest string) {
	f.tb.Helper()
	f.ok("", ClaimBuild{Build: id, Node: n, Seen: f.build(id).Epoch})
	epoch := f.build(id).Epoch
	f.ok(n, BeginBuild{Build: id, Epoch: epoch})
	f.ok(n, FinishBuild{Build: id, Epoch: epoch, Digest: digest, Error: map[bool]string{true: "broken"}[digest == ""]})
}

func TestAChangedRecipeIsBuiltAndRun(t *testing.T) {
	f := newFixture(t)
	f.becomes(recipe(1, "one"))
	if e := f.environment(); e.Build.Status != EnvironmentPending || e.Build.Queued != "build_1" || e.Version != 2 {
		t.Fatalf("after the change: %+v", e.Build)
	}
	waiting := func() int {
		return len(got(f, func(v *View) ([]Build, error) { return v.WaitingBuilds(f.now, 10) }))
	}
	if f.pass(BuildDelay - 1); waiting() != 0 {
		t.Fatal("it does not wait for more changes")
	}
	if f.pass(1); waiting() != 1 {
		t.Fatal("it does not wait for a node")
	}
	f.do(RenewLease{Node: n1, Incarnation: f.life[n1]}) // an entry, so that the records know the time
	if early := got(f, func(v *View) ([]Build, error) { return v.WaitingBuilds(f.now.Add(-time.Hour), 10) }); len(early) != 1 {
		t.Fatal("it waits for a clock that is behind the records")
	}
	f.ok("", ClaimBuild{Build: "build_1", Node: n2})
	f.refused(n1, BeginBuild{Build: "build_1", Epoch: 1}, fault.Moved, "")
	f.refused(n2, BeginBuild{Build: "build_1", Epoch: 2}, fault.Moved, "")
	f.ok(n2, BeginBuild{Build: "build_1", Epoch: 1})
	f.refused(n2, AppendBuildLog{Build: "build_1", Epoch: 1, FirstSeq: 2, Texts: []string{"late"}}, fault.Moved, "")
	f.ok(n2, AppendBuildLog{Build: "build_1", Epoch: 1, FirstSeq: 1, Texts: []string{"a", "b"}})
	f.refused(n2, AppendBuildLog{Build: "build_1", Epoch: 1, FirstSeq: 3, Texts: []string{strings.Repeat("x", MaxEventBytes+1)}}, fault.TooLarge, "")
	if e := f.environment(); e.Build.Status != EnvironmentBuilding {
		t.Fatalf("while it is built: %+v", e.Build)
	}
	f.ok(n2, FinishBuild{Build: "build_1", Epoch: 1, Digest: "sha256:1"})
	f.refused(n2, FinishBuild{Build: "build_1", Epoch: 1, Digest: "sha256:2"}, fault.Moved, "")
	e := f.environment()
	if b := e.Build; b.Status != EnvironmentReady || b.Hash != "one" || b.Tag != "tag-one" || b.Digest != "sha256:1" || b.Running != "" || !b.At.Equal(f.now) {
		t.Fatalf("afterwards: %+v", b)
	}
	if c := got(f, func(v *View) (Computer, error) { return v.Computer(acct, comp) }); c.Image != "sha256:1" {
		t.Fatalf("the computer runs %q", c.Image)
	}
	var log string
	err := f.view().BuildLog("build_1", 1, func(p BuildPiece) bool { log += p.Text; return true })
	if err != nil || log != "b" {
		t.Fatalf("the log after its first piece: %q, %v", log, err)
	}
	f.becomes(Recipe{Base: "host"})
	if e := f.environment(); e.Build.Status != EnvironmentReady || e.Build.Digest != "" {
		t.Fatalf("with nothing to build: %+v", e.Build)
	}
	if c := got(f, func(v *View) (Computer, error) { return v.Computer(acct, comp) }); c.Image != "host" {
		t.Fatalf("the computer runs %q", c.Image)
	}
}

func TestWhoAsksForABuildGetsOne(t *testing.T) {
	f := newFixture(t)
	ask := func(n int, text string, force bool) Command {
		return RequestBuild{Account: acct, Environment: env, Seen: f.environment().Version, Recipe: recipe(n, text), Force: force}
	}
	f.becomes(recipe(1, "one"))
	var asked BuildAsked
	f.reply(f.ok(n1, ask(2, "one", false)), &asked)
	if asked.Build != "build_2" || f.build("build_1").Phase != BuildCancelled || f.environment().Build.Status != EnvironmentBuilding {
		t.Fatalf("asked %+v; the automatic one is %s", asked, f.build("build_1").Phase)
	}
	f.refused(n1, ask(3, "one", false), fault.Conflict, CodeBuilding)
	f.refused(n1, RequestBuild{Account: acct, Environment: env, Seen: 99, Recipe: recipe(3, "one")}, fault.Conflict, CodeChanged)
	f.becomes(recipe(4, "two")) // has not begun: it is made of this one
	if b := f.build("build_2"); b.Hash != "two" || b.Phase != BuildQueued || f.environment().Build.Queued != "build_2" {
		t.Fatalf("the build that waits is %+v", b)
	}
	f.ok("", ClaimBuild{Build: "build_2", Node: n1})
	f.becomes(recipe(5, "three"))
	f.refused("", ClaimBuild{Build: "build_5", Node: n2}, fault.Conflict, CodeBuilding)
	f.ok(n1, BeginBuild{Build: "build_2", Epoch: 1})
	f.ok(n1, FinishBuild{Build: "build_2", Epoch: 1, Digest: "sha256:2"})
	if b := f.environment().Build; b.Status != EnvironmentPending || b.Digest != "sha256:2" || b.Queued != "build_5" {
		t.Fatalf("while the newest waits: %+v", b)
	}
	f.made(n2, "build_5", "sha256:3")
	f.reply(f.ok(n1, ask(6, "three", false)), &asked)
	if asked.Build != "" {
		t.Fatalf("built again for nothing: %+v", asked)
	}
	f.reply(f.ok(n1, ask(7, "three", true)), &asked)
	if asked.Build != "build_7" {
		t.Fatalf("not forced: %+v", asked)
	}
	f.made(n1, "build_7", "")
	if b := f.environment().Build; b.Status != EnvironmentFailed || b.Error != "broken" || b.Digest != "sha256:3" {
		t.Fatalf("after a failure: %+v", b)
	}
	f.refused(n1, CancelBuild{Account: acct, Environment: env}, fault.Conflict, "")
	f.ok(n1, RequestBuild{Account: acct, Environment: env, Seen: f.environment().Version, Recipe: recipe(8, "three"), Test: true})
	f.made(n1, "build_8", "sha256:8")
	if b := f.environment().Build; b.Status != EnvironmentFailed || b.Digest != "sha256:3" {
		t.Fatalf("a test changed the environment: %+v", b)
	}
}

func TestABuildOfALostNodeIsTriedOnceMore(t *testing.T) {
	f := newFixture(t)
	f.becomes(recipe(1, "one"))
	for i, n := range []NodeID{n2, n3} {
		f.ok("", ClaimBuild{Build: "build_1", Node: n, Seen: Epoch(i)})
		f.ok(n, BeginBuild{Build: "build_1", Epoch: Epoch(i + 1)})
		f.do(ExpireLease{Node: n, Renewal: got(f, func(v *View) (Node, error) { return v.Node(n) }).Renewal})
	}
	b, e := f.build("build_1"), f.environment()
	if b.Phase != BuildFailed || b.Tries != MaxBuildTries || e.Build.Status != EnvironmentFailed || !strings.Contains(e.Build.Error, "was lost") {
		t.Fatalf("%+v; %+v", b, e.Build)
	}
}

func TestABuildThatIsGivenBackCountsAsNoTry(t *testing.T) {
	f := newFixture(t)
	f.becomes(recipe(1, "one"))
	for i := range MaxBuildTries + 1 {
		f.ok("", ClaimBuild{Build: "build_1", Node: n2, Seen: Epoch(i)})
		f.ok(n2, BeginBuild{Build: "build_1", Epoch: Epoch(i + 1)})
		f.refused(n3, ReleaseBuild{Build: "build_1", Epoch: Epoch(i + 1)}, fault.Moved, "")
		f.ok(n2, ReleaseBuild{Build: "build_1", Epoch: Epoch(i + 1)})
	}
	if b := f.build("build_1"); b.Phase != BuildQueued || b.Tries != 0 || b.Node != "" {
		t.Fatalf("%+v", b)
	}
	f.made(n3, "build_1", "sha256:1")
}

func TestANodeThatRestartsBeginsAgainOnce(t *testing.T) {
	f := newFixture(t)
	f.becomes(recipe(1, "one"))
	f.ok("", ClaimBuild{Build: "build_1", Node: n2})
	for range MaxBuildTries {
		f.ok(n2, BeginBuild{Build: "build_1", Epoch: 1})
	}
	var b Build
	f.reply(f.ok(n2, BeginBuild{Build: "build_1", Epoch: 1}), &b)
	if b.Phase != BuildFailed || f.environment().Build.Status != EnvironmentFailed {
		t.Fatalf("%+v; %+v", b, f.environment().Build)
	}
}

func TestABuildThatNobodyEndsFails(t *testing.T) {
	f := newFixture(t)
	f.becomes(recipe(1, "one"))
	f.pass(BuildDelay + BuildQueueTime + 1)
	f.do(Sweep{})
	if e := f.environment(); e.Build.Status != EnvironmentFailed || !strings.HasPrefix(e.Build.Error, "No node was free") {
		t.Fatalf("%+v", e.Build)
	}
	f.becomes(recipe(2, "two"))
	f.ok("", ClaimBuild{Build: "build_2", Node: n2})
	f.ok(n2, BeginBuild{Build: "build_2", Epoch: 1})
	f.pass(time.Hour + BuildGrace + 1)
	f.do(Sweep{})
	if e := f.environment(); e.Build.Status != EnvironmentFailed || e.Build.Error != "Build timeout after 3600 s" {
		t.Fatalf("%+v", e.Build)
	}
}

func TestBuildsAreForgotten(t *testing.T) {
	f := newFixture(t)
	for i := range KeptBuilds + 3 {
		f.becomes(recipe(i, fmt.Sprint(i)))
		f.made(n1, BuildID(fmt.Sprint("build_", i)), "sha256:x")
		f.pass(time.Second)
	}
	kept := 0
	if err := f.view().BuildsOf(env, func(Build) bool { kept++; return true }); err != nil || kept != KeptBuilds+1 {
		t.Fatalf("%d are kept, %v", kept, err)
	}
	f.do(DeleteEnvironment{Account: acct, Environment: env})
	kept = 0
	if err := f.view().BuildsOf(env, func(Build) bool { kept++; return true }); err != nil || kept != 0 {
		t.Fatalf("%d are kept of an environment that is gone, %v", kept, err)
	}
}

func TestTestsLeaveTheBuildOfTheImage(t *testing.T) {
	f := newFixture(t)
	f.becomes(recipe(0, "one"))
	f.ok("", ClaimBuild{Build: "build_0", Node: n1})
	f.ok(n1, BeginBuild{Build: "build_0", Epoch: 1})
	f.ok(n1, AppendBuildLog{Build: "build_0", Epoch: 1, FirstSeq: 1, Texts: []string{"said"}})
	f.ok(n1, FinishBuild{Build: "build_0", Epoch: 1, Digest: "sha256:1"})
	for i := 1; i <= KeptBuilds+3; i++ {
		f.pass(time.Second)
		f.ok(n1, RequestBuild{Account: acct, Environment: env, Seen: f.environment().Version, Recipe: recipe(i, "one"), Test: true})
		f.made(n1, BuildID(fmt.Sprint("build_", i)), "sha256:1")
	}
	kept := map[bool]int{}
	if err := f.view().BuildsOf(env, func(b Build) bool { kept[b.Test]++; return true }); err != nil || kept[false] != 1 || kept[true] != KeptBuilds+1 {
		t.Fatalf("kept, by whether it is a test: %v, %v", kept, err)
	}
	var log string
	if err := f.view().BuildLog(f.environment().Build.Last, 0, func(p BuildPiece) bool { log += p.Text; return true }); err != nil || log != "said" {
		t.Fatalf("its log is %q, %v", log, err)
	}
}

func TestARecipeThatIsWrittenAnewIsBuiltOnce(t *testing.T) {
	f := newFixture(t)
	f.becomes(recipe(1, "one"))
	f.made(n1, "build_1", "sha256:1")
	ask := func(n int) BuildAsked { // as a newer program writes it
		var asked BuildAsked
		f.reply(f.ok(n1, RequestBuild{Account: acct, Environment: env, Seen: f.environment().Version, Recipe: recipe(n, "anew")}), &asked)
		return asked
	}
	if asked := ask(2); asked.Build != "build_2" {
		t.Fatalf("%+v", asked)
	}
	f.made(n1, "build_2", "sha256:2")
	if b := f.environment().Build; b.Status != EnvironmentReady || b.Digest != "sha256:2" {
		t.Fatalf("the new image is not used: %+v", b)
	}
	if asked := ask(3); asked.Build != "" {
		t.Fatalf("built again: %+v", asked)
	}
}

func TestAComputerTellsWhetherANewerImageWaits(t *testing.T) {
	f := newFixture(t)
	epoch := f.claim(comp, n1)
	set := func(p Phase, image string) Computer {
		f.ok(n1, SetPhase{Computer: comp, Epoch: epoch, Phase: p, Image: image})
		return got(f, func(v *View) (Computer, error) { return v.Computer(acct, comp) })
	}
	if c := set(Running, "host"); c.RunImage != "host" || !c.Outdated() && c.Image != "host" {
		t.Fatalf("%+v", c)
	}
	f.becomes(recipe(1, "one"))
	f.made(n1, "build_1", "sha256:1")
	if c := set(Running, "host"); !c.Outdated() {
		t.Fatalf("it runs %s, its image is %s", c.RunImage, c.Image)
	}
	if c := set(Stopped, ""); c.Outdated() || c.RunImage != "" {
		t.Fatalf("down, it runs %s", c.RunImage)
	}
	if c := set(Running, "sha256:1"); c.Outdated() {
		t.Fatalf("it runs %s, its image is %s", c.RunImage, c.Image)
	}
	epoch = f.claim(comp, n1)
	if c := got(f, func(v *View) (Computer, error) { return v.Computer(acct, comp) }); c.RunImage != "" {
		t.Fatalf("after a claim it runs %s", c.RunImage)
	}
}

func TestADeletedEnvironmentLeavesNoBuilds(t *testing.T) {
	f := newFixture(t)
	begin := func(n int) {
		f.ok(n1, RequestBuild{Account: acct, Environment: env, Seen: f.environment().Version, Recipe: recipe(n, "one"), Test: true})
		f.ok("", ClaimBuild{Build: BuildID(fmt.Sprint("build_", n)), Node: n1})
	}
	f.ok(n1, RequestBuild{Account: acct, Environment: env, Seen: f.environment().Version, Recipe: recipe(1, "one")})
	begin(2)
	e := f.environment()
	e.Inactive = true
	f.ok(n1, UpdateEnvironment{Environment: e, Seen: e.Version})
	if b := f.environment().Build; f.build("build_1").Phase != BuildCancelled || f.build("build_2").Phase != BuildCancelled || b.Status != EnvironmentPending {
		t.Fatalf("deleted for now: %+v", b)
	}
	e = f.environment()
	e.Inactive = false
	f.ok(n1, UpdateEnvironment{Environment: e, Seen: e.Version, Recipe: recipe(3, "one")})
	begin(4)
	f.ok(n1, DeleteEnvironment{Account: acct, Environment: env})
	for _, id := range []BuildID{"build_1", "build_2", "build_3", "build_4"} {
		if b := f.build(id); b.ID != "" {
			t.Fatalf("left: %+v", b)
		}
	}
}

// Whatever happens in whatever order: an environment has at most one build that
// runs, what it says follows from its builds, and nothing is pending for ever.
func TestBuildsAndTheirEnvironment(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := newFixture(rt)
		var ids []BuildID
		next := func(text string) Recipe {
			r := recipe(len(ids), text)
			ids = append(ids, r.Build)
			return r
		}
		node := rapid.SampledFrom([]NodeID{n1, n2, n3})
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			e := f.environment()
			id := BuildID("build_none")
			if len(ids) > 0 {
				id = rapid.SampledFrom(ids).Draw(rt, "build")
			}
			n, b := node.Draw(rt, "node"), f.build(id)
			var cmd Command
			switch rapid.IntRange(0, 9).Draw(rt, "what") {
			case 0, 1:
				e.Inactive = rapid.IntRange(0, 5).Draw(rt, "inactive") == 0
				r := Recipe{Base: "host"}
				if text := rapid.SampledFrom([]string{"", "a", "b"}).Draw(rt, "recipe"); text != "" {
					r = next(text)
				}
				cmd = UpdateEnvironment{Environment: e, Seen: e.Version, Recipe: r}
			case 2:
				r := Recipe{}
				if e.Build.Wanted != "" {
					r = next(e.Build.Wanted)
				}
				cmd = RequestBuild{Account: acct, Environment: env, Seen: e.Version, Recipe: r, Force: rapid.Bool().Draw(rt, "force")}
			case 3, 4:
				cmd = ClaimBuild{Build: id, Node: n, Seen: b.Epoch}
			case 5:
				cmd, n = BeginBuild{Build: id, Epoch: b.Epoch}, b.Node
			case 6:
				cmd, n = FinishBuild{Build: id, Epoch: b.Epoch, Digest: rapid.SampledFrom([]string{"", "sha256:" + b.Hash}).Draw(rt, "digest")}, b.Node
			case 7:
				cmd = CancelBuild{Account: acct, Environment: env}
			case 8:
				cmd, n = ReleaseBuild{Build: id, Epoch: b.Epoch}, b.Node
			case 9:
				f.pass(rapid.SampledFrom([]time.Duration{time.Second, 3 * time.Hour}).Draw(rt, "time"))
				cmd = Sweep{}
			}
			f.by(n, cmd)
			checkBuilt(rt, f)
			f.check()
		}
	})
}

func checkBuilt(t *rapid.T, f *fixture) {
	e := f.environment()
	s := e.Build
	open := map[BuildID]bool{}
	err := f.view().BuildsOf(env, func(b Build) bool {
		if !b.Phase.Over() {
			open[b.ID] = true
		}
		return true
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	underWay := 0
	for _, id := range []BuildID{s.Running, s.Queued} {
		if id != "" {
			underWay++
			if !open[id] {
				t.Fatalf("%s is over: %+v", id, s)
			}
		}
	}
	if len(open) != underWay {
		t.Fatalf("open are %v: %+v", open, s)
	}
	switch {
	case s.Status == EnvironmentReady && !e.Inactive && s.Hash != s.Wanted:
		t.Fatalf("ready with another image: %+v", s)
	case (s.Status == EnvironmentPending || s.Status == EnvironmentBuilding) && !e.Inactive && underWay == 0:
		t.Fatalf("nothing follows: %+v", s)
	case s.Digest != "" && s.Digest != "sha256:"+s.Hash:
		t.Fatalf("the image of another recipe: %+v", s)
	}
	c := got(f, func(v *View) (Computer, error) { return v.Computer(acct, comp) })
	if s.Digest != "" && c.Image != s.Digest || s.Digest == "" && strings.HasPrefix(c.Image, "sha256:") {
		t.Fatalf("the computer runs %s: %+v", c.Image, s)
	}
}
