package warden

import "testing"

// TestFenceIsTotal walks every posture with every kind of deadline.
func TestFenceIsTotal(t *testing.T) {
	const now, past, ahead = Instant(100), Instant(99), Instant(101)
	type cell struct {
		from     posture
		deadline Instant
	}
	table := map[cell]struct {
		to   posture
		does deed
	}{
		{open, NoDeadline}: {open, nothing},
		{open, ahead}:      {open, nothing},
		{open, now}:        {shut, freeze},
		{open, past}:       {shut, freeze},
		{shut, NoDeadline}: {open, handDown},
		{shut, ahead}:      {open, handDown},
		{shut, now}:        {shut, nothing},
		{shut, past}:       {shut, nothing},
	}
	for _, from := range []posture{open, shut} {
		for _, deadline := range []Instant{NoDeadline, past, now, ahead} {
			want, ok := table[cell{from, deadline}]
			if !ok {
				t.Fatalf("no row for %s and %d", from, deadline)
			}
			got, does := fence{Posture: from, Deadline: now.Add(1)}.extend(deadline, now)
			if got.Posture != want.to || does != want.does || got.Deadline != deadline {
				t.Errorf("%s with deadline %d: %+v and %s, want %s and %s", from, deadline, got, does, want.to, want.does)
			}
		}
	}
}

func TestTimeShutsTheFence(t *testing.T) {
	f := fence{Posture: open, Deadline: 100}
	if f, does := f.look(99); f.Posture != open || does != nothing {
		t.Errorf("before: %+v, %s", f, does)
	}
	if f, does := f.look(100); f.Posture != shut || does != freeze {
		t.Errorf("at: %+v, %s", f, does)
	}
}
