package house

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// Shape is what scenarios choose about their nodes.
type Shape struct {
	Nodes  int
	Warm   int   // blank computers that each node keeps
	Memory int64 // of a computer, in bytes
}

// config is the nodes' configuration file. Computers are small, so that a
// hundred of them fit where the scenario asks for it; the pool holds them.
func (s Shape) config() string {
	return fmt.Sprintf(`computer:
  memory: %dMiB
  disk: 256MiB
  warm: %d
volumes:
  size: 2GiB
log:
  level: warn
`, s.Memory>>20, s.Warm)
}

func (s Shape) write(dir string) (string, error) {
	path := filepath.Join(dir, "bench.yaml")
	if err := os.WriteFile(path, []byte(s.config()), 0o600); err != nil {
		return "", fmt.Errorf("write the nodes' configuration: %w", err)
	}
	return path, nil
}

// freeAddresses finds ports that nobody listens on now, for TCP and UDP both.
// They are free again when it returns, so somebody else may take one; a node
// then says so and the scenario fails.
func freeAddresses(n int) (all []string, err error) {
	for len(all) < n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find free ports: %w", err)
		}
		defer ln.Close()
		udp, err := net.ListenPacket("udp", ln.Addr().String())
		if err != nil {
			continue
		}
		defer udp.Close()
		all = append(all, ln.Addr().String())
	}
	return all, nil
}
