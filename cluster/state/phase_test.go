package state

import (
	"testing"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// Every pair of phases: from a row to a column, x is legal, - is refused.
var phaseMoves = map[Phase]string{
	//            prov start run upd stopping stopped failed deleting deleted
	Provisioning: "x    x     x   -   -        x       x      x        -",
	Starting:     "-    x     x   -   x        x       x      x        -",
	Running:      "-    x     x   x   x        x       x      x        -",
	Updating:     "-    x     x   x   x        x       x      x        -",
	Stopping:     "-    x     x   -   x        x       x      x        -",
	Stopped:      "x    x     x   -   -        x       x      x        -",
	Failed:       "x    x     x   -   -        x       x      x        -",
	Deleting:     "-    -     -   -   -        -       -      x        x",
	Deleted:      "-    -     -   -   -        -       -      -        x",
}

func TestPhaseTo(t *testing.T) {
	if len(phaseMoves) != len(Phases()) || len(moves) != len(Phases()) {
		t.Fatalf("%d phases, %d rows, %d in moves", len(Phases()), len(phaseMoves), len(moves))
	}
	for from, row := range phaseMoves {
		column := 0
		for _, cell := range row {
			if cell == ' ' {
				continue
			}
			to := Phases()[column]
			column++
			got, err := from.To(to)
			switch {
			case cell == 'x' && (err != nil || got != to):
				t.Errorf("%s to %s: %v, %v; want it legal", from, to, got, err)
			case cell == '-' && (!fault.Is(err, fault.Conflict) || got != from):
				t.Errorf("%s to %s: %v, %v; want a conflict", from, to, got, err)
			}
		}
		if column != len(Phases()) {
			t.Errorf("%s has %d cells", from, column)
		}
	}
}

func TestPhaseUp(t *testing.T) {
	up := map[Phase]bool{Starting: true, Running: true, Updating: true}
	for _, p := range Phases() {
		if p.Up() != up[p] {
			t.Errorf("%s.Up() is %v", p, p.Up())
		}
	}
}
