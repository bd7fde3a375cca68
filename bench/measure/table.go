package measure

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Table is one comparison. Lines are printed in the order they were added.
type Table struct {
	Title   string
	columns []string
	lines   [][]string
	notes   []string
}

// NewTable makes an empty table.
func NewTable(title string, columns ...string) *Table {
	return &Table{Title: title, columns: columns}
}

// Latencies makes a table for Compare.
func Latencies(title string) *Table {
	return NewTable(title, "what", "n", "failed", "p50 ms", "p95 ms", "max ms", "p50 ratio", "p95 ratio")
}

// Line adds a line of cells.
func (t *Table) Line(cells ...string) { t.lines = append(t.lines, cells) }

// Note adds a sentence below the table.
func (t *Table) Note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

// Compare adds a line of latencies; the ratios are to a peer, which may be nil.
func (t *Table) Compare(what string, s, peer *Samples) {
	n, failed := s.Count()
	ratio := func(p float64) string {
		if peer == nil {
			return "1 (peer)"
		}
		return Ratio(float64(s.Percentile(p)), float64(peer.Percentile(p)))
	}
	t.Line(what, fmt.Sprint(n), fmt.Sprint(failed), MS(s.Percentile(50)), MS(s.Percentile(95)), MS(s.Percentile(100)), ratio(50), ratio(95))
	if err := s.FirstFailure(); err != nil {
		t.Note("%s: %d failed, the first with: %v", what, failed, err)
	}
}

// Write prints the table.
func (t *Table) Write(w io.Writer) error {
	fmt.Fprintf(w, "\n%s\n", t.Title)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, cells := range append([][]string{t.columns}, t.lines...) {
		fmt.Fprintf(tw, "  %s\n", strings.Join(cells, "\t"))
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("print a table: %w", err)
	}
	for _, n := range t.notes {
		if _, err := fmt.Fprintf(w, "  - %s\n", n); err != nil {
			return fmt.Errorf("print a table: %w", err)
		}
	}
	return nil
}

// MS writes a time in milliseconds, with as many decimals as mean something.
func MS(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case ms >= 100:
		return fmt.Sprintf("%.0f", ms)
	case ms >= 10:
		return fmt.Sprintf("%.1f", ms)
	}
	return fmt.Sprintf("%.2f", ms)
}

// Ratio writes how many times b is in a; "-" when that has no meaning.
func Ratio(a, b float64) string {
	if b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", a/b)
}

// MiB writes bytes.
func MiB(bytes int64) string { return fmt.Sprintf("%.1f", float64(bytes)/(1<<20)) }

// KiB writes bytes.
func KiB(bytes int64) string { return fmt.Sprintf("%.1f", float64(bytes)/(1<<10)) }

// PerSecond writes a rate.
func PerSecond(n int, d time.Duration) string {
	return fmt.Sprintf("%.0f", float64(n)/d.Seconds())
}
