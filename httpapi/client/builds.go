package client

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Dockerfile is how an environment's image is made.
func (e Environments) Dockerfile(ctx context.Context, id string) (wire.Dockerfile, error) {
	return get[wire.Dockerfile](ctx, e.c, path("environments", id, "dockerfile"))
}

// Build asks for an environment's image; with force also where it is there.
func (e Environments) Build(ctx context.Context, id string, force bool) (wire.StartedBuild, error) {
	return postOnce[wire.StartedBuild](ctx, e.c, path("environments", id, "build"), wire.StartBuild{Force: force})
}

// CancelBuild ends what is under way for an environment's image.
func (e Environments) CancelBuild(ctx context.Context, id string) (wire.StartedBuild, error) {
	return postOnce[wire.StartedBuild](ctx, e.c, path("environments", id, "build", "cancel"), nil)
}

// BuildStatus is what is known of an environment's image.
func (e Environments) BuildStatus(ctx context.Context, id string) (wire.BuildStatus, error) {
	return get[wire.BuildStatus](ctx, e.c, path("environments", id, "build", "status"))
}

// BuildLogs is what the newest build has said so far.
func (e Environments) BuildLogs(ctx context.Context, id string) (wire.BuildLogs, error) {
	return get[wire.BuildLogs](ctx, e.c, path("environments", id, "build", "logs"))
}

// FollowBuild hands over what a build says, from its beginning, as it comes, at
// any node, until it has ended; build "" is the newest. It returns the last
// event, which tells how it ended.
func (e Environments) FollowBuild(ctx context.Context, id, build string, each func(text string) error) (wire.BuildEvent, error) {
	r := &buildReader{build: build, each: each}
	err := ended(e.c.follow(ctx, func(ctx context.Context, after uint64) (*http.Response, error) {
		return e.c.stream(ctx, query(path("environments", id, "build", "logs"),
			"stream", "true", "build", r.build, "after", strconv.FormatUint(after, 10)))
	}, r))
	return r.end, err
}

// buildReader takes a build's stream.
type buildReader struct {
	build string // "" until it is known
	last  uint64
	end   wire.BuildEvent
	each  func(string) error
}

func (r *buildReader) start() {}

func (r *buildReader) seen() uint64 { return r.last }

func (r *buildReader) dispatch(id, data string) error {
	if data == "" {
		return nil
	}
	var e wire.BuildEvent
	if err := json.Unmarshal([]byte(data), &e); err != nil {
		return fault.New(fault.Internal, "an event cannot be read: %w", err)
	}
	r.build = e.BuildID
	if e.Type == wire.BuildCompleted {
		r.end = e
		return ErrStop
	}
	seq, err := strconv.ParseUint(id, 10, 64)
	if err != nil || seq <= r.last {
		return nil // seen before the stream broke off
	}
	r.last = seq
	return r.each(e.Text)
}
