package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// A warden holds little memory, so it must not make what the rest needs.
	if len(os.Args) > 1 && os.Args[1] == wardenCommand {
		os.Exit(runWarden(os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(execute(ctx, newTerminal(), os.Args[1:]))
}

// execute runs a command line and returns the exit code of the process.
func execute(ctx context.Context, t *terminal, args []string) int {
	root := newRoot(t)
	root.SetArgs(args)
	t.begun = false
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if !t.begun {
		err = mistaken(fmt.Errorf("%w; see `bothy help`", err))
	}
	code, text := verdict(err)
	if text != "" {
		fmt.Fprintln(t.err, text)
	}
	return code
}
