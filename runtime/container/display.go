package container

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/image"
)

// displayTime bounds how long a display may take to come up.
const displayTime = 30 * time.Second

// Display implements runtime.Displayer. The display is the default user's; an
// idle computer has none until somebody wants to see it.
func (d *Driver) Display(ctx context.Context, epoch runtime.Epoch, id runtime.ID) (uint16, error) {
	r, err := d.load(id)
	if err != nil {
		return 0, err
	}
	info, err := d.Images.Info(ctx, r.Image)
	if err != nil {
		return 0, fmt.Errorf("display of %s: %w", id, err)
	}
	if info.Config.Desktop == "" {
		return 0, fmt.Errorf("display of %s: %w: its image %s has no desktop", id, runtime.ErrUnsupported, r.Spec.Image)
	}
	var said tail
	exit, err := d.Exec(ctx, epoch, id, runtime.Cmd{
		Argv: []string{info.Config.Desktop, strconv.Itoa(image.DisplayPort)}, Dir: "/",
		Stdout: &said, Stderr: &said, Timeout: displayTime,
	})
	if err != nil {
		return 0, fmt.Errorf("display of %s: %w", id, err)
	}
	if exit.Code != 0 || exit.TimedOut {
		return 0, fmt.Errorf("display of %s: %w: it ended with %d: %s", id, runtime.ErrUnready, exit.Code, bytes.TrimSpace(said.kept))
	}
	return image.DisplayPort, nil
}

// tail keeps the end of what a program writes.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	t.kept = slices.Delete(t.kept, 0, max(0, len(t.kept)-maxComplaintBytes))
	return len(p), nil
}
