// Package scp is the far end of `scp -O`, for computers that have no scp of
// their own. It speaks the protocol of the old rcp: lines that announce a file
// or directory, each answered by a byte, and the bytes of files between them.
package scp

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

// Bounds of what the other side may send.
const (
	maxLineBytes = 8 << 10
	maxDepth     = 128
)

// Answers to a line, and to a file.
const (
	answerOK    = 0
	answerError = 1 // a message follows; go on
	answerFatal = 2
)

// peer is the other side.
type peer struct {
	in  *bufio.Reader
	out *bufio.Writer
	// failed is set when something was not copied, which the exit code tells.
	failed bool
}

// errUncopied is what Run returns when both sides know already what failed.
var errUncopied = errors.New("not everything was copied")

// Run reads the arguments that scp gives its far end: -t takes files to one
// path, -f sends those of many. It ends with an error when not all were copied.
func Run(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("scp", flag.ContinueOnError)
	to, from := flags.Bool("t", false, "take files"), flags.Bool("f", false, "send files")
	recursive, times := flags.Bool("r", false, "directories too"), flags.Bool("p", false, "keep times and modes")
	directory := flags.Bool("d", false, "the target is a directory")
	flags.Bool("v", false, "accepted for scp's sake")
	if err := flags.Parse(args); err != nil {
		return err
	}
	p := &peer{in: bufio.NewReaderSize(in, maxLineBytes), out: bufio.NewWriter(out)}
	var err error
	switch {
	case *to && !*from && flags.NArg() == 1:
		err = (&sink{peer: p, recursive: *recursive, times: *times}).take(flags.Arg(0), *directory)
	case *from && !*to && flags.NArg() > 0:
		err = (&source{peer: p, recursive: *recursive, times: *times}).send(flags.Args())
	default:
		err = errors.New("usage: scp -t|-f [-r] [-p] [-d] path...")
	}
	if err == nil && p.failed {
		err = errUncopied
	}
	return err
}

// line reads one line without its end.
func (p *peer) line() (string, error) {
	text, err := p.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", fmt.Errorf("a line of more than %d bytes", maxLineBytes)
	}
	if err != nil {
		return "", err
	}
	return string(text[:len(text)-1]), nil
}

func (p *peer) answer() error { return p.say("\x00") }

func (p *peer) say(text string) error {
	if _, err := p.out.WriteString(text); err != nil {
		return err
	}
	return p.out.Flush()
}

// complain tells the other side what failed, and goes on.
func (p *peer) complain(err error) error {
	p.failed = true
	return p.say(fmt.Sprintf("%cscp: %s\n", answerError, err))
}

// answered reads the other side's answer; taken is false when it refused.
func (p *peer) answered() (taken bool, err error) {
	b, err := p.in.ReadByte()
	if err != nil {
		return false, err
	}
	switch b {
	case answerOK:
		return true, nil
	case answerError, answerFatal:
		text, err := p.line()
		p.failed = true
		if err == nil && b == answerFatal {
			err = fmt.Errorf("the other side gave up: %s", text)
		}
		return false, err
	}
	return false, fmt.Errorf("an answer of %d", b)
}

// copyAll copies n bytes; a source that is shorter is made up with zeros, as
// its size was announced already.
func copyAll(to io.Writer, from io.Reader, n int64) (short error, err error) {
	done, err := io.CopyN(to, from, n)
	if err == nil {
		return nil, nil
	}
	var at *os.PathError
	if !errors.Is(err, io.EOF) && !errors.As(err, &at) {
		return nil, err
	}
	_, again := io.CopyN(to, zeros{}, n-done)
	return err, again
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
