package nemesis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	buildPace     = 25 * time.Second
	buildPatience = 2 * time.Minute
)

// builds change a recipe and build it, one after the other.
type builds struct {
	p            *game
	environment  string
	number       int
	good, failed int
	wrong        []error
}

func newBuilds(p *game) *builds { return &builds{p: p} }

func (w *builds) work(ctx context.Context) {
	for n := 0; sleep(ctx, buildPace) == nil; n++ {
		call, cancel := context.WithTimeout(context.Background(), buildPatience)
		ready, err := w.build(call, w.p.through(n))
		cancel()
		switch {
		case err != nil: // asked for at a bad time
		case ready:
			w.good++
		default:
			w.failed++ // two owners can be lost in one build
		}
	}
}

// build makes an image that holds a number, and reports whether it is there.
func (w *builds) build(ctx context.Context, c *client.Client) (ready bool, err error) {
	w.number++
	recipe := wire.WriteEnvironment{Name: wire.Some("builds"), DockerfileExtensions: wire.Some(fmt.Sprintf("RUN echo %d > /opt/number && sleep 1", w.number))}
	if w.environment == "" {
		env, err := c.Environments().Create(ctx, recipe)
		if err != nil {
			return false, err
		}
		w.environment = env.ID
	} else if _, err := c.Environments().Update(ctx, w.environment, recipe); err != nil {
		return false, err
	}
	started, err := c.Environments().Build(ctx, w.environment, false)
	if err != nil || started.BuildID == nil {
		return false, errors.Join(err, errors.New("no build was begun"))
	}
	end, err := c.Environments().FollowBuild(ctx, w.environment, *started.BuildID, func(string) error { return nil })
	if err != nil {
		return false, err
	}
	return end.BuildStatus == "ready", nil
}

func (w *builds) judge(ctx context.Context) (string, error) {
	seen := fmt.Sprintf("%d images made, %d builds failed", w.good, w.failed)
	c := w.p.through(0)
	if ready, err := w.build(ctx, c); err != nil || !ready {
		return seen, errors.Join(fmt.Errorf("the last build is not ready: %v", ready), err)
	}
	r, err := c.Run(ctx, client.Message{Environment: w.environment, Model: "script", Content: "```bash\necho number $(cat /opt/number)\n```"}, nil)
	if err != nil {
		return seen, err
	}
	if want := fmt.Sprintf("number %d\n", w.number); !strings.Contains(r.Content, want) {
		return seen, fmt.Errorf("%q is not in %q", want, r.Content)
	}
	return seen + ", and the last one is right", nil
}
