package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/bench/bare"
	"github.com/bothy-computer/bothy/bench/house"
	"github.com/bothy-computer/bothy/bench/measure"
)

// bench is what every scenario has.
type bench struct {
	out     io.Writer
	bothy   string        // path of the binary that is measured
	base    string        // directory for everything that is made
	during  time.Duration // of each measurement that has no fixed count
	n       int           // of those that have one
	most    int           // subscribers, of fanout
	seed    uint64        // of nemesis; 0 is any
	from    string        // path of the older binary, of upgrade
	profile string        // file for a processor profile; "" is none
}

// scenario is one question and how it is answered.
type scenario struct {
	name, about string
	run         func(b *bench, ctx context.Context) error
}

var scenarios = []scenario{
	{"create", "create to first command done, beside runc run alone", (*bench).create},
	{"crowd", "200 computers idle and 50 made at once beside them", (*bench).crowd},
	{"exec", "exec round trip, beside runc exec and a bare unix socket", (*bench).exec},
	{"records", "records per second on three nodes, beside fsync and a bare raft loop", (*bench).records},
	{"commands", "commands per second on three voters without HTTP, beside a bare raft loop", (*bench).commands},
	{"visibility", "a lone write seen at a follower, beside bare raft", (*bench).visibility},
	{"fanout", "subscribers of one thread's stream, beside bare net/http", (*bench).fanout},
	{"snapshot", "snapshot of a running computer and its pause, beside its volume alone", (*bench).snapshot},
	{"saves", "saves of a disk into a directory and back, beside tar and zstd", (*bench).saves},
	{"files", "upload and download of a large file, beside a plain copy", (*bench).files},
	{"builds", "builds of an image, beside buildah", (*bench).builds},
	{"images", "an image to a second node, beside tar", (*bench).images},
	{"gateway", "a streamed token through the model gateway, beside the vendor directly", (*bench).gateway},
	{"streaming", "500 threads streaming at once on three nodes, beside the vendor directly", (*bench).streaming},
	{"search", "threads found among 100,000 messages, beside a look through all of them", (*bench).search},
	{"idle", "idle memory of node, warden and computer, beside a bare container", (*bench).idle},
	{"placement", "placements per second with 1,000 nodes", (*bench).placement},
	{"leader", "leader killed to first write, beside bare raft", (*bench).leader},
	{"schedules", "1,000 schedules due in one second, also while the leader dies", (*bench).schedules},
	{"drain", "a node drains under 50 streaming threads and 20 busy terminals", (*bench).drain},
	{"nemesis", "clients at work while nodes are killed, stopped, cut off and filled up", (*bench).nemesis},
	{"upgrade", "clients at work while nodes of an older build become those of this one", (*bench).upgrade},
	{"takeover", "owner killed to its thread going on, beside the lease", (*bench).takeover},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newRoot().ExecuteContext(ctx)
	stop()
	if err != nil {
		os.Exit(1)
	}
}

func newRoot() *cobra.Command {
	b := &bench{}
	all := func(cmd *cobra.Command, _ []string) error {
		b.out = cmd.OutOrStdout()
		var errs []error
		for _, s := range scenarios {
			errs = append(errs, b.play(cmd.Context(), s))
		}
		return errors.Join(errs...)
	}
	root := &cobra.Command{Use: "bench [SCENARIO]", Short: "Measure Bothy beside what it is compared to: every scenario, or one",
		Args: cobra.NoArgs, RunE: all, SilenceUsage: true}
	f := root.PersistentFlags()
	f.StringVar(&b.bothy, "bothy", "bin/bothy", "the binary that is measured")
	f.StringVar(&b.base, "dir", os.TempDir(), "where nodes keep their data: on the disk that is measured, passable for others")
	f.DurationVar(&b.during, "for", 5*time.Second, "how long a rate is measured")
	f.IntVar(&b.n, "n", 0, "how often something is timed (0: what the scenario finds enough)")
	f.Uint64Var(&b.seed, "seed", 0, "what nemesis does to whom (0: anything)")
	f.StringVar(&b.from, "from", "", "the older binary that upgrade begins with (\"\": the one that is measured)")
	f.StringVar(&b.profile, "profile", "", "write a processor profile here: of this process (commands, placement) or of a node (records, fanout)")
	f.IntVar(&b.most, "subscribers", 10_000, "the most subscribers of fanout")
	for _, s := range scenarios {
		root.AddCommand(&cobra.Command{Use: s.name, Short: s.about, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			b.out = cmd.OutOrStdout()
			return b.play(cmd.Context(), s)
		}})
	}
	root.AddCommand(&cobra.Command{Use: bareStream, Hidden: true, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		return bare.ServeStream(cmd.Context(), cmd.OutOrStdout())
	}})
	return root
}

// bareStream runs this program as the server that fanout compares to, so that
// its memory is its own.
const bareStream = "bare-stream"

// play runs a scenario between two looks at how busy the machine is.
func (b *bench) play(ctx context.Context, s scenario) error {
	if err := raiseFiles(); err != nil {
		return err
	}
	begun, load := time.Now(), measure.Load()
	fmt.Fprintf(b.out, "\n== %s: %s\n   %s; load %s at the start\n", s.name, s.about, measure.Machine(b.base), load)
	err := s.run(b, ctx)
	fmt.Fprintf(b.out, "   took %s; load %s at the end\n", time.Since(begun).Round(time.Second), measure.Load())
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return nil
}

// raiseFiles lets this process, and what it starts, open as many files as it may.
func raiseFiles() error {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return fmt.Errorf("read limits: %w", err)
	}
	files.Cur = files.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return fmt.Errorf("raise the limit of open files: %w", err)
	}
	return nil
}

// count is how often to do something: what was asked for, or enough.
func (b *bench) count(enough int) int {
	if b.n > 0 {
		return b.n
	}
	return enough
}

// scratch makes a directory on the measured disk and returns how to remove it.
func (b *bench) scratch() (string, func() error, error) {
	dir, err := os.MkdirTemp(b.base, "bothy-bench-")
	if err != nil {
		return "", nil, fmt.Errorf("make a directory: %w", err)
	}
	// Users of containers walk through it.
	if err := os.Chmod(dir, 0o711); err != nil {
		return "", nil, errors.Join(fmt.Errorf("make a directory: %w", err), os.RemoveAll(dir))
	}
	return dir, func() error { return os.RemoveAll(dir) }, nil
}

// in runs do with nodes of a shape, and clears them whatever becomes of it.
func (b *bench) in(ctx context.Context, shape house.Shape, do func(h *house.House) error) error {
	h, err := house.Open(ctx, b.bothy, b.base, shape)
	if err != nil {
		return err
	}
	return errors.Join(do(h), h.Close())
}

// mostFiles is how many files this process may open.
func mostFiles() string {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return "unknown number"
	}
	return fmt.Sprint(files.Cur)
}
