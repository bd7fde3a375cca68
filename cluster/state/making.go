package state

import (
	"fmt"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// ClaimBuild gives a build that waits to a node, in a new epoch. Seen is the
// epoch the proposer decided from. It replies with the new epoch. While another
// build of the environment runs it is a Conflict.
type ClaimBuild struct {
	Build BuildID `cbor:"1,keyasint"`
	Node  NodeID  `cbor:"2,keyasint"`
	Seen  Epoch   `cbor:"3,keyasint"`
}

func (cmd ClaimBuild) apply(tx *Tx) error {
	b, err := builds.get(tx.w, string(cmd.Build))
	if err != nil {
		return err
	}
	if b.Epoch != cmd.Seen || b.Node != "" || b.Phase.Over() {
		return fault.New(fault.Conflict, "build %s waits for no node any more", b.ID).WithCode(CodeChanged)
	}
	to, err := tx.Node(cmd.Node)
	if err != nil {
		return err
	}
	if !to.Leased() {
		return fault.New(fault.Conflict, "node %s has no lease", to.Name)
	}
	if !b.Test {
		e, err := tx.Environment(b.Account, b.Environment)
		if err != nil {
			return err
		}
		if e.Build.Running != "" && e.Build.Running != b.ID {
			return fault.New(fault.Conflict, "environment %s is being built", e.ID).WithCode(CodeBuilding)
		}
		if e.Build.Running = b.ID; e.Build.Queued == b.ID {
			e.Build.Queued = ""
		}
		if err := tx.putBuilt(e); err != nil {
			return err
		}
	}
	b.Node, b.Epoch = cmd.Node, b.Epoch+1
	b.Deadline = tx.now.Add(b.Limit + BuildGrace)
	tx.Reply(b.Epoch)
	return tx.putBuild(b)
}

// makes returns the build if the command comes from the node that makes it, in
// its epoch, and it is not over.
func (tx *Tx) makes(id BuildID, epoch Epoch) (Build, error) {
	b, ok, err := tx.AnyBuild(id)
	if err != nil {
		return b, err
	}
	if !ok || b.Phase.Over() || b.Epoch != epoch || b.Node != tx.by.Node || tx.by.Incarnation == 0 {
		return b, fault.New(fault.Moved, "build %s is not this node's in epoch %d", id, epoch)
	}
	return b, nil
}

// BeginBuild records that a node begins to make what it was given, also again
// after a restart. The build fails where that is once too often. It replies
// with the build.
type BeginBuild struct {
	Build BuildID `cbor:"1,keyasint"`
	Epoch Epoch   `cbor:"2,keyasint"`
}

func (cmd BeginBuild) apply(tx *Tx) error {
	b, err := tx.makes(cmd.Build, cmd.Epoch)
	if err != nil {
		return err
	}
	if b.Phase, err = b.Phase.To(BuildRunning); err != nil {
		return err
	}
	if b.Tries >= MaxBuildTries {
		err := tx.endBuild(b, BuildFailed, "", lostText(b.Tries))
		b.Phase = BuildFailed
		tx.Reply(b)
		return err
	}
	if b.Tries++; b.StartedAt.IsZero() {
		b.StartedAt = tx.now
	}
	b.Deadline = tx.now.Add(b.Limit + BuildGrace)
	if !b.Test {
		e, err := tx.Environment(b.Account, b.Environment)
		if err != nil {
			return err
		}
		e.Build.Status = EnvironmentBuilding
		if err := tx.putBuilt(e); err != nil {
			return err
		}
	}
	tx.Reply(b)
	if err := tx.announceBuild(b); err != nil {
		return err
	}
	return tx.putBuild(b)
}

func lostText(tries int) string {
	return fmt.Sprintf("The node that built it was lost, %d times", tries)
}

// AppendBuildLog adds pieces to a build's log. It is refused unless FirstSeq
// follows the newest piece. Beyond MaxBuildLogBytes it is TooLarge.
type AppendBuildLog struct {
	Build    BuildID  `cbor:"1,keyasint"`
	Epoch    Epoch    `cbor:"2,keyasint"`
	FirstSeq uint64   `cbor:"3,keyasint"`
	Texts    []string `cbor:"4,keyasint"`
}

func (cmd AppendBuildLog) apply(tx *Tx) error {
	b, err := tx.makes(cmd.Build, cmd.Epoch)
	if err != nil {
		return err
	}
	if cmd.FirstSeq != b.LogSeq+1 {
		return fault.New(fault.Moved, "the log of build %s is at piece %d; this one begins with %d", b.ID, b.LogSeq, cmd.FirstSeq)
	}
	for _, text := range cmd.Texts {
		if len(text) > MaxEventBytes || b.LogBytes+int64(len(text)) > MaxBuildLogBytes {
			return fault.New(fault.TooLarge, "the log of build %s would have more than %d bytes", b.ID, MaxBuildLogBytes)
		}
		b.LogSeq++
		b.LogBytes += int64(len(text))
		piece, err := Encode(BuildPiece{Seq: b.LogSeq, At: tx.now, Text: text})
		if err != nil {
			return err
		}
		if err := tx.w.Set(pieceKey(b.ID, b.LogSeq), piece); err != nil {
			return err
		}
	}
	return tx.putBuild(b)
}

// FinishBuild records how a build ended: with an image, or with a reason.
type FinishBuild struct {
	Build  BuildID `cbor:"1,keyasint"`
	Epoch  Epoch   `cbor:"2,keyasint"`
	Digest string  `cbor:"3,keyasint"` // of the image; "" when it failed
	Error  string  `cbor:"4,keyasint"`
}

func (cmd FinishBuild) apply(tx *Tx) error {
	b, err := tx.makes(cmd.Build, cmd.Epoch)
	if err != nil {
		return err
	}
	to := BuildSucceeded
	if cmd.Digest == "" {
		to = BuildFailed
	}
	return tx.endBuild(b, to, cmd.Digest, cmd.Error)
}

// ReleaseBuild gives a build back that its node cannot go on with, because it
// stops: another one begins anew, and that counts as no try.
type ReleaseBuild struct {
	Build BuildID `cbor:"1,keyasint"`
	Epoch Epoch   `cbor:"2,keyasint"`
}

func (cmd ReleaseBuild) apply(tx *Tx) error {
	b, err := tx.makes(cmd.Build, cmd.Epoch)
	if err != nil {
		return err
	}
	b.Tries = max(0, b.Tries-1)
	return tx.requeue(b)
}

// requeue has a build wait for another node.
func (tx *Tx) requeue(b Build) error {
	b.Node, b.Phase, b.NotBefore, b.Deadline = "", BuildQueued, tx.now, tx.now.Add(BuildQueueTime)
	return tx.putBuild(b)
}

// endBuild ends a build and tells its environment.
func (tx *Tx) endBuild(b Build, to BuildPhase, digest, reason string) (err error) {
	if b.Phase, err = b.Phase.To(to); err != nil {
		return err
	}
	b.Digest, b.Error, b.EndedAt = digest, reason, tx.now
	if err := tx.announceBuild(b); err != nil {
		return err
	}
	if err := tx.putBuild(b); err != nil || b.Test {
		return err
	}
	e, err := tx.Environment(b.Account, b.Environment)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if e.Build.Running == b.ID {
		e.Build.Running = ""
	}
	if e.Build.Queued == b.ID {
		e.Build.Queued = ""
	}
	e.Build.At, e.Build.Error = tx.now, reason
	if to == BuildSucceeded && (b.Hash == e.Build.Wanted || e.Build.Hash != e.Build.Wanted) {
		e.Build.Hash, e.Build.Tag, e.Build.Digest = b.Hash, b.Tag, digest
		if err := tx.runImage(e, digest); err != nil {
			return err
		}
	}
	if e.Build.Status = e.Build.status(b); e.Build.Status == EnvironmentReady {
		e.Build.Error = "" // of a recipe that is not the environment's any more
	}
	return tx.putBuilt(e)
}

// status is what an environment's users see after a build ended.
func (s Built) status(ended Build) string {
	switch {
	case s.Queued != "":
		return EnvironmentPending
	case ended.Phase == BuildFailed && ended.Hash == s.Wanted:
		return EnvironmentFailed
	case s.Hash == s.Wanted:
		return EnvironmentReady
	}
	return EnvironmentFailed
}

// CancelBuild ends what is under way for an environment's image. Nothing under
// way is a Conflict.
type CancelBuild struct {
	Account     AccountID     `cbor:"1,keyasint"`
	Environment EnvironmentID `cbor:"2,keyasint"`
}

// cancelledText is an environment's reason after its build was cancelled.
const cancelledText = "Build cancelled"

func (cmd CancelBuild) apply(tx *Tx) error {
	e, err := tx.Environment(cmd.Account, cmd.Environment)
	if err != nil {
		return err
	}
	if e.Build.Running == "" && e.Build.Queued == "" {
		return fault.New(fault.Conflict, "No build is in progress for environment %s", e.ID)
	}
	if err := tx.dropBuilds(&e, cancelledText); err != nil {
		return err
	}
	e.Build.Status, e.Build.Error, e.Build.At = EnvironmentFailed, cancelledText, tx.now
	if e.Build.Hash == e.Build.Wanted {
		e.Build.Status, e.Build.Error = EnvironmentReady, ""
	}
	return tx.putBuilt(e)
}

// releaseBuilds takes builds from a node that lost its lease: they wait for
// another one, or fail where that would be one try too many.
func releaseBuilds(tx *Tx, node NodeID) error {
	var held []Build
	err := tx.BuildsOn(node, func(b Build) bool { held = append(held, b); return true })
	for _, b := range held {
		switch {
		case err != nil:
			return err
		case b.Tries >= MaxBuildTries:
			err = tx.endBuild(b, BuildFailed, "", lostText(b.Tries))
		default:
			err = tx.requeue(b)
		}
	}
	return err
}

// behindAnother reports whether a build waits for another one of its
// environment, and not for a node.
func (tx *Tx) behindAnother(b Build) (bool, error) {
	if b.Node != "" || b.Test {
		return false, nil
	}
	e, err := tx.Environment(b.Account, b.Environment)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return e.Build.Running != "" && e.Build.Running != b.ID, err
}

// expireBuilds fails builds that nobody ended in their time.
func expireBuilds(tx *Tx, n int) (int, error) {
	due, err := builds.before(tx.w, "deadline", tx.now, n)
	for i, b := range due {
		if err != nil {
			return i, err
		}
		behind, behindErr := tx.behindAnother(b)
		if behindErr != nil {
			return i, behindErr
		}
		if behind {
			b.Deadline = tx.now.Add(BuildQueueTime)
			err = tx.putBuild(b)
			continue
		}
		reason := fmt.Sprintf("Build timeout after %d s", int64(b.Limit/time.Second))
		if b.Node == "" {
			reason = fmt.Sprintf("No node was free to build it for %s", BuildQueueTime)
		}
		err = tx.endBuild(b, BuildFailed, "", reason)
	}
	return len(due), err
}
