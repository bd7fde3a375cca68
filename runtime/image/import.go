package image

// limits bound what an imported image may hold.
type limits struct {
	entries int
	bytes   int64
}

var defaultLimits = limits{entries: 1_000_000, bytes: 32 << 30}
