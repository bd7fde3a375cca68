package agent

import "context"

// Effort is how hard a model is asked to think; "" leaves it to the vendor.
type Effort string

const (
	Minimal Effort = "minimal"
	Low     Effort = "low"
	Medium  Effort = "medium"
	High    Effort = "high"
)

// Efforts lists every effort, least first.
func Efforts() []Effort { return []Effort{Minimal, Low, Medium, High} }

// Tool is what a model is told about a tool.
type Tool struct {
	Name        string
	Description string
	Schema      map[string]any // JSON Schema of the arguments, an object
}

// Request is one model call.
type Request struct {
	Model        string // as the vendor names it
	Instructions string
	Entries      []Entry // as View gives them
	Tools        []Tool
	// MaxOutputTokens bounds the reply, reasoning included. It is always sent.
	MaxOutputTokens int64
	// Reasoning says that the model thinks; only then are Effort and earlier
	// thinking sent, which other models refuse.
	Reasoning bool
	Effort    Effort
}

// DeltaKind says what a streamed piece belongs to.
type DeltaKind string

const (
	TextDelta      DeltaKind = "text"
	ReasoningDelta DeltaKind = "reasoning"
	// AliveDelta carries nothing: the vendor sent something that is not shown,
	// so the call is not stuck.
	AliveDelta DeltaKind = "alive"
)

// Delta is a piece of an entry that is still being made.
type Delta struct {
	Kind DeltaKind
	// Item is the entry's id. A Model writes its own short name for the item
	// here and in Entry.ID; Caller makes it unique.
	Item string
	Text string
}

// Usage is what a vendor counted, and bills.
type Usage struct {
	InputTokens      int64 `json:"input"`       // all input, with cached
	CachedTokens     int64 `json:"cached"`      // part of input, read from the vendor's cache
	CacheWriteTokens int64 `json:"cache_write"` // part of input, written to it
	// CacheWriteHourTokens are the part of CacheWriteTokens that is kept for an hour.
	CacheWriteHourTokens int64 `json:"cache_write_hour,omitempty"`
	OutputTokens         int64 `json:"output"`    // all output, with reasoning
	ReasoningTokens      int64 `json:"reasoning"` // part of output
}

// Plus is the sum of two usages.
func (u Usage) Plus(v Usage) Usage {
	return Usage{
		InputTokens:      u.InputTokens + v.InputTokens,
		CachedTokens:     u.CachedTokens + v.CachedTokens,
		CacheWriteTokens: u.CacheWriteTokens + v.CacheWriteTokens, CacheWriteHourTokens: u.CacheWriteHourTokens + v.CacheWriteHourTokens,
		OutputTokens:    u.OutputTokens + v.OutputTokens,
		ReasoningTokens: u.ReasoningTokens + v.ReasoningTokens,
	}
}

// Reply is all that a model answered. A zero Usage means that the vendor told
// none; what it bills must then be counted.
type Reply struct {
	Entries []Entry
	Usage   Usage
	Stop    StopReason
}

// Model is a way to call models of one vendor. Implementations are safe for
// use from several goroutines and never retry by themselves.
type Model interface {
	// Call sends the request, gives each piece to emit as it comes, from the
	// calling goroutine, and returns the whole reply. Errors are *Error. It
	// returns soon after ctx is done.
	Call(ctx context.Context, req Request, emit func(Delta)) (Reply, error)
	// Vendor is the word that marks this client's Entry.State.
	Vendor() string
}
