package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

// How a check came out.
const (
	verdictGood    = "good"
	verdictWarning = "warning" // something is missing or at risk
	verdictFailed  = "failed"  // a node cannot work so
)

// finding is one thing that a check saw, and what to do about it.
type finding struct {
	Check   string `json:"check"`
	Verdict string `json:"verdict"`
	Detail  string `json:"detail"`
	Remedy  string `json:"remedy,omitempty"`
	Fixed   bool   `json:"fixed,omitempty"` // by --fix, just now

	fix func(context.Context) error // nil where only a person can
}

// check looks at one side of a machine or a cluster.
type check struct {
	name string
	look func(context.Context, *doctor) []finding
}

// checks are all that a doctor looks at, what others stand on first.
var checks = []check{
	{"root", lookRoot},
	{"kernel", lookKernel},
	{"cgroups", lookCgroups},
	{"limits", lookLimits},
	{"programs", lookPrograms},
	{"data", lookData},
	{"disk", lookDisk},
	{"clock", lookClock},
	{"ports", lookPorts},
	{"certificates", lookCertificates},
	{"cluster", lookCluster},
	{"blob store", lookBlobs},
	{"models", lookModels},
}

// checkPatience bounds one check.
const checkPatience = 30 * time.Second

// doctor is what checks look at.
type doctor struct {
	config Config
	// status is how this machine's cluster is, or nil with why it cannot be told.
	status    *wire.ClusterStatus
	statusErr error
}

func newDoctor(t *terminal) *cobra.Command {
	var fix bool
	cmd := &cobra.Command{
		Use: "doctor", Short: "Check this machine and its node, and say what to do about each trouble", Args: cobra.NoArgs,
		Long: `Check what a node needs of this machine, whether it runs already or not: kernel,
control groups, limits, programs, disk, clock, ports, certificates, the other
nodes and the vendors of models. Flags, variables and --config are those of the
node. With --fix, what can be mended without a person is: missing packages are
installed, kernel modules loaded and the data directory made. It ends with 1
when something fails that a node cannot do without.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := loadConfig(cmd.Flags(), t.getenv)
			if err != nil {
				return mistaken(err)
			}
			d := &doctor{config: config}
			d.meet(cmd.Context(), t)
			return t.showFindings(d.examine(cmd.Context(), fix, t))
		},
	}
	addSettings(cmd.Flags())
	cmd.Flags().BoolVar(&fix, "fix", false, "mend what can be mended")
	return cmd
}

// meet asks this machine's node, or the one that BOTHY_URL names, how all are.
func (d *doctor) meet(ctx context.Context, t *terminal) {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	getenv := func(name string) string {
		switch value := t.getenv(name); {
		case value != "":
			return value
		case name == urlVariable:
			return clientURL(d.config.HTTP.Addr)
		case name == "BOTHY_DATA_DIR":
			return d.config.Node.Dir
		default:
			return ""
		}
	}
	c, err := (&terminal{getenv: getenv}).client()
	if err != nil {
		d.statusErr = err
		return
	}
	status, err := c.Status(ctx)
	if err != nil {
		d.statusErr = err
		return
	}
	d.status = &status
}

// examine makes every check; with fix it mends what it can and looks again.
func (d *doctor) examine(ctx context.Context, fix bool, t *terminal) (all []finding) {
	for _, c := range checks {
		found := d.look(ctx, c)
		if fix && d.mend(ctx, found, t) {
			before := found
			found = d.look(ctx, c)
			for i := range found {
				found[i].Fixed = found[i].Verdict == verdictGood && !wasGood(before, found[i].Detail)
			}
		}
		all = append(all, found...)
	}
	return all
}

func wasGood(before []finding, detail string) bool {
	for _, f := range before {
		if f.Verdict == verdictGood && f.Detail == detail {
			return true
		}
	}
	return false
}

func (d *doctor) look(ctx context.Context, c check) []finding {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	found := c.look(ctx, d)
	for i := range found {
		found[i].Check = c.name
	}
	return found
}

// mend reports whether it changed anything.
func (d *doctor) mend(ctx context.Context, found []finding, t *terminal) (changed bool) {
	for _, f := range found {
		if f.fix == nil || f.Verdict == verdictGood {
			continue
		}
		fmt.Fprintf(t.err, "mending: %s\n", f.Detail)
		if err := f.fix(ctx); err != nil {
			fmt.Fprintf(t.err, "  it failed: %v\n", err)
			continue
		}
		changed = true
	}
	return changed
}

// marks are verdicts for people.
var marks = map[string]string{verdictGood: "✓", verdictWarning: "!", verdictFailed: "✗"}

// errFindings ends the process with a failure that was told already.
var errFindings = errors.New("this machine's node cannot work as it is")

func (t *terminal) showFindings(all []finding) error {
	failed := 0
	for _, f := range all {
		if f.Verdict == verdictFailed {
			failed++
		}
	}
	if t.json() {
		if err := t.print(all); err != nil {
			return err
		}
	} else {
		for _, f := range all {
			fmt.Fprintf(t.out, "%s %-12s %s%s\n", marks[f.Verdict], f.Check, plain(f.Detail), map[bool]string{true: " (mended)"}[f.Fixed])
			if f.Remedy != "" && f.Verdict != verdictGood {
				fmt.Fprintf(t.out, "  %-12s → %s\n", "", strings.ReplaceAll(f.Remedy, "\n", "\n  "+strings.Repeat(" ", 15)))
			}
		}
	}
	if failed > 0 {
		return errFindings
	}
	return nil
}

func good(format string, args ...any) finding {
	return finding{Verdict: verdictGood, Detail: fmt.Sprintf(format, args...)}
}

func warning(remedy, format string, args ...any) finding {
	return finding{Verdict: verdictWarning, Detail: fmt.Sprintf(format, args...), Remedy: remedy}
}

func failed(remedy, format string, args ...any) finding {
	return finding{Verdict: verdictFailed, Detail: fmt.Sprintf(format, args...), Remedy: remedy}
}

// by is the finding with a way to mend it.
func (f finding) by(fix func(context.Context) error) finding {
	f.fix = fix
	return f
}
