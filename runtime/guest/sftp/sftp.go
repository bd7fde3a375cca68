// Package sftp serves a computer's files by SFTP from inside, with the
// permissions of the user it runs as.
package sftp

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/pkg/sftp"

	"github.com/bothy-computer/bothy/runtime/guest/passwd"
)

// Serve answers one client until it ends. Relative paths begin at the user's
// home.
func Serve(in io.Reader, out io.WriteCloser) error {
	user, err := passwd.Lookup("/", strconv.Itoa(os.Getuid()))
	if err != nil {
		return err
	}
	server, err := sftp.NewServer(stream{in, out}, sftp.WithServerWorkingDirectory(user.Home))
	if err != nil {
		return fmt.Errorf("serve files: %w", err)
	}
	if err := server.Serve(); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("serve files: %w", err)
	}
	return nil
}

type stream struct {
	io.Reader
	io.WriteCloser
}
