package actors

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/actors/agent/executor"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/build"
)

const (
	// installTime bounds one installation. It ends before a computer without a
	// record is taken for one that was left.
	installTime = orphanAge - time.Minute
	// failedFor is how long a failed installation is the answer, so that those
	// who wait do not all try the same.
	failedFor = 30 * time.Second
	// maxInstallLog bounds what is kept of an installation's output.
	maxInstallLog = 8 << 10
)

// programs are the coding CLIs of this machine, each installed once, when a run
// first needs it, and seen by all computers.
type programs struct {
	driver  Driver
	builder runtime.Builder // nil on a node that makes no images
	now     func() time.Time

	mu   sync.Mutex
	cell map[string]*installing
}

// installing is one program's: its token is held by whoever installs it.
type installing struct {
	token  chan struct{}
	failed error // of the last installation, at
	at     time.Time
}

func newPrograms(d Driver, b runtime.Builder, now func() time.Time) *programs {
	return &programs{driver: d, builder: b, now: now, cell: map[string]*installing{}}
}

// ready returns an executor's path in computers, installing it first if need
// be: then say is called, since that takes a while.
func (p *programs) ready(ctx context.Context, e executor.Executor, say func(format string, args ...any)) (string, error) {
	shelf, ok := p.driver.(runtime.Shelver)
	if !ok || p.builder == nil {
		return "", fault.New(fault.Unsupported, "%s cannot be installed on this node", e.Name)
	}
	path := runtime.ProgramsDir + "/" + e.Kept() + "/" + e.Program()
	if shelf.Shelved(e.Kept()) {
		return path, nil
	}
	c := p.of(e.Kept())
	select {
	case c.token <- struct{}{}:
		defer func() { <-c.token }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	if shelf.Shelved(e.Kept()) {
		return path, nil
	}
	if c.failed != nil && p.now().Sub(c.at) < failedFor {
		return "", c.failed
	}
	say("%s is being installed on this node, which happens once.", e.Name)
	err := p.install(ctx, shelf, e)
	if ctx.Err() != nil {
		return "", context.Cause(ctx) // whoever comes next tries again
	}
	c.failed, c.at = err, p.now()
	return path, err
}

func (p *programs) of(name string) *installing {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cell[name] == nil {
		p.cell[name] = &installing{token: make(chan struct{}, 1)}
	}
	return p.cell[name]
}

// install makes an image that holds the program, of the base that environments
// have, takes the program out of it, and leaves the rest to the images' sweep.
func (p *programs) install(ctx context.Context, shelf runtime.Shelver, e executor.Executor) error {
	limited, cancel := context.WithTimeout(ctx, installTime)
	defer cancel()
	var said bytes.Buffer
	digest, err := p.builder.Build(limited, 1, runtime.Build{
		Machine: runtime.ID(newComputerID()), Dockerfile: e.Dockerfile(build.DefaultBase), Egress: runtime.Egress{Allowed: true}, Log: &tail{&said, maxInstallLog},
	})
	var unmade *runtime.BuildFailure
	switch {
	case errors.As(err, &unmade):
		return fault.New(fault.Unavailable, "%s could not be installed: %s", e.Name, unmade.Reason)
	case limited.Err() != nil:
		return fault.New(fault.Unavailable, "%s could not be installed within %s", e.Name, installTime)
	case err != nil:
		return fmt.Errorf("install %s: %w", e.Name, translate(err))
	}
	return translate(shelf.Shelve(ctx, e.Kept(), digest, executor.BuildDir))
}
