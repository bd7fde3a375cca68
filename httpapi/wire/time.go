package wire

import (
	"encoding/json"
	"fmt"
	"time"
)

// timeLayout is ISO 8601 in UTC with exactly three decimals, as JavaScript's
// toISOString writes it.
const timeLayout = "2006-01-02T15:04:05.000Z"

// Time is a point in time, written with milliseconds in UTC.
type Time struct{ time.Time }

// At returns t for the wire.
func At(t time.Time) Time { return Time{t.UTC()} }

// Maybe returns t for the wire, or nil (JSON null) when it is zero.
func Maybe(t time.Time) *Time {
	if t.IsZero() {
		return nil
	}
	at := At(t)
	return &at
}

// MarshalJSON writes the time with milliseconds and Z.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(`"` + t.UTC().Format(timeLayout) + `"`), nil
}

// UnmarshalJSON reads any RFC 3339 time.
func (t *Time) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return fmt.Errorf("%q is not an ISO 8601 time", text)
	}
	t.Time = at.UTC()
	return nil
}
