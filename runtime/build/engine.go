package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/image"
)

// Machines are the computers that steps run in; container.Driver has them.
type Machines interface {
	Create(ctx context.Context, epoch runtime.Epoch, spec runtime.Spec) error
	Start(ctx context.Context, epoch runtime.Epoch, id runtime.ID) error
	Exec(ctx context.Context, epoch runtime.Epoch, id runtime.ID, cmd runtime.Cmd) (runtime.Exit, error)
	Stop(ctx context.Context, epoch runtime.Epoch, id runtime.ID, grace time.Duration) error
	Remove(ctx context.Context, epoch runtime.Epoch, id runtime.ID) error
	// Lay puts files into the root of a computer that does not run.
	Lay(ctx context.Context, epoch runtime.Epoch, id runtime.ID, owner string, entries []image.Entry) error
	// Copy puts files of an image there, by its digest.
	Copy(ctx context.Context, epoch runtime.Epoch, id runtime.ID, digest, owner string, files image.Files) error
	// Commit makes an image of a computer that does not run, and remembers it
	// under a key.
	Commit(ctx context.Context, epoch runtime.Epoch, id runtime.ID, config image.Config, key string) (digest string, err error)
}

// Images is where images are kept; image.Store is one.
type Images interface {
	Resolve(ctx context.Context, name string) (digest string, err error)
	// Makes reports whether a name is one that an image is made for here.
	Makes(name string) bool
	Info(ctx context.Context, digest string) (image.Info, error)
	Cached(key string) (digest string, ok bool)
	// Commit makes an image of another with another configuration.
	Commit(ctx context.Context, c image.Change) (digest string, err error)
	Name(ctx context.Context, name, digest string) error
	// Use keeps an image from being swept until release.
	Use(ctx context.Context, digest string) (release func(), err error)
}

// Engine makes images of Dockerfiles: each step runs in a computer of its own,
// on what the steps before it left.
type Engine struct {
	Machines Machines
	Images   Images
	// Aliases are names of base images that stand for others.
	Aliases map[string]string
	// Env is what every step sees besides its own variables, KEY=value: the
	// mirrors that installers are to use. Nothing here writes it to an image, key or
	// log, but a step can read it: it holds no credentials.
	Env []string
	// Resources bound the computer that a step runs in.
	Resources runtime.Resources
}

var _ runtime.Builder = (*Engine)(nil)

// keyPrefix makes a digest, as image.Store names things by, of a plan's key.
const keyPrefix = "sha256:"

// stopGrace is what a step's leftovers get to end by themselves.
const stopGrace = time.Second

// Build implements runtime.Builder.
func (e *Engine) Build(ctx context.Context, epoch runtime.Epoch, b runtime.Build) (digest string, err error) {
	w := &work{Engine: e, Build: b, ctx: ctx, epoch: epoch, limit: time.Hour, log: b.Log}
	if deadline, ok := ctx.Deadline(); ok {
		w.limit = time.Until(deadline).Round(time.Second)
	}
	defer func() {
		for _, release := range w.held {
			release()
		}
		err = errors.Join(err, e.Machines.Remove(context.WithoutCancel(ctx), epoch, b.Machine))
	}()
	// What an earlier life of this node has left of it.
	if err := e.Machines.Remove(ctx, epoch, b.Machine); err != nil {
		return "", err
	}
	if digest, err = w.all(); err != nil {
		return "", w.explain(err)
	}
	if b.Name != "" {
		err = e.Images.Name(ctx, b.Name, digest)
	}
	return digest, err
}

// work is one build.
type work struct {
	*Engine
	runtime.Build
	ctx    context.Context
	epoch  runtime.Epoch
	limit  time.Duration
	log    io.Writer
	plan   Plan
	made   []string // digests of the stages so far
	now    Step
	output tailWriter // of the step that runs
	held   []func()   // release the images that the build stands on
}

// hold keeps an image to the build's end.
func (w *work) hold(digest string) error {
	release, err := w.Images.Use(w.ctx, digest)
	if err == nil {
		w.held = append(w.held, release)
	}
	return err
}

// all makes every stage and reports the last one's image.
func (w *work) all() (string, error) {
	var err error
	if w.plan, err = NewPlan(w.Dockerfile, Options{Image: w.base}); err != nil {
		return "", err
	}
	w.made = make([]string, len(w.plan.Stages))
	for i, s := range w.plan.Stages {
		from := s.Base.Digest
		if s.From >= 0 {
			from = w.made[s.From]
		}
		if w.made[i], err = w.stage(s, from); err != nil {
			return "", err
		}
	}
	return w.finish(w.made[len(w.made)-1])
}

// base describes a base image for the plan.
func (w *work) base(name string) (Base, error) {
	if other, ok := w.Aliases[name]; ok {
		name = other // the operator's, so it may be any
	} else if IsTag(name) || strings.HasPrefix(name, keyPrefix) {
		// The store does not know whose an image is; tags and digests get around.
		return Base{}, fmt.Errorf("%w: %s is no image to build on: name a base image", runtime.ErrNoImage, quoted(name))
	}
	digest, err := w.find(name)
	if err != nil {
		return Base{}, err
	}
	info, err := w.Images.Info(w.ctx, digest)
	return Base{Digest: digest, Config: info.Config}, err
}

// find looks up an image by a name, and keeps it to the build's end. Names that
// this machine makes images for mean the same to everybody.
func (w *work) find(name string) (digest string, err error) {
	if w.Find != nil && !w.Images.Makes(name) {
		brought, ok, err := w.Find(w.ctx, name)
		switch {
		case err != nil:
			return "", err
		case ok && brought.Release != nil:
			w.held = append(w.held, brought.Release)
			return brought.Digest, nil
		case ok:
			return brought.Digest, w.hold(brought.Digest)
		}
	}
	if digest, err = w.Images.Resolve(w.ctx, name); err == nil {
		err = w.hold(digest)
	}
	return digest, err
}

// finish gives the image the configuration that the Dockerfile asks for.
func (w *work) finish(digest string) (string, error) {
	info, err := w.Images.Info(w.ctx, digest)
	if err != nil {
		return "", err
	}
	if info.Config.Equal(w.plan.Config) {
		return digest, nil
	}
	return w.Images.Commit(w.ctx, image.Change{Parent: digest, Config: w.plan.Config, Key: w.key(nextKey(w.plan.Key, "config"))})
}

// key is what an image is remembered under. A build that keeps nothing remembers
// none, and leaves what others have: it holds its images until it has ended.
func (w *work) key(key string) string {
	if w.Name == "" {
		return ""
	}
	return keyPrefix + key
}

// stage makes what is not known yet of a stage.
func (w *work) stage(s Stage, digest string) (string, error) {
	known := w.known(s, &digest)
	for i, step := range s.Steps {
		w.now = step
		fmt.Fprintf(w.log, "STEP %d/%d: %s\n", step.Number, w.plan.Steps, step.Text)
		if err := w.ctx.Err(); err != nil {
			return "", err
		}
		switch {
		case step.Action == nil:
			continue
		case i <= known:
			fmt.Fprintln(w.log, "--> Using cache")
			continue
		}
		next, err := w.step(step, digest)
		if err == nil {
			err = w.hold(next)
		}
		if err != nil {
			return "", err
		}
		digest = next
		fmt.Fprintf(w.log, "--> %s\n", short(digest))
	}
	return digest, nil
}

// known finds the last step whose image is remembered, or -1, and its image.
func (w *work) known(s Stage, digest *string) int {
	if w.NoCache {
		return -1
	}
	for i, step := range slices.Backward(s.Steps) {
		if step.Action == nil {
			continue
		}
		if found, ok := w.Images.Cached(keyPrefix + step.Key); ok && w.hold(found) == nil {
			*digest = found
			return i
		}
	}
	return -1
}

func short(digest string) string {
	_, hex, _ := strings.Cut(digest, ":")
	return hex[:min(12, len(hex))]
}

// step makes a computer of what the steps before left, changes it, and makes an
// image of that.
func (w *work) step(step Step, digest string) (string, error) {
	w.output = tailWriter{max: maxTailBytes}
	run, runs := step.Action.(Run)
	spec := runtime.Spec{ID: w.Machine, Image: digest, Hostname: "build", Resources: w.Resources, Egress: w.Egress}
	spec.Egress.Allowed = spec.Egress.Allowed && runs && !run.Offline
	if err := w.Machines.Create(w.ctx, w.epoch, spec); err != nil {
		return "", err
	}
	if err := w.act(step.Action); err != nil {
		return "", err
	}
	info, err := w.Images.Info(w.ctx, digest)
	if err != nil {
		return "", err
	}
	next, err := w.Machines.Commit(w.ctx, w.epoch, w.Machine, info.Config, w.key(step.Key))
	if err != nil {
		return "", err
	}
	return next, w.Machines.Remove(w.ctx, w.epoch, w.Machine)
}

func (w *work) act(action Action) error {
	switch a := action.(type) {
	case Run:
		return w.run(a)
	case Files:
		for _, f := range a.Files {
			entry := image.Entry{Path: f.Path, Data: f.Data, Mode: fs.FileMode(f.Mode)}
			if err := w.Machines.Lay(w.ctx, w.epoch, w.Machine, f.Owner, []image.Entry{entry}); err != nil {
				return err
			}
		}
		return nil
	case Copy:
		from := a.From
		if a.Stage >= 0 {
			from = w.made[a.Stage]
		}
		return w.Machines.Copy(w.ctx, w.epoch, w.Machine, from, a.Owner, image.Files{Sources: a.Sources, Dest: a.Dest, Mode: a.Mode})
	case Dir:
		return w.Machines.Lay(w.ctx, w.epoch, w.Machine, a.User, []image.Entry{{Path: a.Path, Dir: true, Mode: 0o755}})
	}
	return fmt.Errorf("%w: a step of kind %T", runtime.ErrUnsupported, action)
}

// run runs a command and waits for its end; what it started besides ends too.
func (w *work) run(r Run) error {
	dir := []image.Entry{{Path: r.Dir, Dir: true, Mode: 0o755}}
	if err := w.Machines.Lay(w.ctx, w.epoch, w.Machine, "", dir); err != nil {
		return err
	}
	if err := w.Machines.Start(w.ctx, w.epoch, w.Machine); err != nil {
		return err
	}
	for _, d := range r.Documents {
		if err := w.document(d); err != nil {
			return err
		}
	}
	out := io.MultiWriter(w.log, &w.output)
	exit, err := w.Machines.Exec(w.ctx, w.epoch, w.Machine, runtime.Cmd{
		Argv: r.Argv, Env: append(slices.Clone(w.Env), r.Env...), Dir: r.Dir, User: r.User, Stdout: out, Stderr: out,
	})
	if err == nil && w.ctx.Err() == nil && (exit.Code != 0 || exit.Signal != "") {
		if exit.Signal != "" {
			fmt.Fprintf(out, "the command was ended by signal %s\n", exit.Signal)
		}
		return errStep
	}
	if err = errors.Join(err, w.ctx.Err()); err != nil {
		return err
	}
	return w.Machines.Stop(w.ctx, w.epoch, w.Machine, stopGrace)
}

// document writes a file that is there while the command runs.
func (w *work) document(f File) error {
	exit, err := w.Machines.Exec(w.ctx, w.epoch, w.Machine, runtime.Cmd{
		Argv: []string{"/bin/sh", "-c", `mkdir -p "$1" && cat > "$2" && chmod "$3" "$2"`, "sh", path.Dir(f.Path), f.Path, fmt.Sprintf("%o", f.Mode)},
		User: "root", Dir: "/", Stdin: strings.NewReader(f.Data), Stdout: &w.output, Stderr: &w.output,
	})
	if err == nil && exit.Code != 0 {
		return errStep
	}
	return err
}

// errStep is a command that failed; its output says why.
var errStep = errors.New("the step failed")

// explain turns what ended a build into words for its user.
func (w *work) explain(err error) error {
	var syntax *SyntaxError
	switch {
	case errors.Is(w.ctx.Err(), context.DeadlineExceeded):
		return &runtime.BuildFailure{Reason: Timeout(w.limit)}
	case w.ctx.Err() != nil:
		return w.ctx.Err()
	case errors.As(err, &syntax):
		if in := syntax.Line - w.ExtensionsAt; w.ExtensionsAt > 0 && in >= 0 && in < w.ExtensionLines {
			syntax = &SyntaxError{Line: in + 1, Reason: syntax.Reason} // as their user counts
		}
		return &runtime.BuildFailure{Reason: syntax.Error()}
	case errors.Is(err, errStep):
		return &runtime.BuildFailure{Reason: StepFailure(w.now.Number, w.plan.Steps, w.output.String())}
	case errors.Is(err, runtime.ErrNoImage), errors.Is(err, runtime.ErrInvalid), errors.Is(err, runtime.ErrFull), errors.Is(err, runtime.ErrUnsupported),
		errors.Is(err, runtime.ErrNotRunning), errors.Is(err, runtime.ErrUnready), errors.Is(err, runtime.ErrAstray):
		return &runtime.BuildFailure{Reason: StepFailure(max(1, w.now.Number), max(1, w.plan.Steps), w.output.String()+"\n"+err.Error())}
	}
	return err
}

// tailWriter keeps the last bytes written to it.
type tailWriter struct {
	max int
	buf []byte
}

func (t *tailWriter) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if len(t.buf) > 2*t.max { // seldom, so that little is moved
		t.buf = slices.Clone(t.buf[len(t.buf)-t.max:])
	}
	return len(p), nil
}

func (t *tailWriter) String() string { return string(t.buf[max(0, len(t.buf)-t.max):]) }
