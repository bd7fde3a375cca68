package runtime

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// ErrNoInbox is of a send that another machine did not take.
var ErrNoInbox = errors.New("the other machine does not take what is sent")

// Mover is a Driver that sends disks to other machines of its kind, without a
// blob store between them. What goes between them is read by drivers alone. What
// was sent is nothing until a Create names it in Spec.Sent.
type Mover interface {
	// SendSnapshot sends a snapshot of this machine to the one at the end of way,
	// under its own name: there it is complete, verified and on the disk when it
	// returns. What is as it was in base, which was sent there before, is neither
	// read nor sent again as far as this machine knows it, and never sent again;
	// base "" is none, and so is one that was forgotten there. Done again it is success, and sends what was missing.
	// ErrNoSnapshot, ErrNoInbox, and ErrFull when the other machine has no room.
	SendSnapshot(ctx context.Context, of Source, base string, way http.RoundTripper) (Saved, error)
	// Inbox takes what other machines send; way leads to it. It is nil where the
	// machine takes nothing.
	Inbox() http.Handler
	// ForgetSent deletes all that was sent of a computer, unless some of it came
	// after last, or does just now. An unknown one is success.
	ForgetSent(ctx context.Context, id ID, last time.Time) error
	// SentComputers tells of which computers something is in the inbox, and when
	// the last of it came; of what came before this process began, that.
	SentComputers(ctx context.Context, visit func(ID, time.Time) error) error
}
