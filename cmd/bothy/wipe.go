package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/bothy-computer/bothy/cluster/identity"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/warden"
	"github.com/bothy-computer/bothy/runtime/warden/cgroup"
)

// wipePatience bounds how long ending a node's computers may take.
const wipePatience = 5 * time.Minute

func newWipe(t *terminal) *cobra.Command {
	var sure bool
	cmd := &cobra.Command{
		Use:   "wipe",
		Short: "Remove a stopped node's computers and data from this machine",
		Long: `Remove a stopped node's computers and data from this machine: computers outlive
their node's process, so deleting its directory alone would leave them running.
The cluster still counts the node as a member.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := loadConfig(cmd.Flags(), t.getenv)
			if err != nil {
				return mistaken(err)
			}
			if !sure {
				return usage("this removes %s and all that is in it; say so with --yes", config.Node.Dir)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), wipePatience)
			defer cancel()
			if err := wipe(ctx, t, config); err != nil {
				return err
			}
			return t.did(removed{config.Node.Dir}, "removed %s", config.Node.Dir)
		},
	}
	addSettings(cmd.Flags())
	cmd.Flags().BoolVar(&sure, "yes", false, "really remove everything")
	return cmd
}

// wipe takes a node's computers, mounts and files away. It may be repeated
// when it was cut short.
func wipe(ctx context.Context, t *terminal, config Config) error {
	if _, err := os.Stat(config.Node.Dir); err != nil {
		return fmt.Errorf("wipe: %w", err)
	}
	log := newLogger(config.Log, t.err)
	id, err := identity.Open(identity.Options{Dir: config.Node.Dir}) // refuses while the node runs
	if err != nil {
		return err
	}
	defer id.Close()
	config.Blob = BlobConfig{} // what is saved stays
	config.Computer.Warm = 0   // blank computers are given back
	m, err := openMachine(ctx, config, id.Node(), prometheus.NewRegistry(), log)
	if err != nil {
		return err
	}
	if err := errors.Join(m.empty(ctx), m.driver.Close()); err != nil {
		return errors.Join(err, m.pool.Close())
	}
	if err := errors.Join(m.warden.Stop(ctx), m.pool.Unmount(ctx)); err != nil {
		return err
	}
	tree, err := cgroup.Detect()
	if err != nil {
		return err
	}
	if err := warden.Group(tree, string(id.Node())).Remove(); err != nil {
		return fmt.Errorf("remove the node's cgroup: %w", err)
	}
	if err := unmounted(config.Node.Dir); err != nil {
		return err
	}
	return remove(config.Node.Dir)
}

// remove takes a directory away, or, where a disk of its own is mounted at it, all
// that is in it.
func remove(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	if err != nil {
		return err
	}
	if err := os.Remove(dir); !errors.Is(err, syscall.EBUSY) {
		return err
	}
	return nil
}

// empty ends and removes every computer of the machine.
func (m *machine) empty(ctx context.Context) error {
	if err := m.warden.SetDeadline(ctx, warden.NoDeadline); err != nil {
		return err
	}
	for {
		_, err := m.driver.Sweep(ctx, func(runtime.ID) bool { return false })
		if err != nil || m.driver.Stock().Ready == 0 {
			return err
		}
		select {
		case <-time.After(readyPoll):
		case <-ctx.Done():
			return fmt.Errorf("give back blank computers: %w", ctx.Err())
		}
	}
}

// unmounted refuses a directory below which something is mounted: deleting would
// reach through it.
func unmounted(dir string) error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("read the mounts: %w", err)
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			return fmt.Errorf("%s is still mounted; unmount it and wipe again", fields[4])
		}
	}
	return nil
}
