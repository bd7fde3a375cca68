package computeragents

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

func (a *API) buildRoutes() []door.Route {
	read, write := []string{"environments:read"}, []string{"environments:write"}
	return []door.Route{
		{Method: "POST", Path: "/environments/:id/build", Scopes: write, Serve: a.onEnvironment(a.startBuild)},
		{Method: "POST", Path: "/environments/:id/build/cancel", Scopes: write, Serve: a.onEnvironment(a.cancelBuild)},
		{Method: "GET", Path: "/environments/:id/build/status", Scopes: read, Serve: a.Handle(a.buildStatus)},
		{Method: "GET", Path: "/environments/:id/build/logs", Scopes: read, Long: true, Serve: a.Handle(a.buildLogs)},
		{Method: "POST", Path: "/environments/:id/build/test", Scopes: write, Long: true, Serve: a.onEnvironment(a.testBuild)},
	}
}

// startBuild serves POST /environments/:id/build.
func (a *API) startBuild(c *gin.Context, id state.EnvironmentID) error {
	var req wire.StartBuild
	if err := a.ReadAny(c, &req); err != nil {
		return err
	}
	force, given, err := door.Flag(c, "force")
	if err != nil {
		return err
	}
	e, begun, err := a.Builds.Request(c.Request.Context(), door.CallerOf(c), id, given && force || req.Force)
	if err != nil {
		return err
	}
	reply := startedBuild(e)
	if begun {
		// Also of one that was quick: what is asked for is begun, as its page says.
		reply.BuildStatus, reply.Status = state.EnvironmentBuilding, state.EnvironmentBuilding
	} else {
		reply.Message = "Environment is up to date"
	}
	a.ok(c, reply)
	return nil
}

func startedBuild(e state.Environment) wire.StartedBuild {
	return wire.StartedBuild{Message: "Build started", EnvironmentID: string(e.ID), BuildStatus: e.Build.Status, Status: e.Build.Status,
		BuildID: maybe(e.Build.Last), ImageTag: maybe(e.Build.Tag), Success: true}
}

// cancelBuild serves POST /environments/:id/build/cancel.
func (a *API) cancelBuild(c *gin.Context, id state.EnvironmentID) error {
	e, err := a.Builds.Cancel(c.Request.Context(), door.CallerOf(c), id)
	if err != nil {
		return err
	}
	reply := startedBuild(e)
	reply.Message = "Build cancelled"
	a.ok(c, reply)
	return nil
}

// buildStatus serves GET /environments/:id/build/status.
func (a *API) buildStatus(c *gin.Context) error {
	e, err := a.environment(c)
	if err != nil {
		return err
	}
	b := e.Build
	a.ok(c, wire.BuildStatus{BuildStatus: b.Status, BuildHash: maybe(b.Hash), BuildError: maybe(b.Error), BuildID: maybe(b.Last),
		ImageTag: maybe(b.Tag), LastBuildAt: wire.Maybe(b.At)})
	return nil
}

// buildLogs serves GET /environments/:id/build/logs: what the newest build has
// said so far or, with stream=true, what it says until it has ended. A stream
// is resumed by the id of its last event, and names its build for that.
func (a *API) buildLogs(c *gin.Context) error {
	stream, _, err := door.Flag(c, "stream")
	if err != nil {
		return err
	}
	if stream {
		return a.streamBuild(c)
	}
	e, err := a.environment(c)
	if err != nil {
		return err
	}
	log, err := a.Builds.Log(e.Build.Last)
	if err != nil {
		return err
	}
	a.ok(c, wire.BuildLogs{BuildLogs: log, Logs: log, BuildID: maybe(e.Build.Last), BuildStatus: e.Build.Status})
	return nil
}

func (a *API) streamBuild(c *gin.Context) error {
	named := state.BuildID(c.Query("build"))
	if err := identifier("build", string(named)); err != nil {
		return err
	}
	after, err := resumeAt(c.Query("after"), c.GetHeader("Last-Event-ID"))
	if err != nil {
		return err
	}
	e, err := a.environment(c)
	if err != nil {
		return err
	}
	var b state.Build // none if there never was one
	if id := cmp.Or(named, e.Build.Last); id != "" {
		if b, err = a.buildOf(c, e, id); err != nil {
			return err
		}
	}
	if named == "" && after > b.LogSeq {
		after = 0 // of another build
	}
	s, err := a.Reserve(c)
	if err != nil {
		return err
	}
	s.Close(a.followBuild(s, e, b, after))
	return nil
}

// buildOf reads a build of an environment.
func (a *API) buildOf(c *gin.Context, e state.Environment, id state.BuildID) (state.Build, error) {
	return get(a, c, func(v *state.View, account state.AccountID) (state.Build, error) {
		b, err := v.Build(account, id)
		if err == nil && b.Environment != e.ID {
			err = fault.New(fault.NotFound, "Build not found: %s", id).WithField("build")
		}
		return b, err
	})
}

// followBuild sends a build's log until it has ended.
func (a *API) followBuild(s *door.Stream, e state.Environment, b state.Build, after uint64) error {
	if err := s.Begin(after); err != nil {
		return err
	}
	if b.ID == "" {
		return errors.Join(s.Add(0, a.endOf(e, b)), s.Flush())
	}
	f := a.Builds.Follow(b.ID, after)
	defer f.Close()
	for {
		pieces, now, quiet, err := nextPieces(s.Context(), f, s.Quiet())
		if err != nil {
			return err
		}
		for _, p := range pieces {
			at := wire.At(p.At)
			if err := s.Add(p.Seq, wire.BuildEvent{Type: wire.BuildLog, BuildID: string(b.ID), Timestamp: &at, Text: p.Text}); err != nil {
				return err
			}
		}
		switch {
		case quiet:
			err = s.Ping()
		case len(pieces) > 0:
			err = s.Flush()
		default: // it is over, or forgotten with its environment
			now.ID = b.ID
			return errors.Join(s.Add(0, a.endOf(e, now)), s.Flush())
		}
		if err != nil {
			return err
		}
	}
}

// nextPieces waits for what a build says, and not longer than wait: then it was
// quiet.
func nextPieces(parent context.Context, f BuildFollower, wait time.Duration) (pieces []state.BuildPiece, b state.Build, quiet bool, err error) {
	ctx, cancel := context.WithTimeout(parent, wait)
	defer cancel()
	pieces, b, err = f.Next(ctx)
	if err != nil && ctx.Err() != nil && parent.Err() == nil {
		return nil, b, true, nil
	}
	return pieces, b, false, err
}

// endOf is the last event of a build's stream.
func (a *API) endOf(e state.Environment, b state.Build) wire.BuildEvent {
	v := a.Records.StaleView()
	defer v.Close()
	if now, err := v.Environment(e.Account, e.ID); err == nil {
		e = now
	}
	event := wire.BuildEvent{Type: wire.BuildCompleted, BuildID: string(b.ID), BuildStatus: e.Build.Status, BuildError: maybe(b.Error)}
	if b.Phase == state.BuildSucceeded {
		event.ImageTag = maybe(b.Tag)
	}
	return event
}

// testEvery is how often a client that waits for a test gets a space, which no
// parser of JSON minds, so that nobody on the way takes the reply for dead.
const testEvery = 5 * time.Second

// testBuild serves POST /environments/:id/build/test. It answers 200 at once
// and how it came out when it is over.
func (a *API) testBuild(c *gin.Context, id state.EnvironmentID) error {
	var none struct{}
	if err := a.ReadAny(c, &none); err != nil {
		return err
	}
	if err := a.Draining(); err != nil {
		return err
	}
	begun := a.Now()
	asked, err := a.askTest(c, id)
	if err != nil {
		return err
	}
	c.Header("Content-Type", "application/json; charset=utf-8")
	c.Header("X-Accel-Buffering", "no") // nginx would hold the spaces back
	c.Status(http.StatusOK)
	control := http.NewResponseController(c.Writer)
	waits, leave := context.WithCancel(c.Request.Context())
	defer leave()
	defer context.AfterFunc(a.Drain, leave)()
	for {
		if _, err := c.Writer.WriteString(" "); err != nil {
			return nil // the client is gone; the build goes on and keeps nothing
		}
		if err := control.Flush(); err != nil {
			return nil
		}
		ctx, cancel := context.WithTimeout(waits, testEvery)
		b, err := a.Builds.Await(ctx, asked)
		waited := err != nil && ctx.Err() != nil
		cancel()
		if c.Request.Context().Err() != nil {
			return nil
		}
		if draining := a.Draining(); waited && draining != nil {
			waited, err = false, draining
		}
		if !waited {
			// Who is gone by now misses nothing that was kept.
			_ = json.NewEncoder(c.Writer).Encode(a.tested(c, b, a.Now().Sub(begun), err))
			return nil
		}
	}
}

// askTest begins the test, in the time that a request may take which answers.
func (a *API) askTest(c *gin.Context, id state.EnvironmentID) (state.BuildID, error) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), a.Patience.Request)
	defer cancel()
	return a.Builds.Test(ctx, door.CallerOf(c), id)
}

// tested is the reply's body. The status is gone: whatever failed is told in it.
func (a *API) tested(c *gin.Context, b state.Build, took time.Duration, failed error) wire.TestedBuild {
	reply := wire.TestedBuild{Duration: took.Milliseconds()}
	if failed == nil {
		reply.Success = b.Phase == state.BuildSucceeded
		reply.Logs, failed = a.Builds.Log(b.ID)
	}
	var known *fault.Error
	switch {
	case errors.As(failed, &known) && known.Kind != fault.Internal:
		reply.Success, reply.Error = false, maybe(known.Message)
	case failed != nil:
		a.Log.ErrorContext(c.Request.Context(), "test of a build", "request", door.RequestID(c), "err", failed)
		reply.Success, reply.Error = false, maybe("Internal error")
	case reply.Success:
		reply.ImageTag, reply.Message = maybe(b.Tag), maybe("Build test completed successfully")
	default:
		reply.Error = maybe(cmp.Or(b.Error, "Build failed"))
	}
	return reply
}

// Builds makes environments' images.
type Builds interface {
	// Request asks for an image; false when it is there already.
	Request(ctx context.Context, c actors.Caller, id state.EnvironmentID, force bool) (state.Environment, bool, error)
	Cancel(context.Context, actors.Caller, state.EnvironmentID) (state.Environment, error)
	// Test asks for a build that keeps nothing; Await waits for the end of any.
	Test(context.Context, actors.Caller, state.EnvironmentID) (state.BuildID, error)
	Await(context.Context, state.BuildID) (state.Build, error)
	// Log is all that a build has said; of none, nothing.
	Log(state.BuildID) (string, error)
	Follow(id state.BuildID, after uint64) BuildFollower
}

// BuildFollower gives a build's log as it grows. Next waits for a piece, or for
// the build to be over.
type BuildFollower interface {
	Next(context.Context) ([]state.BuildPiece, state.Build, error)
	Close()
}
