package executor

import (
	"fmt"
	"regexp"
)

// Server is an MCP server that a CLI finds at a URL, where it shows the token
// of TokenVariable.
type Server struct {
	Name string
	URL  string
}

// toolTime is how long a CLI waits for a call of a server, in seconds: longer
// than the server is given.
const toolTime = 310

var notInKey = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// keyed are servers by names that every CLI takes, each of its own.
func keyed(servers []Server) map[string]Server {
	all := map[string]Server{}
	for _, s := range servers {
		key := notInKey.ReplaceAllString(s.Name, "_")
		for n := 2; ; n++ {
			if _, taken := all[key]; !taken {
				break
			}
			key = fmt.Sprintf("%s_%d", notInKey.ReplaceAllString(s.Name, "_"), n)
		}
		all[key] = s
	}
	return all
}
