package transport

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// maxFaultText bounds the message of a fault that travels.
const maxFaultText = 4096

// wireFault is a fault as it travels.
type wireFault struct {
	Kind       fault.Kind    `json:"kind"`
	Code       string        `json:"code,omitempty"`
	Field      string        `json:"field,omitempty"`
	Message    string        `json:"message"`
	RetryAfter time.Duration `json:"retry_after,omitempty"`
}

// encodeFault writes any error. One that nobody classified is Internal; its
// text travels, for the other node's log, and no door shows it.
func encodeFault(err error) []byte {
	w := wireFault{Kind: fault.Internal, Message: err.Error()}
	var f *fault.Error
	if errors.As(err, &f) {
		w = wireFault{Kind: f.Kind, Code: f.Code, Field: f.Field, Message: f.Message, RetryAfter: f.RetryAfter}
	}
	if len(w.Message) > maxFaultText {
		w.Message = w.Message[:maxFaultText]
	}
	b, err := json.Marshal(w)
	if err != nil {
		return []byte(`{"kind":"internal","message":"a fault that could not be written"}`)
	}
	return b
}

// decodeFault reads a fault of another node. A kind unknown here, from a newer
// build perhaps, is Internal.
func decodeFault(b []byte) *fault.Error {
	var w wireFault
	if err := json.Unmarshal(b, &w); err != nil {
		return fault.New(fault.Internal, "another node answered with a fault that cannot be read: %w", err)
	}
	if !slices.Contains(fault.Kinds(), w.Kind) {
		w.Kind = fault.Internal
	}
	f := fault.New(w.Kind, "%s", w.Message)
	f.Code, f.Field, f.RetryAfter = w.Code, w.Field, w.RetryAfter
	return f
}
