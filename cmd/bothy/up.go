package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/bothy-computer/bothy/cluster/trace"
)

// runner is a node that was opened.
type runner interface {
	// Run serves until ctx ends, then lets requests finish and closes the node.
	Run(ctx context.Context) error
	// Banner is what is true of the node now.
	Banner() Banner
}

// newUp is the command that runs a node, or several.
func newUp(t *terminal) *cobra.Command {
	var nodes int
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run a node in the foreground",
		Long: `Run a node in the foreground: the first of a cluster of its own or, with
--join, one more of a cluster there is. A data directory that belongs to a
cluster goes on where it stopped.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := loadConfig(cmd.Flags(), t.getenv)
			if err != nil {
				return mistaken(err)
			}
			if nodes != 1 {
				return upFleet(cmd, t, config, nodes)
			}
			return upNode(cmd.Context(), t, config)
		},
	}
	addSettings(cmd.Flags())
	cmd.Flags().IntVar(&nodes, "nodes", 1, fmt.Sprintf("run this many nodes of one cluster on this machine, 1 to %d", maxFleet))
	return cmd
}

// newJoin is up --join, for those who look for it by that name.
func newJoin(t *terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "join TOKEN",
		Short: "Run a node that joins a cluster (the same as up --join)",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			config, err := loadConfig(cmd.Flags(), t.getenv)
			if err != nil {
				return mistaken(err)
			}
			config.Join = args[0]
			return upNode(cmd.Context(), t, config)
		},
	}
	addSettings(cmd.Flags())
	return cmd
}

func upNode(ctx context.Context, t *terminal, config Config) error {
	log := newLogger(config.Log, t.err)
	if err := makeDataDir(config.Node.Dir); err != nil {
		return err
	}
	n, err := startNode(ctx, config, log)
	if err != nil {
		return err
	}
	manager := supervisor(t.getenv(supervisorVariable))
	defer context.AfterFunc(ctx, func() {
		if err := manager.tell(supervisorStopping); err != nil {
			log.Warn("stopping", "err", err)
		}
	})()
	ctx, cancel := context.WithCancel(ctx)
	told := make(chan error, 1)
	go func() { told <- announce(ctx, n, t.out, manager, log) }()
	err = n.Run(ctx)
	cancel()
	return errors.Join(err, <-told)
}

// makeDataDir makes the node's directory so that computers can reach what is
// theirs in it; everything secret in it is a 0600 file.
func makeDataDir(dir string) error {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	return nil
}

const (
	// readyPoll is how often a starting node is asked whether it is ready.
	readyPoll = 50 * time.Millisecond
	// readyPatience is after how long the log says that it still is not.
	readyPatience = 15 * time.Second
)

// announce prints the banner once the node's own door says that it is ready,
// and tells the service manager.
func announce(ctx context.Context, n runner, out io.Writer, manager supervisor, log *slog.Logger) error {
	slow := time.AfterFunc(readyPatience, func() {
		log.Warn("not ready yet: a node needs a majority of the cluster's voters; `bothy status` shows who is missing")
	})
	defer slow.Stop()
	if err := awaitReady(ctx, clientURL(n.Banner().HTTPAddr)); err != nil {
		return nil // the node ends before it was ready; Run says why
	}
	if _, err := fmt.Fprintln(out, n.Banner()); err != nil {
		return fmt.Errorf("print the banner: %w", err)
	}
	if err := manager.tell(supervisorReady); err != nil {
		return err
	}
	return slim() // what only the start needed
}

// awaitReady waits until the node at url is ready or ctx ends.
func awaitReady(ctx context.Context, url string) error {
	client := &http.Client{Timeout: 2 * time.Second}
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		if ready(ctx, client, url) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func ready(ctx context.Context, client *http.Client, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return false
	}
	reply, err := client.Do(req)
	if err != nil {
		return false
	}
	defer reply.Body.Close()
	return reply.StatusCode == http.StatusOK
}

// newLogger makes the node's log, by a configuration that was validated.
func newLogger(c LogConfig, w io.Writer) *slog.Logger {
	var options slog.HandlerOptions
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err == nil {
		options.Level = level
	}
	if c.Format == "json" {
		return trace.Logger(slog.New(slog.NewJSONHandler(w, &options)))
	}
	return trace.Logger(slog.New(slog.NewTextHandler(w, &options)))
}
