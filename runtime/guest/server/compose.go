package server

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"

	"google.golang.org/protobuf/encoding/protojson"
)

const (
	// maxComposeBytes bounds the body of /files/compose.
	maxComposeBytes = 1 << 20
	// maxComposed bounds the files that are put together.
	maxComposed = 10_000
)

// composition is the body of POST /files/compose.
type composition struct {
	SourcePaths []string `json:"source_paths"`
	Destination string   `json:"destination"`
	Username    string   `json:"username"`
}

// compose writes several files one after the other into one. The sources
// stay.
func (s *Server) compose(w http.ResponseWriter, r *http.Request) {
	var req composition
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxComposeBytes)).Decode(&req); err != nil {
		failFile(w, invalid("read the body: %w", err))
		return
	}
	path, err := s.composed(req)
	if err != nil {
		failFile(w, err)
		return
	}
	entry, err := s.describe(path)
	if err != nil {
		failFile(w, err)
		return
	}
	text, err := protojson.Marshal(entry)
	if err != nil {
		failFile(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(text) // a client that is gone cannot be told
}

func (s *Server) composed(req composition) (string, error) {
	user, err := s.accountNamed(req.Username)
	if err != nil {
		return "", err
	}
	if len(req.SourcePaths) == 0 || len(req.SourcePaths) > maxComposed || req.Destination == "" {
		return "", invalid("give a destination and 1 to %d source_paths", maxComposed)
	}
	to, err := user.resolve(req.Destination)
	if err != nil {
		return "", err
	}
	sources := make([]string, len(req.SourcePaths))
	for i, path := range req.SourcePaths {
		if sources[i], err = user.resolve(path); err != nil {
			return "", err
		}
		if _, err := os.Stat(sources[i]); err != nil {
			return "", err
		}
	}
	if slices.Contains(sources, to) {
		return "", invalid("the destination is one of the sources")
	}
	in := &chain{paths: sources}
	return to, errors.Join(user.write(to, in), in.close())
}

// chain reads files one after the other, each opened when its turn comes.
type chain struct {
	paths []string
	now   *os.File
}

// Read implements io.Reader.
func (c *chain) Read(p []byte) (int, error) {
	for {
		if c.now == nil {
			if len(c.paths) == 0 {
				return 0, io.EOF
			}
			f, _, err := openRegular(c.paths[0])
			if err != nil {
				return 0, err
			}
			c.now, c.paths = f, c.paths[1:]
		}
		n, err := c.now.Read(p)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		if err := c.close(); err != nil || n > 0 {
			return n, err
		}
	}
}

func (c *chain) close() error {
	if c.now == nil {
		return nil
	}
	f := c.now
	c.now = nil
	return f.Close()
}
