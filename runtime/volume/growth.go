package volume

import (
	"fmt"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/runtime"
)

const (
	// aheadSteps is how many steps a pool that holds volumes keeps free. Adding
	// one takes seconds while computers write as fast as they can, and what they
	// write over takes room until btrfs commits.
	aheadSteps = 2
	// roomySteps is how many steps a disk must still have room for before a pool
	// keeps that much free: images, and other nodes' pools, live on it too.
	roomySteps = 4
	// growPause is how long a pool waits after a step that failed; each wait is
	// twice the one before, up to maxGrowPause.
	growPause    = time.Second
	maxGrowPause = time.Minute
)

// growth is how far a pool is in growing. mu is held while it grows.
type growth struct {
	mu sync.Mutex
	// half is set while the file has a step that btrfs has not.
	half bool
	// failed is why the last try failed, until resume; each failure in a row
	// doubles pause.
	failed error
	pause  time.Duration
	resume time.Time
}

// note keeps how a try ended.
func (g *growth) note(err error) error {
	g.failed = err
	if err == nil {
		g.pause = 0
		return nil
	}
	g.pause = max(growPause, min(2*g.pause, maxGrowPause))
	g.resume = time.Now().Add(g.pause)
	return err
}

// stayAhead makes room ahead of the pool's writers.
func (p *Pool) stayAhead() error {
	if free, _ := room(p.backing.mount); free < p.ahead() {
		return p.grow()
	}
	return nil
}

// ahead is how much is to be free now.
func (p *Pool) ahead() int64 {
	volumes, err := p.List()
	return ahead(p.opts.GrowBytes, p.diskRoom(), err == nil && len(volumes) == 0)
}

// ahead is how much a pool that grows by a step keeps free: an empty one waits
// for its first volume, and one on a disk that is nearly taken for the last
// moment.
func ahead(step, diskRoom int64, empty bool) int64 {
	if empty || diskRoom < roomySteps*step {
		return step / 2
	}
	return aheadSteps * step
}

// grow adds a step if one is wanted and the disk has room for it; else it leaves
// things as they are. For a while after a failure that is the answer.
func (p *Pool) grow() error {
	if _, plain := p.ground.(directories); plain {
		return nil
	}
	p.growth.mu.Lock()
	defer p.growth.mu.Unlock()
	if p.growth.failed != nil && time.Now().Before(p.growth.resume) {
		return p.growth.failed
	}
	return p.growth.note(p.step())
}

// step adds a step, or ends the last one: as long as btrfs takes no more, what is
// added to the file is lost to the disk. The caller holds growth.mu.
func (p *Pool) step() error {
	if p.growth.half {
		if err := p.backing.fit(); err != nil {
			return err
		}
		p.growth.half = false
	}
	if free, _ := room(p.backing.mount); free >= p.ahead() || p.diskRoom() < p.opts.GrowBytes {
		return nil
	}
	p.log.Info("volume pool grows", "dir", p.opts.Dir, "bytes", p.opts.GrowBytes)
	if err := p.backing.extend(p.opts.GrowBytes); err != nil {
		return err
	}
	p.growth.half = true
	if err := p.backing.fit(); err != nil {
		return err
	}
	p.growth.half = false
	return nil
}

// needRoom is runtime.ErrFull when no other volume or snapshot should be made.
func (p *Pool) needRoom() error {
	enough := func() bool {
		free, total := room(p.backing.mount)
		return free >= min(LowWaterBytes, total/lowWaterShare)
	}
	if enough() {
		return nil
	}
	if err := p.grow(); err != nil {
		return fmt.Errorf("make room: %w", err)
	}
	if !enough() {
		return fmt.Errorf("%w: the pool is nearly full", runtime.ErrFull)
	}
	return nil
}
