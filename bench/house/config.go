package house

import (
	"cmp"
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
	Disk   int64 // of a computer, in bytes; 0 is smallDisk
	// Apart has each node in a network namespace, on a file system and by a clock
	// of its own.
	Apart bool
	// Saves is a directory that all nodes save computers to; "" is none.
	Saves string
	// Vendor is the base URL of a server that speaks Chat Completions, for
	// VendorModel; "" is none.
	Vendor string
}

// VendorModel is the model of a Shape's Vendor. It is free; PricedModel costs a
// dollar for a million tokens read, and two for written ones.
const (
	VendorModel = "lab-model"
	PricedModel = "lab-priced"
)

// smallDisk is a computer's storage where the scenario needs none, and smallPool
// holds many of them.
const (
	smallDisk = 256 << 20
	smallPool = 2 << 30
)

// config is the nodes' configuration file. Computers are small, so that a
// hundred of them fit where the scenario asks for it; the pool holds them, and
// leaves the disk to images where several nodes share it.
func (s Shape) config() string {
	disk := cmp.Or(s.Disk, smallDisk)
	models := ""
	if s.Vendor != "" {
		models = fmt.Sprintf("models:\n  vendors:\n    - {name: lab, protocol: openai-chat, baseURL: %q}\n  models:\n    - {name: %s, vendor: lab, free: true}\n"+
			"    - {name: %s, vendor: lab, price: {input: 1000000, output: 2000000}}\n", s.Vendor, VendorModel, PricedModel)
	}
	if s.Saves != "" {
		models += fmt.Sprintf("blob: {directory: %q}\n", s.Saves)
	}
	return models + fmt.Sprintf(`computer:
  memory: %dMiB
  disk: %dMiB
  warm: %d
volumes:
  size: %dMiB
  grow: 1GiB
log:
  level: warn
`, s.Memory>>20, disk>>20, s.Warm, max(smallPool, disk+disk/4)>>20)
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
