package state

import (
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// RequestBuild asks for the image of an environment's recipe, as it was at
// version Seen. It replies with BuildAsked. Without Force, nothing is built for
// a recipe whose image is there. A Test leaves the environment as it is.
type RequestBuild struct {
	Account     AccountID     `cbor:"1,keyasint"`
	Environment EnvironmentID `cbor:"2,keyasint"`
	Seen        uint64        `cbor:"3,keyasint"`
	Recipe      Recipe        `cbor:"4,keyasint"`
	Force       bool          `cbor:"5,keyasint"`
	Test        bool          `cbor:"6,keyasint"`
}

// BuildAsked is what became of a request: the build, or "" when there was
// nothing to do.
type BuildAsked struct {
	Build BuildID `cbor:"1,keyasint"`
}

func (cmd RequestBuild) apply(tx *Tx) error {
	e, err := tx.Environment(cmd.Account, cmd.Environment)
	if err != nil {
		return err
	}
	if e.Version != cmd.Seen {
		return changedSince("environment", string(e.ID))
	}
	if e.Inactive {
		return fault.New(fault.Conflict, "Environment %s is deleted; restore it first", e.ID)
	}
	if cmd.Test {
		b, err := tx.queueBuild(e, cmd.Recipe, 0, func(b *Build) { b.Explicit, b.Force, b.Test = true, true, true })
		tx.Reply(BuildAsked{b.ID})
		return err
	}
	for _, id := range []BuildID{e.Build.Running, e.Build.Queued} {
		if b, ok, err := tx.AnyBuild(id); err != nil {
			return err
		} else if ok && b.Explicit && !b.Phase.Over() {
			return fault.New(fault.Conflict, "Build already in progress for environment %s", e.ID).WithCode(CodeBuilding)
		}
	}
	if cmd.Recipe.Hash != "" {
		// A newer program may write the same recipe down in another way.
		e.Build.Wanted = cmd.Recipe.Hash
	}
	if cmd.Recipe.Hash == "" || !cmd.Force && e.Build.Status == EnvironmentReady && e.Build.Hash == cmd.Recipe.Hash {
		tx.Reply(BuildAsked{})
		return nil
	}
	if err := tx.dropBuilds(&e, "another build was asked for"); err != nil {
		return err
	}
	b, err := tx.queueBuild(e, cmd.Recipe, 0, func(b *Build) { b.Explicit, b.Force = true, cmd.Force })
	if err != nil {
		return err
	}
	e.Build.Queued, e.Build.Last, e.Build.Status = b.ID, b.ID, EnvironmentBuilding
	tx.Reply(BuildAsked{b.ID})
	return tx.putBuilt(e)
}

// queueBuild stores a new build that begins after a delay.
func (tx *Tx) queueBuild(e Environment, r Recipe, delay time.Duration, set func(*Build)) (Build, error) {
	if n, err := builds.count(tx.w, "open", string(e.Account)); err != nil {
		return Build{}, err
	} else if n >= MaxOpenBuilds {
		return Build{}, fault.New(fault.Exhausted, "the account has %d builds under way, which is the limit; wait for some to end", n)
	}
	if len(r.Dockerfile) > MaxDockerfileBytes {
		return Build{}, fault.New(fault.TooLarge, "the Dockerfile has %d bytes; the limit is %d", len(r.Dockerfile), MaxDockerfileBytes)
	}
	b := Build{ID: r.Build, Account: e.Account, Environment: e.ID, Machine: r.Machine, Dockerfile: r.Dockerfile, Hash: r.Hash, Tag: r.Tag,
		ExtensionsAt: r.ExtensionsAt, ExtensionLines: r.ExtensionLines, Egress: !e.NoInternet, Network: e.Network, Phase: BuildQueued, Limit: r.Limit, NotBefore: tx.now.Add(delay),
		Deadline: tx.now.Add(delay + BuildQueueTime), CreatedAt: tx.now}
	set(&b)
	if err := tx.forgetBuilds(e.ID, KeptBuilds); err != nil {
		return Build{}, err
	}
	tx.changed(Change{Noun: ChangedBuild, ID: string(b.ID)})
	return b, builds.create(tx.w, b)
}

// forgetBuilds removes the oldest builds of an environment that are over, all
// but a number of them and a number of tests: tests, however many, leave the
// log of what the environment runs.
func (tx *Tx) forgetBuilds(environment EnvironmentID, keep int) error {
	var old []BuildID
	seen := map[bool]int{} // by whether they are tests
	err := tx.BuildsOf(environment, func(b Build) bool {
		if b.Phase.Over() {
			if seen[b.Test]++; seen[b.Test] > keep {
				old = append(old, b.ID)
			}
		}
		return true
	})
	for _, id := range old {
		if err == nil {
			err = tx.w.DeleteRange(pieceKey(id, 0), afterPieces(id))
		}
		if err == nil {
			err = builds.remove(tx.w, string(id))
		}
	}
	return err
}

// dropBuilds cancels what is under way for an environment's image.
func (tx *Tx) dropBuilds(e *Environment, why string) error {
	for _, id := range []BuildID{e.Build.Running, e.Build.Queued} {
		b, ok, err := tx.AnyBuild(id)
		if err == nil && ok && !b.Phase.Over() {
			err = tx.cancelBuild(b, why)
		}
		if err != nil {
			return err
		}
	}
	e.Build.Running, e.Build.Queued = "", ""
	return nil
}

// endBuilds cancels every build of an environment, tests too.
func (tx *Tx) endBuilds(e *Environment, why string) error {
	var open []Build
	err := tx.BuildsOf(e.ID, func(b Build) bool {
		if !b.Phase.Over() {
			open = append(open, b)
		}
		return true
	})
	for _, b := range open {
		if err == nil {
			err = tx.cancelBuild(b, why)
		}
	}
	e.Build.Running, e.Build.Queued = "", ""
	return err
}

// cancelBuild ends a build that is not over. Its environment is the caller's.
func (tx *Tx) cancelBuild(b Build, why string) error {
	b.Phase, b.Error, b.EndedAt = BuildCancelled, why, tx.now
	return tx.putBuild(b)
}

func (tx *Tx) putBuild(b Build) error {
	tx.changed(Change{Noun: ChangedBuild, ID: string(b.ID), Node: b.Node})
	return builds.put(tx.w, b)
}

// putBuilt stores what has become of an environment's image, which is no change
// of its recipe.
func (tx *Tx) putBuilt(e Environment) error {
	tx.changed(Change{Noun: ChangedEnvironment, ID: string(e.ID)})
	return environments.put(tx.w, e)
}

// rebuild brings an environment's builds in line with its recipe. Builds that
// follow changes give way to the newest; one that a user asked for goes on, and
// is made of the newest recipe if it has not begun.
func (tx *Tx) rebuild(e *Environment, r Recipe) error {
	if e.Inactive {
		e.Build.Wanted = "" // looked at anew when it is restored
		if e.Build.Status == EnvironmentBuilding {
			e.Build.Status = EnvironmentPending
		}
		return tx.endBuilds(e, "the environment was deleted")
	}
	if r.Hash == "" && r.Base == "" && e.Build.Status != "" {
		return nil // a command that says nothing of the recipe
	}
	if e.Build.Wanted == r.Hash && r.Hash != "" {
		return nil
	}
	e.Build.Wanted = r.Hash
	waits, err := tx.supersede(e, r)
	if err != nil {
		return err
	}
	switch {
	case r.Hash == "":
		e.Build.Status, e.Build.Hash, e.Build.Tag, e.Build.Digest, e.Build.Error = EnvironmentReady, "", "", "", ""
		return tx.runImage(*e, r.Base)
	case waits:
		return nil
	case r.Hash == e.Build.Hash:
		e.Build.Status, e.Build.Error = EnvironmentReady, ""
		return nil
	}
	return tx.queueAutomatic(e, r)
}

// supersede cancels the builds of older recipes that nobody asked for, and
// reports whether one that somebody asked for waits, now for this recipe.
func (tx *Tx) supersede(e *Environment, r Recipe) (waits bool, err error) {
	for _, at := range []*BuildID{&e.Build.Running, &e.Build.Queued} {
		b, ok, err := tx.AnyBuild(*at)
		if err != nil {
			return false, err
		}
		switch {
		case !ok || b.Phase.Over():
			continue
		case !b.Explicit || r.Hash == "":
			*at = ""
			err = tx.cancelBuild(b, "the recipe changed")
		case at == &e.Build.Queued:
			b.Dockerfile, b.Hash, b.Tag, waits = r.Dockerfile, r.Hash, r.Tag, true
			b.ExtensionsAt, b.ExtensionLines = r.ExtensionsAt, r.ExtensionLines
			err = tx.putBuild(b)
		}
		if err != nil {
			return false, err
		}
	}
	return waits, nil
}

func (tx *Tx) queueAutomatic(e *Environment, r Recipe) error {
	b, err := tx.queueBuild(*e, r, BuildDelay, func(*Build) {})
	if err != nil {
		return err
	}
	e.Build.Queued, e.Build.Last = b.ID, b.ID
	if e.Build.Status = EnvironmentPending; e.Build.Running != "" {
		e.Build.Status = EnvironmentBuilding
	}
	return nil
}

// runImage has the environment's computer run an image from its next start on.
func (tx *Tx) runImage(e Environment, image string) error {
	c, ok, err := tx.AnyComputer(e.Computer)
	if err != nil || !ok || c.Image == image || c.Wish == WishDeleted {
		return err
	}
	c.Image = image
	return tx.putComputer(c)
}
