package client

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Backup writes a backup of the cluster's records and keys, encrypted for
// recipients. It needs an admin key. One that is cut short is an error.
func (c *Client) Backup(ctx context.Context, recipients []string, to io.Writer) error {
	resp, err := c.send(ctx, request{method: http.MethodPost, path: path("admin", "backup"), body: wire.TakeBackup{Recipients: recipients}}, "")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(to, resp.Body); err != nil {
		return fmt.Errorf("read the backup: %w", err)
	}
	return nil
}
