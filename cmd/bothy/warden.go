package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/bothy-computer/bothy/runtime/warden"
)

// wardenCommand makes this binary a warden: `bothy warden DIR NODE`. Nodes
// start it; it is no command for people.
const wardenCommand = "warden"

// wardenArgv starts the warden of a data directory from the binary that runs
// now, even if another has taken its place on disk.
func wardenArgv(dir, node string) []string {
	return []string{"/proc/self/exe", wardenCommand, dir, node}
}

func runWarden(args []string) int {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if len(args) != 2 {
		log.Error("a warden wants a data directory and a node's uuid")
		return exitUsage
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go staySlim(ctx, log)
	err := warden.Main(ctx, warden.Options{Dir: args[0], Node: args[1], Log: log})
	if err != nil && !errors.Is(err, warden.ErrTaken) {
		log.Error("warden ended", "err", err)
		return exitFailed
	}
	return 0
}
