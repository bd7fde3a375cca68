package house

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
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
