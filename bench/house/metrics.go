package house

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// metricPoll is how often a node is asked for a metric that is waited for.
const metricPoll = 10 * time.Millisecond

// Metric reads one value from the node's ops port; name is as in the text
// form, labels included.
func (n *Node) Metric(ctx context.Context, name string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.Ops+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("read metrics of %s: %w", n.Name, err)
	}
	defer reply.Body.Close()
	lines := bufio.NewScanner(reply.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("read metrics of %s: there is no %s", n.Name, name)
}

// AwaitMetric waits until a metric is at least as large.
func (n *Node) AwaitMetric(ctx context.Context, name string, least float64) error {
	ctx, cancel := context.WithTimeout(ctx, settlePatience)
	defer cancel()
	for {
		value, err := n.Metric(ctx, name)
		if err == nil && value >= least {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s of %s stays at %v: %w", name, n.Name, value, ctx.Err())
		case <-time.After(metricPoll):
		}
	}
}

// Profile writes a processor profile of the node over some seconds into a file.
func (n *Node) Profile(ctx context.Context, seconds int, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", n.Ops, seconds), nil)
	if err != nil {
		return err
	}
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("profile %s: %w", n.Name, err)
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("profile %s: %s", n.Name, reply.Status)
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("profile %s: %w", n.Name, err)
	}
	_, err = io.Copy(f, reply.Body)
	return errors.Join(err, f.Close())
}
