package measure_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bothy-computer/bothy/bench/measure"
)

func TestPercentile(t *testing.T) {
	tests := map[string]struct {
		of   []int // milliseconds
		p    float64
		want int
	}{
		"nothing measured":           {nil, 50, 0},
		"one sample is all of them":  {[]int{7}, 95, 7},
		"the middle of three":        {[]int{30, 10, 20}, 50, 20},
		"the lower middle of four":   {[]int{4, 3, 2, 1}, 50, 2},
		"one in twenty is above p95": {[]int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}, 95, 19},
		"the largest":                {[]int{5, 9, 1}, 100, 9},
		"the smallest":               {[]int{5, 9, 1}, 0, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var s measure.Samples
			for _, ms := range tt.of {
				s.Add(time.Duration(ms) * time.Millisecond)
			}
			if got := s.Percentile(tt.p); got != time.Duration(tt.want)*time.Millisecond {
				t.Errorf("p%v = %v, want %d ms", tt.p, got, tt.want)
			}
		})
	}
}

func TestPercentileCoversItsShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Int64Range(0, 1e9), 1, 200).Draw(t, "samples")
		p := rapid.Float64Range(0, 100).Draw(t, "p")
		var s measure.Samples
		for _, v := range all {
			s.Add(time.Duration(v))
		}
		got, covered, below := int64(s.Percentile(p)), 0, 0
		for _, v := range all {
			if v <= got {
				covered++
			}
			if v < got {
				below++
			}
		}
		if share := p / 100 * float64(len(all)); float64(covered)+1e-6 < share || below > 0 && float64(below)-1e-6 >= share {
			t.Fatalf("p%v of %d samples is %d: %d are no larger, %d smaller", p, len(all), got, covered, below)
		}
	})
}

func TestFailuresAreCountedApart(t *testing.T) {
	var s measure.Samples
	first := errors.New("first")
	for _, err := range []error{nil, first, errors.New("second")} {
		if got := s.Time(func() error { return err }); got != err {
			t.Errorf("Time returned %v, want %v", got, err)
		}
	}
	if ok, failed := s.Count(); ok != 1 || failed != 2 || s.FirstFailure() != first {
		t.Errorf("%d, %d, %v", ok, failed, s.FirstFailure())
	}
}
