package nemesis

import (
	"context"
	"fmt"
	"time"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// money looks at the tenant's bill once nothing runs any more.
type money struct{ p *game }

func (w *money) work(context.Context) {}

func (w *money) judge(ctx context.Context) (string, error) {
	c := w.p.through(0)
	if err := w.rest(ctx, c); err != nil {
		return "", err
	}
	b, err := c.Budget().Get(ctx)
	for err == nil && b.Reserved != 0 {
		if sleep(ctx, time.Second) != nil {
			return "", fmt.Errorf("%s stays reserved, though nothing runs", b.Reserved)
		}
		b, err = c.Budget().Get(ctx)
	}
	if err != nil {
		return "", err
	}
	charged, credited, lines := wire.USD(0), wire.USD(0), 0
	for p := (client.Page{Limit: 100}); ; p.Offset += p.Limit {
		list, err := c.Billing().Records(ctx, client.Span{Period: "all"}, "", p)
		if err != nil {
			return "", err
		}
		for _, r := range list.Data {
			lines++
			if r.RecordType == "charge" {
				charged += r.Amount
			} else {
				credited += r.Amount
			}
		}
		if !list.HasMore {
			break
		}
	}
	seen := fmt.Sprintf("%d lines, %s charged, %s left, nothing reserved", lines, charged, b.Balance)
	if charged != b.TotalSpent || b.Balance+charged != startBalance+credited {
		return seen, fmt.Errorf("%s was spent of %s and %s credited, the lines say %s, and %s is left", b.TotalSpent, wire.USD(startBalance), credited, charged, b.Balance)
	}
	if charged == 0 {
		return seen, fmt.Errorf("nothing was charged, so nothing was seen")
	}
	return seen, nil
}

// rest stops every computer.
func (w *money) rest(ctx context.Context, c *client.Client) error {
	list, err := w.p.admin.Computers().List(ctx, w.p.account, client.Page{Limit: 100})
	if err != nil {
		return err
	}
	for _, one := range list.Data {
		if _, err := w.p.admin.Computers().Stop(ctx, one.ID); err != nil {
			return fmt.Errorf("stop computer %s: %w", one.ID, err)
		}
	}
	return nil
}
