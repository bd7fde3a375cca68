// Package proc keeps the processes that a guest starts inside its computer.
//
// A process is its own session and process group. It outlives whoever asked
// for it; those who listen get its output through a Subscription, with back
// pressure: a process whose only listener reads slowly waits on its pipe.
//
//	running ──▶ exited ──▶ ended ──▶ forgotten
//
//	running    the kernel has the process
//	exited     its status is known; what it printed is still being delivered
//	ended      the end was published; a late listener gets only the end
//	forgotten  newer ones have ended since, or Retention is over
//
// One lock orders fork, wait and kill, so a signal never reaches a process
// that merely got the number of one that was reaped.
package proc

import (
	"errors"
	"time"
)

// Errors that a caller acts on.
var (
	ErrNotFound = errors.New("no such process")
	ErrFull     = errors.New("too many processes")
	ErrStart    = errors.New("cannot start the process")
	ErrExited   = errors.New("the process has exited")
	ErrNoStdin  = errors.New("the process has no open stdin")
	ErrNoPTY    = errors.New("the process has no terminal")
	ErrPTY      = errors.New("the process reads from a terminal, not from stdin")
	ErrClosed   = errors.New("the computer is stopping")
)

const (
	// MaxLive bounds processes that run, or whose pipes a child still holds.
	MaxLive = 1024
	// MaxEnded bounds the processes that are remembered after their end.
	MaxEnded = 256
	// Retention is how long the end of a process can still be asked for.
	Retention = time.Minute
	// MaxListeners bounds the subscriptions of one process.
	MaxListeners = 32

	// oomScore has the kernel end what the guest started before the guest, when
	// the computer's memory is used up: 500 weighs as much as half of it.
	oomScore = "700"

	// pipeChunkBytes and ptyChunkBytes are the most that one event carries.
	pipeChunkBytes = 32 << 10
	ptyChunkBytes  = 16 << 10
	// queuedChunks bounds what waits for one listener before it slows the
	// process down.
	queuedChunks = 16
	// stallLimit is how long a listener may keep other listeners waiting
	// before it is cut off.
	stallLimit = 30 * time.Second
	// drainGrace is how long output is awaited after the exit of a process
	// whose pipes a child in the background still holds.
	drainGrace = 50 * time.Millisecond
	// drainBytes bounds what is then taken from a pipe without waiting; the
	// kernel lets an unprivileged process grow a pipe to 1 MiB.
	drainBytes = 1 << 20
)
