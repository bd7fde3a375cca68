package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/client"
)

// What tells a client where and as whom to call.
const (
	urlVariable = "BOTHY_URL"     // one URL or several, separated by commas
	keyVariable = "BOTHY_API_KEY" // the text of a key
	keyFile     = "admin.key"     // of the first key, in its node's data directory
	defaultURL  = "http://127.0.0.1:8080"
)

// client calls the cluster that the surroundings name.
func (t *terminal) client() (*client.Client, error) {
	urls := strings.Split(t.getenv(urlVariable), ",")
	if t.getenv(urlVariable) == "" {
		urls = []string{defaultURL}
	}
	key := t.getenv(keyVariable)
	if key == "" && localOnly(urls) {
		var err error
		if key, err = t.localKey(); err != nil {
			return nil, err
		}
	}
	c, err := client.New(urls, key)
	if err != nil {
		return nil, mistaken(err)
	}
	return c, nil
}

// localKey is the admin key of this machine's node, or "" where this user may
// not read it.
func (t *terminal) localKey() (string, error) {
	if path := t.getenv(adminKeyVariable); path != "" {
		return readAdminKey(path)
	}
	return findKey(keyDirs(t.getenv))
}

// localOnly reports whether all URLs are of this machine. This machine's admin
// key is shown to no other.
func localOnly(urls []string) bool {
	for _, text := range urls {
		u, err := url.Parse(strings.TrimSpace(text))
		if err != nil {
			return false
		}
		ip := net.ParseIP(u.Hostname())
		if u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return false
		}
	}
	return true
}

// keyDirs are where this machine's node may keep its admin key.
func keyDirs(getenv func(string) string) []string {
	roots := []string{localDir, systemDir}
	if dir := getenv("BOTHY_DATA_DIR"); dir != "" {
		roots = []string{dir}
	}
	var dirs []string
	for _, root := range roots {
		dirs = append(dirs, root, filepath.Join(root, "n1"))
	}
	return dirs
}

// findKey reads the first admin key there is; "" when there is none that this
// user may read.
func findKey(dirs []string) (string, error) {
	for _, dir := range dirs {
		text, err := os.ReadFile(filepath.Join(dir, keyFile))
		if err == nil {
			return strings.TrimSpace(string(text)), nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return "", fmt.Errorf("read the admin key: %w", err)
		}
	}
	return "", nil
}

// askToken asks the node at a URL, with the admin key in dir, to let one more in.
func askToken(ctx context.Context, at, dir string) (string, error) {
	key, err := findKey([]string{dir})
	if err != nil {
		return "", err
	}
	c, err := client.New([]string{at}, key)
	if err != nil {
		return "", err
	}
	token, err := c.Token(ctx)
	return token.Token, err
}

// codeUnreachable marks a node that did not answer at all.
const codeUnreachable = "UNREACHABLE"

// remedies say what to do next about a kind of failure.
var remedies = map[fault.Kind]string{
	fault.Unauthorized: "Set " + keyVariable + " to a key; the cluster's first one is in " + keyFile + " of its first node's data directory.",
	fault.Forbidden:    "An admin key may do this, or one made with `bothy keys create --scopes`.",
	fault.Payment:      "`bothy budget get` shows what is left; `bothy budget add AMOUNT` adds money with an admin key.",
	fault.Full:         "Remove computers or environments that nobody needs, or add a node.",
	fault.Unavailable:  "`bothy status` shows which nodes are up and which is the leader.",
}

// remedyFor says what to do next about a failure, or "".
func remedyFor(err error) string {
	var f *fault.Error
	if !errors.As(err, &f) {
		return ""
	}
	if f.Code == codeUnreachable {
		return "Start a node with `bothy up`, or set " + urlVariable + " to where one is (default " + defaultURL + ")."
	}
	if f.Code == "MODEL_NOT_CONFIGURED" {
		return "" // its message names the variable to set
	}
	return remedies[f.Kind]
}
