package actors

import (
	"context"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// CodeBuildFailed marks the Conflict of a run whose environment has no image,
// because its build failed.
const CodeBuildFailed = "BUILD_FAILED"

// buildText tells a user that a run waits.
const buildText = "The environment's image is being built; tools wait until it is ready."

// unbuilt says what keeps an environment from having any image yet: a build
// that goes on or follows (waits), or one that failed. An older good image is
// used until there is a newer one.
func unbuilt(e state.Environment) (waits bool, err error) {
	switch {
	case e.Build.Digest != "" || e.Build.Status == state.EnvironmentReady:
		return false, nil
	case e.Build.Status == state.EnvironmentFailed:
		return false, fault.New(fault.Conflict, "The image of environment %s could not be built: %s", e.ID, e.Build.Error).WithCode(CodeBuildFailed)
	}
	return true, nil
}

// environment is that of the run's computer; false when there is none any more.
func (w *work) environment() (e state.Environment, ok bool, err error) {
	if w.computer.Environment == "" {
		return e, false, nil
	}
	e, err = applied(w.cluster, func(v *state.View) (state.Environment, error) {
		return v.Environment(w.computer.Account, w.computer.Environment)
	})
	if fault.Is(err, fault.NotFound) {
		return e, false, nil
	}
	return e, err == nil, err
}

// awaitImage waits until the run's environment has an image, or cannot have
// one.
func (w *work) awaitImage(ctx context.Context) error {
	return w.bell.until(ctx, state.ChangedEnvironment, string(w.computer.Environment), func() (bool, error) {
		e, ok, err := w.environment()
		if err != nil || !ok {
			return true, err
		}
		waits, err := unbuilt(e)
		return !waits, err
	})
}
