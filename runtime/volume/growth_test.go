package volume

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestAStepThatBtrfsRefusesIsTheLast: what is added to the file is of no use to
// anybody until btrfs has it, and is taken from the disk of the node's own log.
func TestAStepThatBtrfsRefusesIsTheLast(t *testing.T) {
	p := openPool(t, t.TempDir())
	if err := p.Close(); err != nil { // it grows only when we say so
		t.Fatal(err)
	}
	if _, err := p.Create(t.Context(), "a", 0); err != nil {
		t.Fatal(err)
	}
	p.opts.GrowBytes = 128 << 20 // two of it are all there is, and this disk has room for four
	size := func() int64 {
		info, err := os.Stat(p.backing.image)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	remount := func(flags uintptr) {
		if err := unix.Mount("", p.backing.mount, "", unix.MS_REMOUNT|unix.MS_NOATIME|unix.MS_NODEV|unix.MS_NOSUID|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	_, before := room(p.backing.mount)
	remount(unix.MS_RDONLY) // it cannot be resized so
	for try, pause := range []time.Duration{growPause, growPause, 2 * growPause, 4 * growPause} {
		if try > 1 {
			p.growth.resume = time.Now()
		}
		if err := p.stayAhead(); !errors.Is(err, unix.EROFS) || size() != testPoolBytes+128<<20 || p.growth.pause != pause {
			t.Fatalf("try %d: %v, %d bytes, pause %v", try, err, size(), p.growth.pause)
		}
	}
	remount(0)
	p.growth.resume = time.Now()
	if err := p.stayAhead(); err != nil {
		t.Fatal(err)
	}
	if _, after := room(p.backing.mount); after <= before || after != size() {
		t.Errorf("btrfs has %d bytes, the file %d", after, size())
	}
	if p.growth.pause != 0 || p.growth.half {
		t.Errorf("still %+v", p.growth.failed)
	}
}

// TestAPoolComplainsOfAFailureOnce looks four times a second and sweeps between.
func TestAPoolComplainsOfAFailureOnce(t *testing.T) {
	var said strings.Builder
	p := &Pool{log: slog.New(slog.NewTextHandler(&said, nil))}
	var grown, swept error
	for range 3 {
		p.complain("no growth", &grown, fmt.Errorf("look: %w", unix.EROFS))
		p.complain("no sweep", &swept, nil)
	}
	if n := strings.Count(said.String(), "no growth"); n != 1 {
		t.Errorf("said %d times: %s", n, said.String())
	}
	p.complain("no growth", &grown, nil)
	p.complain("no growth", &grown, unix.EROFS)
	if n := strings.Count(said.String(), "no growth"); n != 2 {
		t.Errorf("of two failures %d were told: %s", n, said.String())
	}
}

func TestAPoolLeavesANearlyTakenDiskToOthers(t *testing.T) {
	const step = 4 << 30
	for name, tt := range map[string]struct {
		room  int64
		empty bool
		want  int64
	}{
		"a roomy disk":             {4 * step, false, 2 * step},
		"a roomy disk, no volumes": {4 * step, true, step / 2},
		"one that is nearly taken": {4*step - 1, false, step / 2},
		"one that is taken":        {0, false, step / 2},
	} {
		if got := ahead(step, tt.room, tt.empty); got != tt.want {
			t.Errorf("%s: %d are kept free, not %d", name, got, tt.want)
		}
	}
}
