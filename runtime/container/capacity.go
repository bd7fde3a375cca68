package container

import (
	"bufio"
	"context"
	"fmt"
	"os"
	goruntime "runtime"
	"strconv"
	"strings"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/image"
)

// memoryReserveBytes is what the node and the machine keep for themselves.
const memoryReserveBytes = 512 << 20

// Capacity implements runtime.Sizer. Images holds names and digests.
func (d *Driver) Capacity(ctx context.Context) (runtime.Capacity, error) {
	total, free, err := machineMemory()
	if err != nil {
		return runtime.Capacity{}, err
	}
	images, err := d.Images.List(ctx)
	if err != nil {
		return runtime.Capacity{}, fmt.Errorf("list images: %w", err)
	}
	c := runtime.Capacity{
		MemoryBytes: total, MemoryFree: max(0, free-memoryReserveBytes),
		MilliCPU: int64(goruntime.NumCPU()) * 1000,
	}
	c.StorageFree, c.StorageBytes = d.Pool.Free()
	for _, i := range images {
		if i.State == image.Active {
			c.Images = append(append(c.Images, i.Names...), i.Digest)
		}
	}
	return c, nil
}

// machineMemory reads what the machine has and what could be had without
// swapping, in bytes.
func machineMemory() (total, available int64, err error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, 0, fmt.Errorf("read memory: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		kib, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			continue
		}
		switch fields[0] {
		case "MemTotal:":
			total = kib << 10
		case "MemAvailable:":
			available = kib << 10
		}
	}
	if err := lines.Err(); err != nil {
		return 0, 0, fmt.Errorf("read memory: %w", err)
	}
	return total, available, nil
}
